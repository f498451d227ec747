"""CLIP models as open_clip builds them: the network with its weights, its default transform and its tokenizer."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
from PIL.Image import Image
from safetensors.torch import save_file
from torch import Tensor, nn


@dataclass(frozen=True)
class Clip:
    """A CLIP model in evaluation mode. ``preprocess`` turns a PIL image into [3, H, W]; ``tokenize`` texts into [T, L]."""

    name: str
    network: nn.Module
    preprocess: Callable[[Image], Tensor]
    tokenize: Callable[[list[str]], Tensor]

    @property
    def device(self) -> torch.device:
        return self.network.logit_scale.device


def load_clip(name: str, *, architecture: str, pretrained: str, device: str | None = None) -> Clip:
    """Load the model called ``name``, on a GPU if there is one and ``device`` is None.

    ``architecture`` is a name open_clip knows, or the path of a configuration JSON (named as the architecture);
    ``pretrained`` a tag open_clip knows for it, or the path of a checkpoint. Raises ValueError or FileNotFoundError.
    """
    builtin, device = register_architecture(architecture), device or default_device()
    tags = open_clip.list_pretrained_tags_by_model(builtin)
    if pretrained not in tags and not Path(pretrained).is_file():
        raise FileNotFoundError(
            f"model {name}: {pretrained} is neither a checkpoint file nor one of the weights of {builtin}"
            f" ({', '.join(tags) or 'none are published'}): train it, or correct `pretrained`"
        )
    try:
        network, _, preprocess = open_clip.create_model_and_transforms(builtin, pretrained=pretrained, device=device)
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"model {name}: the weights {pretrained} do not fit the architecture {builtin}: {reason}"
        ) from error
    return Clip(name, network.eval(), preprocess, open_clip.get_tokenizer(builtin))


def register_architecture(architecture: str) -> str:
    """Make an architecture known to open_clip, from its JSON file if it is one, and return its name."""
    path = Path(architecture)
    if path.suffix == ".json":
        if not path.is_file():
            raise FileNotFoundError(
                f"the model configuration {path} does not exist: train the model, or correct the path"
            )
        open_clip.add_model_config(path)
        return path.stem
    if architecture not in open_clip.list_models():
        raise ValueError(
            f"{architecture} is no architecture of open_clip and no .json file: see open_clip.list_models()"
        )
    return architecture


def new_clip(name: str, *, architecture: str, seed: int, device: str | None = None) -> Clip:
    """An untrained model, its weights drawn from ``seed``."""
    builtin = register_architecture(architecture)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network, _, preprocess = open_clip.create_model_and_transforms(builtin)
    return Clip(name, network.eval().to(device or default_device()), preprocess, open_clip.get_tokenizer(builtin))


def default_device() -> str:
    """A GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def write_architecture(path: Path, configuration: dict) -> None:
    """Write an open_clip model configuration."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(configuration, indent=2) + "\n", encoding="utf-8", newline="\n")


def save_weights(clip: Clip, path: Path) -> None:
    """Write the weights as a checkpoint that open_clip loads by its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in clip.network.state_dict().items()}, path)
