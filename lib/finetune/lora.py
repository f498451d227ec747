"""LoRA adapters (Hu et al., arXiv 2106.09685) on the image tower of an open_clip model, by peft."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils import SAFETENSORS_WEIGHTS_NAME, WEIGHTS_NAME
from torch import Tensor, nn

from clip360.finetune.attention import fuse_attention, separate_attention
from clip360.finetune.files import CONFIGURATION
from clip360.models.clip import UNREADABLE, Clip, reason

# Modules adapted. `released` is the list of the paper's script, of which peft and nn.MultiheadAttention leave only c_fc
# alive; `attention` adapts all projections of attention and MLP, the former separated into modules of their own.
TARGETS = {
    "released": ("in_proj", "out_proj", "c_fc"),
    "attention": ("query", "key", "value", "out", "c_fc", "c_proj"),
}


def attach_lora(clip: Clip, *, targets: str, rank: int, alpha: float, dropout: float, seed: int) -> Clip:
    """The model with new adapters on its image tower, all else frozen; no score moves before training, since B = 0.

    Works on the network in place. Raises RuntimeError if, with ``targets`` "attention", an adapter gets no gradient or
    does not change the output by exactly its update ΔW.
    """
    if targets not in TARGETS:
        raise ValueError(f"targets is {targets!r}: expected one of {', '.join(TARGETS)}")
    network = clip.network.requires_grad_(False)
    if targets == "attention":
        separate_attention(network.visual)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        bias="none",
        target_modules=list(TARGETS[targets]),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network.visual = get_peft_model(network.visual, config)
    if targets == "attention":
        report = examine_adapters(clip)
        for row in report[~report.gradient | ((report.applied - 1).abs() > 0.01)].itertuples():
            raise RuntimeError(
                f"the adapter on {row.module} gets {'a' if row.gradient else 'no'} gradient and its update acts"
                f" {row.applied:.2f} times: expected a gradient, and once"
            )
    return clip


def examine_adapters(clip: Clip, *, seed: int = 0) -> pd.DataFrame:
    """Which adapters work: columns module, parameters, gradient (does it get one?), applied.

    ``applied`` is how often an update ΔW of this adapter alone acts on the tower's output for two random pictures: the
    change it makes, in units of the change that W + ΔW makes. It is 1 for a working adapter, 0 for a dead one.
    """
    tower, generator = clip.network.visual, torch.Generator().manual_seed(seed)
    training = tower.training
    tower.eval()
    height, width = tower.image_size if isinstance(tower.image_size, (list, tuple)) else (tower.image_size,) * 2
    pictures = torch.randn(2, 3, height, width, generator=generator).to(clip.device)
    before = tower(pictures)
    (before * torch.randn(before.shape, generator=generator).to(clip.device)).sum().backward()
    rows = []
    for name, layer in adapters(tower).items():
        gradient = layer.lora_B["default"].weight.grad
        rows.append(
            {
                "module": name,
                "parameters": sum(p.numel() for p in layer.parameters() if p.requires_grad),
                "gradient": gradient is not None and bool(gradient.any()),
                "applied": _applied(tower, layer, pictures, before.detach(), generator),
            }
        )
    tower.zero_grad()
    tower.train(training)
    return pd.DataFrame(rows)


@torch.no_grad()
def _applied(tower: nn.Module, layer: LoraLayer, pictures: Tensor, before: Tensor, generator: torch.Generator) -> float:
    """Change of the output by one adapter with a random B, projected on the change by the same update merged into W."""
    weight, b = layer.get_base_layer().weight, layer.lora_B["default"].weight
    kept_weight, kept_b = weight.clone(), b.clone()
    b.copy_(1e-2 * torch.randn(b.shape, generator=generator))
    adapted = tower(pictures) - before
    weight.add_(layer.get_delta_weight("default"))
    b.zero_()
    merged = tower(pictures) - before
    weight.copy_(kept_weight)
    b.copy_(kept_b)
    return float((adapted * merged).sum() / merged.square().sum())


def adapters(tower: nn.Module) -> dict[str, LoraLayer]:
    """The adapted modules of an image tower, by name."""
    prefix = "base_model.model."
    return {name.removeprefix(prefix): layer for name, layer in tower.named_modules() if isinstance(layer, LoraLayer)}


def save_adapter(clip: Clip, folder: Path) -> None:
    """Write the adapters in PEFT's own format, the same bytes for the same weights."""
    clip.network.visual.save_pretrained(folder, save_embedding_layers=False)
    path = folder / CONFIGURATION
    configuration = json.loads(path.read_text(encoding="utf-8"))
    configuration["base_model_name_or_path"] = clip.name
    configuration["target_modules"] = sorted(configuration["target_modules"])  # PEFT writes a set
    path.write_text(json.dumps(configuration, indent=2, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def load_adapter(clip: Clip, folder: str | Path) -> Clip:
    """The model with saved adapters, named after their folder; works on the network in place."""
    path = Path(folder, CONFIGURATION)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: expected the folder of an adapter in PEFT's format")
    if not any(Path(folder, file).is_file() for file in (SAFETENSORS_WEIGHTS_NAME, WEIGHTS_NAME)):
        # peft would take the folder for the name of a hub's repository.
        raise FileNotFoundError(
            f"{folder} holds no weights ({SAFETENSORS_WEIGHTS_NAME} or {WEIGHTS_NAME}): train again"
        )
    network = clip.network.requires_grad_(False)
    try:
        wanted = set(json.loads(path.read_text(encoding="utf-8"))["target_modules"])
        if wanted == set(TARGETS["attention"]):
            separate_attention(network.visual)
        network.visual = PeftModel.from_pretrained(network.visual, folder).eval()
    except UNREADABLE as error:
        raise ValueError(f"the adapter {folder} does not fit the model {clip.name}: {reason(error)}") from error
    return replace(clip, name=Path(folder).name)


def merge_adapter(clip: Clip) -> Clip:
    """The model with its adapters merged into the weights: a plain open_clip model again; in place."""
    clip.network.visual = clip.network.visual.merge_and_unload()
    fuse_attention(clip.network.visual)
    return clip
