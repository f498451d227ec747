"""The adaptation methods by name: what each trains and what it optimises.

A new method is one line in ``METHODS``, with a new function of ``trainable_parts`` or a new ``Objective`` where it needs one.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from clip360.finetune import trainable_parts
from clip360.finetune.distillation import Distillation
from clip360.finetune.files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, METHOD_FILE, TRAINED_WEIGHTS
from clip360.finetune.lora import attach_lora, load_adapter, merge_adapter, save_adapter
from clip360.finetune.objectives import Objective, ShiftLoss
from clip360.finetune.omniview import Omniview
from clip360.finetune.reprojection import Reprojection
from clip360.models.clip import UNREADABLE, Clip, reason
from clip360.models.positional_embeddings import make_plain


@dataclass(frozen=True)
class AdaptationMethod:
    """One way to adapt a CLIP to panoramas.

    ``trains`` says in words which weights are trained, ``attach`` freezes all others and adds what the method adds to the
    network, ``objective`` is what training optimises. ``perspective_views``: does it train on perspective views next to
    the panoramas? ``uses_offset``: on panoramas from a second, offset viewpoint, too? ``trains_text``: is the text side
    trained? ``needs_clip360``: does the trained network compute what open_clip's own cannot, such as heads or other tokens?
    """

    trains: str
    attach: Callable[..., Clip]
    objective: Callable[..., Objective] = ShiftLoss
    perspective_views: bool = False
    uses_offset: bool = False
    trains_text: bool = False
    needs_clip360: bool = False

    @property
    def needs_captions(self) -> bool:
        """Does it compare panoramas with their captions?"""
        return getattr(self.objective, "func", self.objective).needs_texts

    @property
    def is_lora(self) -> bool:
        """Are LoRA adapters all that it trains? They are saved in PEFT's format."""
        return getattr(self.attach, "func", None) is attach_lora

    @property
    def uses_lora(self) -> bool:
        """Are LoRA adapters among what it trains?"""
        return self.is_lora or self.attach is trainable_parts.gated_lora

    @property
    def weights_file(self) -> str:
        """The file that holds the trained weights."""
        return ADAPTER_WEIGHTS if self.is_lora else TRAINED_WEIGHTS


def _lora(targets: str) -> Callable[..., Clip]:
    return partial(attach_lora, targets=targets)


def _heads(kind: str, *, image: bool, text: bool) -> Callable[..., Clip]:
    return partial(trainable_parts.heads, kind=kind, image=image, text=text)


_GATED = (
    "LoRA adapters on the image tower, a gated module on its embedding and the temperature",
    trainable_parts.gated_lora,
)
_IMAGE_TOWER = ("the image tower", trainable_parts.image_tower)
_ATTENTION = ("LoRA adapters on all attention and MLP projections of the image tower", _lora("lora_attention"))

METHODS = {
    # The paper's (arXiv 2604.24642).
    "lora_as_released": AdaptationMethod(
        "LoRA adapters on the target modules of the paper's script", _lora("lora_as_released")
    ),
    "lora_attention": AdaptationMethod(*_ATTENTION),
    # The paper's loss on other parts of the network.
    "positional_embedding": AdaptationMethod(
        "the positional embedding of the image tower", trainable_parts.positional_embedding
    ),
    "last_block": AdaptationMethod("the last transformer block of the image tower", trainable_parts.last_block),
    "image_tower": AdaptationMethod(*_IMAGE_TOWER),
    "text_tower": AdaptationMethod("the text tower", trainable_parts.text_tower, trains_text=True),
    "both_towers": AdaptationMethod("the image and the text tower", trainable_parts.both_towers, trains_text=True),
    # Omniview-Tuning (arXiv 2404.12139), also with camera translations, and its ablations.
    "omniview": AdaptationMethod(*_GATED, Omniview, perspective_views=True, needs_clip360=True),
    "omniview_offset": AdaptationMethod(
        *_GATED, Omniview, perspective_views=True, uses_offset=True, needs_clip360=True
    ),
    "omniview_all_views": AdaptationMethod(
        *_GATED, partial(Omniview, all_views=True), perspective_views=True, needs_clip360=True
    ),
    "omniview_panoramas_only": AdaptationMethod(*_GATED, Omniview, needs_clip360=True),
    # Heads on frozen embeddings (arXiv 2404.03539).
    "linear_head": AdaptationMethod(
        "linear heads on the image and the text embedding",
        _heads("linear", image=True, text=True),
        Reprojection,
        trains_text=True,
        needs_clip360=True,
    ),
    "mlp_head": AdaptationMethod(
        "MLP heads on the image and the text embedding",
        _heads("mlp", image=True, text=True),
        Reprojection,
        trains_text=True,
        needs_clip360=True,
    ),
    "image_head": AdaptationMethod(
        "a linear head on the image embedding",
        _heads("linear", image=True, text=False),
        Reprojection,
        needs_clip360=True,
    ),
    "text_head": AdaptationMethod(
        "a linear head on the text embedding",
        _heads("linear", image=False, text=True),
        Reprojection,
        trains_text=True,
        needs_clip360=True,
    ),
    # The mean over shifts, distilled into one pass.
    "distilled": AdaptationMethod(*_ATTENTION, Distillation, perspective_views=True),
    "distilled_tower": AdaptationMethod(*_IMAGE_TOWER, Distillation, perspective_views=True),
    "distilled_canonical": AdaptationMethod(
        "the image tower, which receives a panorama at its canonical yaw",
        trainable_parts.canonical_image_tower,
        Distillation,
        perspective_views=True,
        needs_clip360=True,
    ),
    # The same with a network that respects turns (arXiv 1904.11486, 2305.16316); the distilled part is then the new one, or all.
    "distilled_periodic": AdaptationMethod(
        "a positional embedding of the image tower that is periodic along the width",
        trainable_parts.periodic_positions,
        Distillation,
        perspective_views=True,
    ),
    "distilled_anti_aliased": AdaptationMethod(
        "the patch embedding of the image tower, which blurs images along the width before it samples them",
        trainable_parts.anti_aliased_patches,
        Distillation,
        perspective_views=True,
        needs_clip360=True,
    ),
    "distilled_adaptive": AdaptationMethod(
        "the image tower, with a patch grid that moves with the content and a positional embedding of rows alone",
        trainable_parts.equivariant_image_tower,
        Distillation,
        perspective_views=True,
        needs_clip360=True,
    ),
}


def find_method(name: str) -> AdaptationMethod:
    """The adaptation method of that name; ValueError if there is none."""
    if name not in METHODS:
        raise ValueError(f"method is {name!r}: expected one of {', '.join(METHODS)}")
    return METHODS[name]


def trained_weights(clip: Clip) -> dict[str, Tensor]:
    """The weights of a model that are trained, by name."""
    return {name: weight for name, weight in clip.network.named_parameters() if weight.requires_grad}


def save_finetuned(
    clip: Clip,
    folder: Path,
    *,
    method: str,
    lam: float,
    shift_range: tuple[float, float],
    view: str | None = None,
    lora: Mapping,
    optimisation: Mapping,
    images: Mapping[str, int],
) -> None:
    """Write the trained weights and ``method.json`` to an existing folder; equal weights give equal bytes.

    LoRA adapters are written in PEFT's format, all other weights as one safetensors file. ``clip`` is named after its
    frozen model. ``view`` is how the run shows a panorama to the model, None where it follows the protocol; ``lora`` holds
    rank, alpha, dropout and seed, ``optimisation`` the optimiser's arguments of ``fine_tune``. ``images`` counts the images
    that went through the image tower in training: ``with_gradient`` and ``without_gradient``.
    """
    weights = {name: weight.detach().cpu().contiguous() for name, weight in trained_weights(clip).items()}
    if find_method(method).is_lora:
        save_adapter(clip, folder)
    else:
        save_file(weights, folder / TRAINED_WEIGHTS)
    spec = {
        "model": clip.name,
        "method": method,
        "lam": lam,
        "shift_range": list(shift_range),
        "view": view,
        "lora": dict(lora),
        "optimisation": dict(optimisation),
        "trainable_parameters": sum(weight.numel() for weight in weights.values()),
        "images": dict(images),
    }
    (folder / METHOD_FILE).write_text(json.dumps(spec, indent=2) + "\n", encoding="utf-8", newline="\n")


def load_finetuned(clip: Clip, folder: str | Path) -> Clip:
    """The frozen model ``clip`` with the weights of a fine-tuned one, named after the folder; changes the network in place.

    Reads any folder of LoRA adapters in PEFT's format, and what ``save_finetuned`` wrote. Raises FileNotFoundError where
    the folder holds neither, ValueError where its weights do not fit the model.
    """
    folder = Path(folder)
    if (folder / ADAPTER_CONFIG).is_file():
        return merge_adapter(load_adapter(clip, folder))
    if not (folder / METHOD_FILE).is_file():
        raise FileNotFoundError(
            f"{folder} holds neither {ADAPTER_CONFIG} nor {METHOD_FILE}: expected the folder of a fine-tuned model"
        )
    try:
        spec = json.loads((folder / METHOD_FILE).read_text(encoding="utf-8"))
        clip = find_method(spec["method"]).attach(clip, **spec["lora"])
        weights = load_file(folder / TRAINED_WEIGHTS)
        mismatch = clip.network.load_state_dict(weights, strict=False)
    except UNREADABLE as error:
        raise ValueError(f"{folder} does not fit the model {clip.name}: {reason(error)}") from error
    if mismatch.unexpected_keys or weights.keys() != trained_weights(clip).keys():
        raise ValueError(
            f"{folder} does not fit the model {clip.name}: {TRAINED_WEIGHTS} holds other weights than the method"
            f" {spec['method']} trains, train again"
        )
    make_plain(clip.network.visual)
    clip.network.requires_grad_(False).eval()
    return replace(clip, name=folder.name)
