"""CLIP models as folders that open_clip reads: a configuration, weights, and a tokenizer if the model brings its own."""

import json
import logging
import pickle
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
from open_clip.model import resize_pos_embed
from PIL.Image import Image
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from clip360.models.protocol import RESIZE_MODES, Protocol

CONFIGURATION = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"  # or, pickled by torch:
PICKLED = "open_clip_pytorch_model.bin"
# What torch, safetensors and open_clip raise for files that hold no weights, or those of another architecture.
UNREADABLE = (RuntimeError, ValueError, TypeError, AttributeError, AssertionError, LookupError, StopIteration, EOFError)
UNREADABLE += (pickle.UnpicklingError, SafetensorError)


@dataclass(frozen=True)
class Clip:
    """A CLIP model in evaluation mode, and how it is used.

    name        name of the model's folder, as tables show it
    network     open_clip's network, or one with the same methods
    preprocess  a PIL image -> float [3, S, S], the network's input
    tokenize    texts -> int64 [N, L]
    view        what the network receives of a panorama: one of ``protocol.VIEWS``, ``own`` resolved to the mode it stands for
    protocol    every other detail of scoring
    text_cache  None, or the unit embeddings [D] of texts by text: ``embed_texts`` reads it and adds to it
    canonical_yaw  is a panorama shifted to its canonical yaw before anything else (``at_canonical_yaw``)?
    """

    name: str
    network: nn.Module
    preprocess: Callable[[Image], Tensor]
    tokenize: Callable[[Sequence[str]], Tensor]
    view: str
    protocol: Protocol
    text_cache: dict[str, Tensor] | None = None
    canonical_yaw: bool = False

    @property
    def device(self) -> torch.device:
        return self.network.logit_scale.device

    def to_device(self, images: Tensor) -> Tensor:
        """The tensor on the network's device; on a GPU a copy that the caller does not wait for."""
        if self.device.type == "cuda" and not images.is_cuda:
            images = images.pin_memory()
        return images.to(self.device, non_blocking=True)

    def autocast(self) -> AbstractContextManager:
        """The context in which the network computes at the protocol's precision."""
        if dtype := self.protocol.dtype:
            return torch.autocast(self.device.type, dtype=dtype)
        if self.device.type == "cuda":  # by default it computes convolutions in TF32, with 10 bits of mantissa
            return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        return nullcontext()


def load_clip(folder: str | Path, *, protocol: Protocol | None = None, device: str | None = None) -> Clip:
    """Load the model in ``folder``, named after the folder, onto ``device`` (None: a GPU if there is one).

    Raises FileNotFoundError where configuration or weights are missing, ValueError where they do not fit each other or
    the protocol, and where this machine has no such device.
    """
    folder, protocol = Path(folder), protocol or Protocol()
    configuration = read_configuration(folder)
    if not any((folder / file).is_file() for file in (WEIGHTS, PICKLED)):
        raise FileNotFoundError(f"{folder} holds no weights ({WEIGHTS} or {PICKLED}): fetch or train the model")
    overrides, device = _overrides(configuration, protocol), usable_device(device)
    try:
        network, _, preprocess = _load(f"local-dir:{folder}", device=device, **overrides)
    except UNREADABLE as error:
        raise ValueError(
            f"the weights in {folder} do not fit its {CONFIGURATION} ({reason(error)}): fetch or train the model again"
        ) from error
    return _clip(network, preprocess, folder, protocol)


def new_clip(folder: str | Path, *, seed: int, device: str | None = None) -> Clip:
    """An untrained model with the configuration in ``folder`` and random weights drawn from ``seed``."""
    read_configuration(Path(folder))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}", load_weights=False)
    return _clip(network.to(device or default_device()), preprocess, Path(folder), Protocol())


def _clip(network: nn.Module, preprocess: Callable[[Image], Tensor], folder: Path, protocol: Protocol) -> Clip:
    view = protocol.view
    if view == "own":
        by_resize_mode = {mode: name for name, mode in RESIZE_MODES.items()}
        view = by_resize_mode[network.visual.preprocess_cfg["resize_mode"]]
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
    return Clip(folder.resolve().name, network.eval(), preprocess, tokenize, view, protocol)


def _load(name: str, *, device: str, **overrides) -> tuple[nn.Module, Callable, Callable]:
    """As open_clip's factory, but the positional embedding of a wide input is interpolated where it is stored in half precision, too."""
    try:
        return open_clip.create_model_and_transforms(name, device=device, **overrides)
    except NotImplementedError:  # torch has no interpolation in half precision on a processor, where weights are read
        weights = open_clip.create_model(name).state_dict()  # in float32
        logging.disable(logging.WARNING)  # open_clip warns of random weights, which these do not stay
        try:
            network, *transforms = open_clip.create_model_and_transforms(name, load_weights=False, **overrides)
        finally:
            logging.disable(logging.NOTSET)
        resize_pos_embed(weights, network)
        network.load_state_dict(weights)
        return network.to(device), *transforms


def _overrides(configuration: dict, protocol: Protocol) -> dict:
    """Arguments of open_clip's model factory by which the protocol overrides the model's configuration."""
    overrides: dict = {"image_resize_mode": RESIZE_MODES.get(protocol.view)}
    if protocol.view == "wide":
        vision = configuration["model_cfg"]["vision_cfg"]
        size = vision.get("image_size", 224)
        if not isinstance(size, int) or not isinstance(vision.get("layers", 12), int) or "timm_model_name" in vision:
            raise ValueError(
                "protocol.view is wide, which needs a square ViT of open_clip: choose another view for this model"
            )
        # A panorama fills the wider input, the positional embedding is interpolated; a square image gets bars.
        overrides = {"force_image_size": (size, 2 * size), "image_resize_mode": "longest"}
    if protocol.activation != "own":
        overrides["quick_gelu"] = protocol.activation == "quick_gelu"
    return overrides


def normalise(network: nn.Module, images: Tensor) -> Tensor:
    """Images of the network's input size, uint8 [B, 3, S, S], normalised with its mean and standard deviation: float32."""
    mean, std = (
        torch.tensor(x, device=images.device)[:, None, None]
        for x in (network.visual.image_mean, network.visual.image_std)
    )
    return (images / 255 - mean) / std


def default_device() -> str:
    """The name of torch's device: cuda if there is a GPU, else cpu."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def usable_device(device: str | None) -> str:
    """``device``, or ``default_device`` for None; ValueError where torch cannot use it on this machine."""
    try:
        torch.empty(0, device=device or default_device())
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device is {device!r} ({brief(error)}): expected cpu, or cuda or cuda:N with a GPU"
        ) from error
    return device or default_device()


def read_configuration(folder: Path) -> dict:
    """``open_clip_config.json`` of a model: its architecture in ``model_cfg``, its transform in ``preprocess_cfg``.

    Raises FileNotFoundError where there is none, ValueError where it is no such file.
    """
    path = folder / CONFIGURATION
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: expected the folder of a model, fetched or trained")
    try:
        configuration = json.loads(path.read_text(encoding="utf-8"))
        return {"model_cfg": configuration["model_cfg"], "preprocess_cfg": configuration.get("preprocess_cfg", {})}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no configuration of open_clip ({brief(error)}): fetch or train the model again"
        ) from error


def write_configuration(folder: Path, model: dict, preprocess: dict | None = None) -> None:
    """Write a model's architecture, and its image transform where it differs from CLIP's, as open_clip reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"model_cfg": model, "preprocess_cfg": preprocess or {}}, indent=2)
    (folder / CONFIGURATION).write_text(text + "\n", encoding="utf-8", newline="\n")


def save_weights(clip: Clip, folder: Path) -> None:
    """Write the weights into a model's folder, next to its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in clip.network.state_dict().items()}, folder / WEIGHTS)


def reason(error: BaseException) -> str:
    """Why weights cannot be loaded, in short.

    A pickle that holds more than tensors gets an own sentence, because torch's message advises to load it unchecked, which
    would run whatever program it contains.
    """
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
        return "the file holds more than tensors, and a pickle can run programs; use .safetensors"
    return brief(error) or "the file is empty"


def brief(error: BaseException) -> str:
    """An error's message on one line, cut to 200 characters."""
    return " ".join(str(error).split())[:200]
