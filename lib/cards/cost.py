"""What a model costs: parameters, floating-point operations, and the speed on this machine."""

import platform
import timeit

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from clip360.geometry.views import Shift
from clip360.models.clip import Clip
from clip360.scoring.embedding import embed_images
from clip360.scoring.view_coverage import cost
from clip360.scoring.views import input_size

GIGA = 1e9
REPETITIONS = 3


def parameters(clip: Clip) -> dict[str, int]:
    """Number of parameters of the whole network, and of its image tower."""
    count = {"all": clip.network, "image_tower": clip.network.visual}
    return {name: sum(weight.numel() for weight in part.parameters()) for name, part in count.items()}


def image_gflop(clip: Clip) -> float:
    """Floating-point operations for the image embedding of one panorama, in 10^9, under the view mode of ``clip``.

    Of convolutions, matrix products and attention; a multiplication and an addition are two.
    """
    inputs = torch.zeros(1, 3, *input_size(clip), device=clip.device)
    # Not the fused kernels, whose operations the counter does not see; gradients switch off those of the encoder layers.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.enable_grad(), clip.autocast():
        clip.network.encode_image(inputs)
    return cost(clip)["passes"] * counter.get_total_flops() / GIGA


def panoramas_per_second(clip: Clip, panoramas: Tensor) -> float:
    """Panoramas uint8 [B, 3, H, 2H] resized and embedded in a second, once each; decoding is not counted.

    The fastest of ``REPETITIONS``: what else the machine does makes others slower.
    """

    def embed() -> None:  # the embeddings arrive on the CPU, so that no kernel is left running
        embed_images(clip, [panoramas], {"unshifted": Shift(0.0)}, total=None)

    return len(panoramas) / min(timeit.repeat(embed, number=1, repeat=REPETITIONS))


def machine(clip: Clip) -> str:
    """The device that the model computes on, in words."""
    if clip.device.type == "cuda":
        return torch.cuda.get_device_name(clip.device)
    n_threads = torch.get_num_threads()
    return f"CPU ({platform.machine()}), {n_threads} thread{'s' * (n_threads > 1)}"
