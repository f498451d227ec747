"""What the stages of fine-tuning share: the run that a stage's name points to, its panoramas, and those to choose runs by."""

from dataclasses import replace
from pathlib import Path

from clip360.data.image_set import ImageSet, load_image_set
from clip360.finetune.methods import load_tuned
from clip360.models.clip import Clip
from clip360.names import VALIDATION
from pipeline.inputs import read_model


def read_run(params: dict, name: str) -> dict:
    """The fine-tuning run that params.yaml calls ``name``."""
    runs = params["finetune"]["runs"]
    if name not in runs:
        raise ValueError(f"there is no run {name} in params.yaml: choose one of {', '.join(runs)}")
    return runs[name]


def read_protocol_of(run: dict) -> dict:
    """What a run changes in the protocol: the view of a panorama, if it names one."""
    return {"view": run["view"]} if "view" in run else {}


def read_tuned(params: dict, name: str) -> Clip:
    """The model that the run ``name`` made of its frozen one."""
    run = read_run(params, name)
    base = read_model(params, run["model"], **read_protocol_of(run))
    return load_tuned(base, Path("results", params["profile"], "adapters", name))


def read_training(params: dict) -> tuple[ImageSet, ImageSet | None]:
    """The panoramas to fine-tune on, and those set aside to choose runs by, if any are."""
    pictures, aside = load_image_set(params["finetune"]["image_set"]), params["finetune"]["validation"]
    count = len(pictures.table)
    if not 0 <= aside < count:
        raise ValueError(f"finetune.validation is {aside}: expected at least 0 and fewer than the {count} panoramas")
    validation = replace(pictures, name=VALIDATION, table=pictures.table.tail(aside)) if aside else None
    return pictures.head(count - aside), validation
