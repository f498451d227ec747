"""The roads to invariance by name: what is trained, what is optimised. A new one is a part or an objective, and a line here."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from clip360.finetune import trainable_parts
from clip360.finetune.distillation import Distillation
from clip360.finetune.files import CONFIGURATION, DESCRIPTION, TRAINED
from clip360.finetune.lora import attach_lora, load_adapter, merge_adapter, save_adapter
from clip360.finetune.objectives import Objective, ShiftLoss
from clip360.finetune.omniview import Omniview
from clip360.finetune.reprojection import Reprojection
from clip360.models.clip import UNREADABLE, Clip, reason


@dataclass(frozen=True)
class Strategy:
    """A road to invariance: ``attach`` says what is trained, ``objective`` what is optimised; how an image is encoded
    afterwards follows from the first, under the view that its run names.

    ``photographs``: does it see ordinary photographs beside the panoramas? ``moved``: the panoramas from a second
    viewpoint too? ``reads``: is the text side trained?
    """

    attach: Callable[..., Clip]
    objective: Callable[..., Objective] = ShiftLoss
    photographs: bool = False
    moved: bool = False
    reads: bool = False


_LORA = {targets: partial(attach_lora, targets=targets) for targets in ("released", "attention")}
STRATEGIES = {
    # The paper's (arXiv 2604.24642).
    **{targets: Strategy(attach) for targets, attach in _LORA.items()},
    # Its loss, on other trainable_parts.
    "positions": Strategy(trainable_parts.positions),
    "last_block": Strategy(trainable_parts.last_block),
    "image_tower": Strategy(trainable_parts.image_tower),
    "text_tower": Strategy(trainable_parts.text_tower, reads=True),
    "both_towers": Strategy(trainable_parts.both_towers, reads=True),
    # Omniview-Tuning (arXiv 2404.12139), with camera translations, and its ablations.
    "omniview": Strategy(trainable_parts.gated_lora, Omniview, photographs=True),
    "omniview_moved": Strategy(trainable_parts.gated_lora, Omniview, photographs=True, moved=True),
    "omniview_all_views": Strategy(trainable_parts.gated_lora, partial(Omniview, all_views=True), photographs=True),
    "omniview_panoramas_only": Strategy(trainable_parts.gated_lora, Omniview),
    # Heads on frozen embeddings (arXiv 2404.03539).
    "linear_head": Strategy(
        partial(trainable_parts.heads, kind="linear", image=True, text=True), Reprojection, reads=True
    ),
    "mlp_head": Strategy(partial(trainable_parts.heads, kind="mlp", image=True, text=True), Reprojection, reads=True),
    "image_head": Strategy(partial(trainable_parts.heads, kind="linear", image=True, text=False), Reprojection),
    "text_head": Strategy(
        partial(trainable_parts.heads, kind="linear", image=False, text=True), Reprojection, reads=True
    ),
    # The mean over shifts in one pass.
    "distilled": Strategy(_LORA["attention"], Distillation, photographs=True),
    "distilled_tower": Strategy(trainable_parts.image_tower, Distillation, photographs=True),
}


def find_strategy(name: str) -> Strategy:
    """The strategy of a name; ValueError if there is none."""
    if name not in STRATEGIES:
        raise ValueError(f"strategy is {name!r}: expected one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def trained(clip: Clip) -> dict[str, Tensor]:
    """The weights of a model that are trained, by name."""
    return {name: weight for name, weight in clip.network.named_parameters() if weight.requires_grad}


def save_tuned(clip: Clip, folder: Path, name: str, *, adapter: dict, passes: dict[str, int]) -> None:
    """Write what a strategy trained, LoRA in PEFT's own format, and how: the same bytes for the same weights.

    ``passes`` counts the pictures that went through the image tower in training.
    """
    weights = {key: weight.detach().cpu().contiguous() for key, weight in trained(clip).items()}
    if find_strategy(name).attach in _LORA.values():
        save_adapter(clip, folder)
    else:
        save_file(weights, folder / TRAINED)
    facts = {
        "strategy": name,
        "adapter": adapter,
        "trainable": sum(weight.numel() for weight in weights.values()),
        "passes": passes,
    }
    (folder / DESCRIPTION).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8", newline="\n")


def load_tuned(clip: Clip, folder: str | Path) -> Clip:
    """The model as a strategy trained it, named after the folder; works on the network in place."""
    folder = Path(folder)
    if (folder / CONFIGURATION).is_file():
        return merge_adapter(load_adapter(clip, folder))
    if not (folder / DESCRIPTION).is_file():
        raise FileNotFoundError(
            f"{folder} holds neither {CONFIGURATION} nor {DESCRIPTION}: expected a fine-tuned model"
        )
    try:
        facts = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        clip = find_strategy(facts["strategy"]).attach(clip, **facts["adapter"])
        weights = load_file(folder / TRAINED)
        faults = clip.network.load_state_dict(weights, strict=False)
    except UNREADABLE as error:
        raise ValueError(f"{folder} does not fit the model {clip.name}: {reason(error)}") from error
    if faults.unexpected_keys or weights.keys() != trained(clip).keys():
        raise ValueError(
            f"{folder} does not fit the model {clip.name}: it holds other weights than its strategy trains"
        )
    clip.network.requires_grad_(False).eval()
    return replace(clip, name=folder.name)
