"""CLIP models as folders that open_clip reads: a configuration, weights, and a tokenizer if the model brings its own."""

import json
import pickle
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
from PIL.Image import Image
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from clip360.models.protocol import RESIZE_MODES, Protocol

CONFIGURATION = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"  # or, if it was pickled by torch:
PICKLED = "open_clip_pytorch_model.bin"
# What is raised for files that hold no weights, or others.
UNREADABLE = (RuntimeError, ValueError, TypeError, AttributeError, AssertionError, LookupError, StopIteration, EOFError)
UNREADABLE += (pickle.UnpicklingError, SafetensorError)


@dataclass(frozen=True)
class Clip:
    """A CLIP model in evaluation mode, and how it is used.

    ``preprocess`` turns a PIL image into [3, H, W], ``tokenize`` texts into [T, L]; ``view`` says what the network sees of a
    panorama, one of ``protocol.VIEWS`` but ``own``. ``known``, where it is kept, holds the unit embedding [D] of every text that
    this network's text side has read.
    """

    name: str
    network: nn.Module
    preprocess: Callable[[Image], Tensor]
    tokenize: Callable[[Sequence[str]], Tensor]
    view: str
    protocol: Protocol
    known: dict[str, Tensor] | None = None

    @property
    def device(self) -> torch.device:
        return self.network.logit_scale.device

    def autocast(self) -> AbstractContextManager:
        """The precision that the protocol asks for."""
        if dtype := self.protocol.dtype:
            return torch.autocast(self.device.type, dtype=dtype)
        if self.device.type == "cuda":  # where convolutions would be rounded to 10 bits
            return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        return nullcontext()


def load_clip(folder: str | Path, *, protocol: Protocol | None = None, device: str | None = None) -> Clip:
    """Load the model in ``folder``, named after it; on a GPU if there is one and ``device`` is None.

    Raises FileNotFoundError where the configuration or the weights are missing, ValueError where they do not fit.
    """
    folder, protocol = Path(folder), protocol or Protocol()
    configuration = read_configuration(folder)
    if not any((folder / file).is_file() for file in (WEIGHTS, PICKLED)):
        raise FileNotFoundError(f"{folder} holds no weights ({WEIGHTS} or {PICKLED}): fetch or train the model")
    changes = _changes(configuration, protocol)
    try:
        network, _, preprocess = open_clip.create_model_and_transforms(
            f"local-dir:{folder}", device=device or default_device(), **changes
        )
    except UNREADABLE as error:
        raise ValueError(f"the weights in {folder} do not fit {CONFIGURATION} beside them: {reason(error)}") from error
    return _clip(network, preprocess, folder, protocol)


def new_clip(folder: str | Path, *, seed: int, device: str | None = None) -> Clip:
    """An untrained model of the configuration in ``folder``, its weights drawn from ``seed``."""
    read_configuration(Path(folder))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}", load_weights=False)
    return _clip(network.to(device or default_device()), preprocess, Path(folder), Protocol())


def _clip(network: nn.Module, preprocess: Callable[[Image], Tensor], folder: Path, protocol: Protocol) -> Clip:
    view = protocol.view
    if view == "own":
        view = {mode: view for view, mode in RESIZE_MODES.items()}[network.visual.preprocess_cfg["resize_mode"]]
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
    return Clip(folder.resolve().name, network.eval(), preprocess, tokenize, view, protocol)


def _changes(configuration: dict, protocol: Protocol) -> dict:
    """What the protocol makes open_clip build otherwise than the model's configuration says."""
    changes: dict = {"image_resize_mode": RESIZE_MODES.get(protocol.view)}
    if protocol.view == "wide":
        vision = configuration["model_cfg"]["vision_cfg"]
        size = vision.get("image_size", 224)
        if not isinstance(size, int) or "timm_model_name" in vision:
            raise ValueError("protocol.view `wide` needs a square ViT of open_clip: choose another view for this model")
        # The whole panorama fills the wider input, with positions interpolated; a square picture gets bars.
        changes = {"force_image_size": (size, 2 * size), "image_resize_mode": "longest"}
    if protocol.activation != "own":
        changes["quick_gelu"] = protocol.activation == "quick_gelu"
    return changes


def normalise(network: nn.Module, images: Tensor) -> Tensor:
    """uint8 images [B, 3, H, W] of the network's own input size, as its default transform hands them on."""
    mean, std = (
        torch.tensor(x, device=images.device)[:, None, None]
        for x in (network.visual.image_mean, network.visual.image_std)
    )
    return (images / 255 - mean) / std


def default_device() -> str:
    """A GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def read_configuration(folder: Path) -> dict:
    """``open_clip_config.json`` of a model: its architecture in ``model_cfg``, its transform in ``preprocess_cfg``."""
    path = folder / CONFIGURATION
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: expected the folder of a model, fetched or trained")
    try:
        configuration = json.loads(path.read_text(encoding="utf-8"))
        return {"model_cfg": configuration["model_cfg"], "preprocess_cfg": configuration.get("preprocess_cfg", {})}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no configuration of open_clip ({brief(error)}): write it again") from error


def write_configuration(folder: Path, model: dict, preprocess: dict | None = None) -> None:
    """Write a model's architecture and, if it is not CLIP's, its transform, as open_clip reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"model_cfg": model, "preprocess_cfg": preprocess or {}}, indent=2)
    (folder / CONFIGURATION).write_text(text + "\n", encoding="utf-8", newline="\n")


def save_weights(clip: Clip, folder: Path) -> None:
    """Write the weights beside the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in clip.network.state_dict().items()}, folder / WEIGHTS)


def reason(error: BaseException) -> str:
    """Why a file of weights cannot be read, in short. Where it is a pickle that is refused, torch would advise to run it."""
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
        return "it is no file of tensors alone, and what else a pickle holds could run programs; take .safetensors"
    return brief(error) or "there is nothing in it"


def brief(error: BaseException) -> str:
    """An error's message on one line, cut to 200 characters."""
    return " ".join(str(error).split())[:200]
