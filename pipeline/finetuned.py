"""What the stages of fine-tuned models share: a run's parameters, its model, and the panoramas of fine-tuning."""

from dataclasses import replace
from pathlib import Path

from clip360.data.image_set import ImageSet
from clip360.finetune.methods import load_finetuned
from clip360.finetune.run import Recipe
from clip360.models.clip import Clip
from clip360.names import VALIDATION
from pipeline.error_messages import nearest
from pipeline.inputs import load_finetuning_set, read_model
from pipeline.parameters import Parameters, Run


def read_run(params: Parameters, name: str) -> Run:
    """The parameters of the fine-tuning run ``name``; ValueError if params.yaml has none of that name."""
    if name not in params.runs:
        names = ", ".join(params.runs) or "none, this profile fine-tunes no model"
        raise ValueError(
            f"finetune.runs and adaptation.runs in params.yaml have no run {name}: choose one of"
            f" {names}{nearest(name, params.runs)}"
        )
    return params.runs[name]


def study_of(params: Parameters, name: str) -> str:
    """The study that the run ``name`` is for, after which folders of its results are named: `tradeoff` or `adaptation`."""
    return "adaptation" if name in params.adaptation.runs else "tradeoff"


def protocol_changes(view: str | None) -> dict[str, str]:
    """What a run changes in the protocol: the view of a panorama, unless it names none."""
    return {} if view is None else {"view": view}


def recipe_of(params: Parameters, run: Run) -> Recipe:
    """How a run is trained: its own parameters, and those of `finetune` where it has none."""
    section = params.finetune
    return Recipe(
        method=run.method,
        lam=run.lam,
        shift_range=run.shift_range,
        n_shifts=section.n_shifts,
        n_worst=section.n_worst,
        perspective_cue=section.perspective_views.cue,
        perspective_fov=section.perspective_views.fov,
        lora=section.lora.model_dump(),
        optimisation=section.optimisation.model_dump() | run.model_dump(include={"lr", "epochs"}, exclude_none=True),
        view=run.view,
    )


def finetuned_folder(params: Parameters, name: str) -> Path:
    """Where the run ``name`` writes its model."""
    return params.results / "finetuned" / study_of(params, name) / name


def read_finetuned(params: Parameters, name: str) -> Clip:
    """The model that the run ``name`` trained, named after it."""
    run = read_run(params, name)
    return load_finetuned(read_model(params, run.model, **protocol_changes(run.view)), finetuned_folder(params, name))


def read_training_panoramas(params: Parameters) -> tuple[ImageSet, ImageSet | None]:
    """The panoramas to fine-tune on, and those set aside to choose runs by, None where none are.

    Raises ValueError where not at least one panorama is left to train on.
    """
    panoramas = load_finetuning_set(params, params.finetune.image_set)
    n_validation, total = params.finetune.n_validation, len(panoramas.table)
    if not 0 <= n_validation < total:
        raise ValueError(
            f"finetune.n_validation is {n_validation}: expected at least 0 and fewer than the {total} panoramas of"
            f" {panoramas.folder}"
        )
    last = replace(panoramas, name=VALIDATION, table=panoramas.table.tail(n_validation))
    return panoramas.head(total - n_validation), last if n_validation else None


def read_offset_panoramas(params: Parameters, training: ImageSet) -> ImageSet:
    """The same panoramas from a second, offset viewpoint; ValueError where there are fewer of them."""
    offset = load_finetuning_set(params, params.finetune.offset_image_set)
    if len(offset.table) < len(training.table):
        raise ValueError(
            f"{offset.folder} has {len(offset.table)} panoramas: expected one for each of the {len(training.table)} of"
            f" {training.folder}, render it again"
        )
    return offset.head(len(training.table))
