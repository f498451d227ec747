"""All shifts of a panorama for the cost of one resize.

A shift by a whole number of pixels before and after the resize commutes with it, including PIL's rounding. So where the
network receives the central square, each panorama, extended beyond its edges, is resized once and every shift is cropped
from the result.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import pil_to_tensor, resize, to_pil_image

from clip360.geometry.views import Mirrored, Shift, View, Window
from clip360.models.clip import Clip, normalise
from clip360.scoring.views import input_size

MARGIN = 8  # each side is extended by 1 / MARGIN of the width, which exceeds the support of the resize filter


def resize_once(clip: Clip, panoramas: Tensor, parallel_map: Callable[..., Iterable]) -> Tensor | None:
    """Panoramas uint8 [B, 3, H, 2H] as the model's transform resizes them before the crop: uint8 [B, 3, S, 2S].

    ``parallel_map`` has the signature of ``map``. None where shifts cannot be cropped from the result: under another view
    than the centre crop, at a canonical yaw, and for sizes that do not divide into whole pixels.
    """
    height, width = panoramas.shape[-2:]
    size, input_width = input_size(clip)
    if clip.view != "center_crop" or clip.canonical_yaw or clip.protocol.resize != "pil" or width != 2 * height:
        return None
    if size != input_width or width % MARGIN or 2 * size % MARGIN:
        return None
    margin, resized_margin = width // MARGIN, 2 * size // MARGIN
    mode = InterpolationMode(clip.network.visual.preprocess_cfg["interpolation"])

    def resize_one(panorama: Tensor) -> Tensor:
        # By numpy, which starts no threads of its own inside one of these.
        extended = np.pad(panorama.permute(1, 2, 0).numpy(), [(0, 0), (margin, margin), (0, 0)], mode="wrap")
        return pil_to_tensor(resize(to_pil_image(extended), [size, 2 * size + 2 * resized_margin], mode))

    resized = torch.stack(list(parallel_map(resize_one, panoramas)))
    return clip.to_device(resized[..., resized_margin:-resized_margin])


def crop_view(clip: Clip, resized: Tensor, view: View, width: int) -> Tensor | None:
    """The network's input, float32 [B, 3, S, S], for a shift, a mirrored shift or a window of resized panoramas.

    ``resized`` [B, 3, S, 2S] comes from ``resize_once``, ``width`` is that of the panoramas before it, in pixels. None for
    any other view, and for a shift that is not a whole number of pixels before and after the resize.
    """
    size = resized.shape[-2]
    if isinstance(view, Mirrored):
        shifted = crop_view(clip, resized, Shift(view.fraction), width)
        return None if shifted is None else shifted.flip(-1)
    if isinstance(view, Window) and not (size * view.in_window_shift) % 1:
        square = crop_view(clip, resized, Shift(view.fraction), width)
        return None if square is None else square.roll(int(size * view.in_window_shift), dims=-1)
    if not isinstance(view, Shift) or any((pixels * view.fraction) % 1 for pixels in (width, 2 * size)):
        return None
    shifted = resized.roll(int(2 * size * view.fraction), dims=-1)
    return normalise(clip.network, shifted[..., size // 2 : size // 2 + size])
