"""What a network costs, from its architecture alone: on torch's meta device tensors have a shape, but no memory and no values."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from functools import cached_property
from io import StringIO
from pathlib import Path

import clip360.models  # noqa: F401  before open_clip, which imports torchvision

# isort: split
import open_clip
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from clip360.finetune.attention import separate_attention
from clip360.finetune.lora import TARGETS, lora_layers
from clip360.finetune.methods import AdaptationMethod, find_method
from clip360.models.clip import Clip, write_configuration
from clip360.models.heads import Gate, Reprojected
from clip360.models.protocol import Protocol
from pipeline.parameters import Lora

FLOAT = 4  # bytes of a weight
ADAM = 2  # numbers that AdamW keeps for a weight


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, and no warnings of open_clip that a network has no weights, which is meant here."""
    logging.disable(logging.WARNING)
    try:
        with redirect_stderr(StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


@dataclass(frozen=True)
class StepCost:
    """A training step: its floating-point operations, and bytes of what training adds to the weights."""

    flops: float
    memory: float
    trained: int  # number of trained weights


class Network:
    """The costs of one architecture, open_clip's ``model_cfg``; ``wide`` for an input of twice the width.

    Raises ValueError where open_clip cannot build the architecture without a download.
    """

    def __init__(self, name: str, architecture: dict, *, wide: bool = False):
        self.name, self.architecture, self.wide = name, architecture, wide
        self._n_adapters: dict[str, int] = {}

    def build(self) -> nn.Module:
        """A new network on the meta device."""
        size = {}
        if self.wide:
            side = self.architecture["vision_cfg"].get("image_size", 224)
            size = {"force_image_size": (side, 2 * side)}
        with tempfile.TemporaryDirectory() as folder, torch.device("meta"), quiet():
            write_configuration(Path(folder), self.architecture)
            try:
                return open_clip.create_model(f"local-dir:{folder}", load_weights=False, device="meta", **size)
            except (RuntimeError, OSError, ValueError) as error:
                raise ValueError(
                    f"the architecture of {self.name} cannot be built without a download: fetch the model first"
                ) from error

    @cached_property
    def frozen(self) -> nn.Module:
        """The network in evaluation mode, without gradients."""
        return self.build().eval().requires_grad_(False)

    @cached_property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.frozen.parameters())

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the input in pixels."""
        size = self.frozen.visual.image_size
        return tuple(size) if isinstance(size, tuple | list) else (size, size)

    @cached_property
    def image_flops(self) -> float:
        """Floating-point operations of one image, two for a multiplication and an addition."""
        return flops(lambda: self.frozen.encode_image(self.images(1)))

    @cached_property
    def text_flops(self) -> float:
        """Floating-point operations of one text, which are those of the whole context length."""
        return flops(lambda: self.frozen.encode_text(self.tokens(1)))

    def images(self, count: int) -> Tensor:
        return torch.empty(count, 3, *self.input_size, device="meta")

    def tokens(self, count: int) -> Tensor:
        return torch.zeros(count, self.frozen.context_length, dtype=torch.long, device="meta")

    def memory(self, n_images: int, n_texts: int) -> float:
        """Bytes of the weights and of the largest layer with its input, of a batch of images or of texts in float32."""
        batches = (
            (self.frozen.encode_image, self.images(n_images)),
            (self.frozen.encode_text, self.tokens(n_texts)),
        )
        with torch.no_grad():
            return FLOAT * self.parameters + max(largest_layer(self.frozen, *batch) for batch in batches)

    def step(self, method: str, n_panoramas: int, lora: Lora) -> StepCost:
        """A step of fine-tuning by an adaptation method, with a pair of images for each panorama of the batch."""
        adaptation = find_method(method)
        clip = attach(adaptation, Clip(self.name, self.build(), None, None, "squash", Protocol()), lora)
        tokens = self.tokens(n_panoramas) if adaptation.trains_text else None
        return step_cost(clip.network, lambda: clip.network(self.images(2 * n_panoramas), tokens)[:2])

    def n_adapters(self, targets: str, lora: Lora) -> int:
        """The number of LoRA adapters on the modules that ``targets``, a key of ``TARGETS``, names."""
        if targets not in self._n_adapters:
            clip = attach(find_method(targets), Clip(self.name, self.build(), None, None, "squash", Protocol()), lora)
            self._n_adapters[targets] = len(lora_layers(clip.network.visual))
        return self._n_adapters[targets]

    def pretraining_step(self, batch_size: int) -> StepCost:
        """A step of CLIP's own training, in which all weights train."""
        network = self.build()
        return step_cost(
            network,
            lambda: (network.encode_image(self.images(batch_size)), network.encode_text(self.tokens(batch_size))),
        )


def attach(method: AdaptationMethod, clip: Clip, lora: Lora) -> Clip:
    """As ``method.attach`` does, but adapters are attached without the check of their effect, which needs values."""
    if not method.uses_lora:
        return method.attach(clip, **lora.model_dump())
    from peft import LoraConfig, get_peft_model  # imported here: it takes seconds

    targets = lora_targets(method)
    clip.network.requires_grad_(False)
    if targets == "lora_attention":
        separate_attention(clip.network.visual)
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=list(TARGETS[targets]), bias="none")
    clip.network.visual = get_peft_model(clip.network.visual, config)
    if not method.is_lora:
        clip.network.logit_scale.requires_grad_(True)
        clip = replace(clip, network=Reprojected(clip.network, image_head=Gate(clip.network.visual.output_dim)))
    clip.network.to("meta")
    return clip


def lora_targets(method: AdaptationMethod) -> str:
    """Which modules get adapters by a method that uses them, a key of ``TARGETS``."""
    return method.attach.keywords["targets"] if method.is_lora else "lora_attention"


def flops(run) -> float:
    """The floating-point operations of what ``run`` computes."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def step_cost(network: nn.Module, encode) -> StepCost:
    """The cost of a step whose loss depends on all embeddings that ``encode`` returns."""
    network.train()
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    weights = {id(parameter.untyped_storage()) for parameter in network.parameters()}
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in weights:
            kept[id(storage)] = storage  # which also keeps its id from being used again
        return tensor

    def step() -> None:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = sum(embeds.sum() for embeds in encode() if embeds is not None)
        loss.backward()

    total = flops(step)
    activations = sum(storage.nbytes() for storage in kept.values())
    return StepCost(total, activations + (1 + ADAM) * FLOAT * trained, trained)


def largest_layer(network: nn.Module, encode, inputs: Tensor) -> float:
    """Bytes of the input and the output of that module of a network for which they are most."""
    largest = 0

    def measure(module: nn.Module, arguments: tuple, output) -> None:
        nonlocal largest
        tensors = {id(x): x for x in (*arguments, output) if isinstance(x, Tensor)}
        largest = max(largest, sum(x.numel() * x.element_size() for x in tensors.values()))

    with hooks(network, measure):
        encode(inputs)
    return largest


@contextmanager
def hooks(network: nn.Module, hook) -> Iterator[None]:
    """Call ``hook`` after each call of any module of a network."""
    handles = [module.register_forward_hook(hook) for module in network.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
