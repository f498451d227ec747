"""What the models of a profile cannot do, from the configurations of their architectures alone: known before anything runs.

open_clip's own ViTs can do everything, but that adapters do not fit the attentional pooling of CoCa. Of an image tower of timm (SigLIP, SigLIP 2,
ConvNeXt, EVA, MobileCLIP) or a ResNet neither input nor positional embedding can be changed as here, nor is there an nn.MultiheadAttention for
adapters; heads do not fit a tower of timm. A model of a hub is judged once it is fetched.
"""

import json
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

HUB = "hf-hub:"
FETCHED = "open_clip_config.json"  # in the folder of a fetched model
# Adaptation methods by what they train: attention whose projections can be told apart, other parts of open_clip's own ViTs, or heads.
OF_ATTENTION = (
    *("lora_attention", "distilled"),
    *("omniview", "omniview_offset", "omniview_all_views", "omniview_panoramas_only"),
)
OF_VIT = (
    *("lora_as_released", "positional_embedding", "last_block"),
    *("distilled_periodic", "distilled_anti_aliased", "distilled_adaptive"),
)
# Heads are as wide as a tower of open_clip says, and one of timm does not.
HEADS = ("linear_head", "mlp_head", "image_head", "text_head")
REPLACED_PARTS = ("positional_embedding", "tokenisation", "pooling")  # of one of open_clip's own ViTs, without training


@cache
def open_clip_architectures() -> dict[str, Path]:
    """The configuration files of the installed open_clip, which is not imported, by architecture; none if it is not installed."""
    package = find_spec("open_clip")
    folders = package.submodule_search_locations if package else []
    return {file.stem: file for folder in folders for file in Path(folder, "model_configs").glob("*.json")}


def impossible(sections: dict) -> Iterator[tuple[str, str]]:
    """The paths of parameters that ask of a model what it cannot do, each with what is wrong."""
    towers = {model: _image_tower(sections, model) for model in sections["weights"]}
    others = {model for model, tower in towers.items() if tower is not None and not is_own_vit(tower)}
    not_wide = {model for model, tower in towers.items() if tower is not None and not has_wide_view(tower)}
    for path, model, view in _views(sections):
        if view == "wide" and model in not_wide:
            yield (
                path,
                f"has the view wide, which needs a square ViT of open_clip: {model} is none, leave out one of the two",
            )
    for k, model in enumerate(sections["crop_or_model"]["token_analysis"]["models"]):
        if model in others:
            yield (
                f"crop_or_model.token_analysis.models[{k}]",
                f"is {model}, whose image tower has no tokens and positional embedding to analyse: expected one of open_clip's own ViTs",
            )
    for path, run in _runs(sections):
        if towers.get(run["model"]) is not None and not can_train(towers[run["model"]], run["method"]):
            problem = f"is {run['method']}, which trains parts that the image tower of {run['model']} does not have"
            yield f"{path}.method", f"{problem}: expected one that trains whole towers, such as distilled_tower"
    for model, methods in sections["adaptation"]["training_free"].items():
        for name, method in methods.items():
            for part in REPLACED_PARTS:
                if model in others and (kind := method.get(part, "own")) != "own":
                    path = f"adaptation.training_free.{model}.{name}.{part}"
                    yield path, f"is {kind}, but {model} is none of open_clip's own ViTs: leave {name} out"


def is_own_vit(tower: dict) -> bool:
    """Is an image tower, open_clip's ``vision_cfg``, one of open_clip's own ViTs?"""
    return "timm_model_name" not in tower and isinstance(tower.get("layers", 12), int)


def has_wide_view(tower: dict) -> bool:
    """Can the input of an image tower, open_clip's ``vision_cfg``, be twice as wide?"""
    return is_own_vit(tower) and isinstance(tower.get("image_size", 224), int)


def can_train(tower: dict, method: str) -> bool:
    """Does an image tower, open_clip's ``vision_cfg``, have what an adaptation method trains?"""
    if method in OF_ATTENTION:
        return is_own_vit(tower) and not tower.get("attentional_pool", False)
    if method in HEADS:
        return "timm_model_name" not in tower
    return is_own_vit(tower) or method not in OF_VIT


def _views(sections: dict) -> Iterator[tuple[str, str, str | None]]:
    """Where a view is named, the model that it is named for, and the view."""
    study, ablations = sections["crop_or_model"], sections["protocol_ablations"]
    tokens = study["token_analysis"]
    for model in sections["models"]:
        yield "protocol.view", model, sections["protocol"]["view"]
        for k, view in enumerate(study["views"]):
            yield f"crop_or_model.views[{k}]", model, view
    for model in ablations["models"]:
        for name, changes in ablations["variants"].items():
            yield f"protocol_ablations.variants.{name}", model, changes.get("view")
    for model in tokens["models"]:
        for k, view in enumerate(tokens["views"]):
            yield f"crop_or_model.token_analysis.views[{k}]", model, view
    for path, run in _runs(sections):
        yield path, run["model"], run.get("view")
    for model, methods in sections["adaptation"]["training_free"].items():
        for name, method in methods.items():
            yield f"adaptation.training_free.{model}.{name}", model, method.get("view")


def _runs(sections: dict) -> Iterator[tuple[str, dict]]:
    """All fine-tuning runs, by their paths."""
    for section in ("finetune", "adaptation"):
        yield from ((f"{section}.runs.{name}", run) for name, run in sections[section]["runs"].items())


def _image_tower(sections: dict, model: str) -> dict | None:
    """The ``vision_cfg`` of a model to fetch; None where no file on this machine says it."""
    name = sections["weights"][model]["architecture"]
    if name.startswith(HUB):
        path = Path("results", sections["profile"], "models", model, FETCHED)
    else:
        path = Path(name) if name.endswith(".json") else open_clip_architectures().get(name)
    try:
        stored = json.loads(path.read_text(encoding="utf-8")) if path else {}
        return stored.get("model_cfg", stored).get("vision_cfg")
    except (OSError, ValueError, AttributeError):  # the stage that fetches the model says what is wrong with the file
        return None
