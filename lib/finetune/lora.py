"""LoRA adapters (Hu et al., arXiv 2106.09685) on the image tower of an open_clip model, by PEFT.

PEFT imports transformers, which takes seconds: each function here imports it when it is called.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor, nn

from clip360.finetune.attention import fuse_attention, separate_attention
from clip360.finetune.files import ADAPTER_CONFIG
from clip360.models.clip import UNREADABLE, Clip, reason

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer

# The modules that get an adapter. `lora_as_released` is the list of the paper's script: `in_proj` matches no module, and
# nn.MultiheadAttention bypasses the adapter on `out_proj`, so that only `c_fc` learns. `lora_attention` adapts all
# projections of attention and MLP; the attention is first separated into modules.
TARGETS = {
    "lora_as_released": ("in_proj", "out_proj", "c_fc"),
    "lora_attention": ("query", "key", "value", "out", "c_fc", "c_proj"),
}


def attach_lora(clip: Clip, *, targets: str, rank: int, alpha: float, dropout: float, seed: int) -> Clip:
    """The model with new adapters on its image tower and all other weights frozen; changes the network in place.

    Before training no score changes, since B = 0. ``targets`` is a key of ``TARGETS``; ValueError for another. Raises
    RuntimeError if, with "lora_attention", an adapter gets no gradient or does not change the output by its update ΔW.
    """
    from peft import LoraConfig, get_peft_model

    if targets not in TARGETS:
        raise ValueError(f"targets is {targets!r}: expected one of {', '.join(TARGETS)}")
    network = clip.network.requires_grad_(False)
    if targets == "lora_attention":
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
    if targets == "lora_attention":
        report = check_adapters(clip)
        for row in report[~report.gradient | ((report.applied - 1).abs() > 0.01)].itertuples():
            raise RuntimeError(
                f"the adapter on {row.module} gets {'a' if row.gradient else 'no'} gradient and its update acts"
                f" {row.applied:.2f} times: expected a gradient, and once"
            )
    return clip


def check_adapters(clip: Clip, *, seed: int = 0) -> pd.DataFrame:
    """Which adapters work, one row each: columns module, parameters (trainable), gradient (does it get one?), applied.

    ``applied`` is how many times the update ΔW of this adapter alone acts on the tower's output for two random images:
    the change by the adapter, in units of the change by W + ΔW. It is 1 for a working adapter and 0 for a dead one.
    Leaves weights, gradients and mode as they were.
    """
    tower, generator = clip.network.visual, torch.Generator().manual_seed(seed)
    training = tower.training
    tower.eval()
    height, width = tower.image_size if isinstance(tower.image_size, (list, tuple)) else (tower.image_size,) * 2
    images = torch.randn(2, 3, height, width, generator=generator).to(clip.device)
    output = tower(images)
    (output * torch.randn(output.shape, generator=generator).to(clip.device)).sum().backward()
    rows = []
    for name, layer in lora_layers(tower).items():
        gradient = layer.lora_B["default"].weight.grad
        rows.append(
            {
                "module": name,
                "parameters": sum(p.numel() for p in layer.parameters() if p.requires_grad),
                "gradient": gradient is not None and bool(gradient.any()),
                "applied": _times_applied(tower, layer, images, output.detach(), generator),
            }
        )
    tower.zero_grad()
    tower.train(training)
    return pd.DataFrame(rows)


@torch.no_grad()
def _times_applied(
    tower: nn.Module, layer: "LoraLayer", images: Tensor, output: Tensor, generator: torch.Generator
) -> float:
    """The output's change by one adapter with a random B, projected on the change by the same update merged into W."""
    weight, b = layer.get_base_layer().weight, layer.lora_B["default"].weight
    original_weight, original_b = weight.clone(), b.clone()
    b.copy_(1e-2 * torch.randn(b.shape, generator=generator))
    by_adapter = tower(images) - output
    weight.add_(layer.get_delta_weight("default"))
    b.zero_()
    by_merged_weight = tower(images) - output
    weight.copy_(original_weight)
    b.copy_(original_b)
    return float((by_adapter * by_merged_weight).sum() / by_merged_weight.square().sum())


def lora_layers(tower: nn.Module) -> dict[str, "LoraLayer"]:
    """The modules of an image tower that have an adapter, by name."""
    from peft.tuners.lora import LoraLayer

    prefix = "base_model.model."
    return {name.removeprefix(prefix): layer for name, layer in tower.named_modules() if isinstance(layer, LoraLayer)}


def save_adapter(clip: Clip, folder: Path) -> None:
    """Write the adapters in PEFT's format; equal weights give equal bytes."""
    clip.network.visual.save_pretrained(folder, save_embedding_layers=False)
    path = folder / ADAPTER_CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = clip.name
    config["target_modules"] = sorted(config["target_modules"])  # PEFT writes a set, in no fixed order
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def load_adapter(clip: Clip, folder: str | Path) -> Clip:
    """The model with adapters in PEFT's format, named after their folder; changes the network in place.

    Raises FileNotFoundError where configuration or weights are missing, ValueError where they do not fit the model.
    """
    from peft import PeftModel
    from peft.utils import SAFETENSORS_WEIGHTS_NAME, WEIGHTS_NAME

    path = Path(folder, ADAPTER_CONFIG)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: expected the folder of an adapter in PEFT's format")
    if not any(Path(folder, file).is_file() for file in (SAFETENSORS_WEIGHTS_NAME, WEIGHTS_NAME)):
        # PEFT would take the folder's name for that of a repository on the Hugging Face Hub.
        raise FileNotFoundError(
            f"{folder} holds no weights ({SAFETENSORS_WEIGHTS_NAME} or {WEIGHTS_NAME}): train again"
        )
    network = clip.network.requires_grad_(False)
    try:
        target_modules = set(json.loads(path.read_text(encoding="utf-8"))["target_modules"])
        if target_modules == set(TARGETS["lora_attention"]):
            separate_attention(network.visual)
        network.visual = PeftModel.from_pretrained(network.visual, folder).eval()
    except UNREADABLE as error:
        raise ValueError(f"the adapter {folder} does not fit the model {clip.name}: {reason(error)}") from error
    return replace(clip, name=Path(folder).name)


def merge_adapter(clip: Clip) -> Clip:
    """The model with its adapters merged into its weights, a plain open_clip model again; changes the network in place."""
    clip.network.visual = clip.network.visual.merge_and_unload()
    fuse_attention(clip.network.visual)
    return clip
