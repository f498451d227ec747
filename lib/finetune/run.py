"""A run of fine-tuning, from panoramas to a folder: what the pipeline and `clip360 tune` have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clip360.data.image_set import ImageSet
from clip360.data.prompts import prompt
from clip360.finetune.data import ShiftedPanoramas
from clip360.finetune.methods import find_method, save_finetuned
from clip360.finetune.model_card import model_card
from clip360.finetune.objectives import Objective
from clip360.models.clip import Clip


@dataclass(frozen=True)
class Recipe:
    """How a model is fine-tuned.

    method, lam, shift_range  the adaptation method, λ, and the range of shifts in fractions of the width
    n_shifts, n_worst         shifts of a panorama that a method averages or aligns, and how many of them at worst
    perspective_cue, perspective_fov  of the perspective views that some methods train on: the cue of their texts, degrees
    lora          rank, alpha, dropout and seed of adapters and other new weights
    optimisation  the optimiser's arguments of ``fine_tune``
    view          how the run shows a panorama to the model, None where it follows the protocol
    """

    method: str
    lam: float
    shift_range: tuple[float, float]
    n_shifts: int
    n_worst: int
    perspective_cue: str
    perspective_fov: float
    lora: Mapping
    optimisation: Mapping
    view: str | None = None


def make_objective(clip: Clip, recipe: Recipe, viewpoints: Sequence[ImageSet], *, batch_size: int) -> Objective:
    """The objective of a run; the frozen model ``clip`` gives the reference.

    ``viewpoints`` are the panoramas to train on and, where the method uses them, the same from an offset viewpoint; files are
    decoded ``batch_size`` at a time. The first of them may lack captions if the method needs none.
    """
    method, training = find_method(recipe.method), viewpoints[0]
    batches = [image_set.batches(batch_size) for image_set in viewpoints]
    panoramas = ShiftedPanoramas(batches, len(training.table), clip.preprocess)
    captions = training.table.get("caption")
    texts = [""] * len(training.table) if captions is None else training.texts
    if method.perspective_views:
        panoramas.add_perspective_views(recipe.n_shifts, fov=recipe.perspective_fov)
        if captions is not None:
            texts = texts + [prompt(recipe.perspective_cue, caption) for caption in captions]
    return method.objective(
        clip,
        panoramas,
        texts,
        lam=recipe.lam,
        shift_range=recipe.shift_range,
        n_shifts=recipe.n_shifts,
        n_worst=recipe.n_worst,
        trains_text=method.trains_text,
    )


def write_run(
    clip: Clip,
    objective: Objective,
    recipe: Recipe,
    folder: Path,
    *,
    name: str,
    image_set: str,
    metrics: Mapping[str, float],
) -> None:
    """Write the trained weights, ``method.json`` and the model card of a run to an existing folder.

    ``clip`` is the trained model, which still has the name of its frozen one; ``name`` is that of the run, ``image_set`` of what
    it was trained on, and ``metrics`` are the numbers that the last step logged.
    """
    n_images = len(objective.panoramas)
    images = {
        "with_gradient": 2 * n_images * recipe.optimisation["epochs"],  # a pair of images for each panorama
        "without_gradient": objective.images_without_gradient,
    }
    settings = {
        "method": recipe.method,
        "lam": recipe.lam,
        "shift_range": recipe.shift_range,
        "view": recipe.view,
        "lora": recipe.lora,
        "optimisation": recipe.optimisation,
    }
    save_finetuned(clip, folder, images=images, **settings)
    card = model_card(name, model=clip.name, image_set=image_set, n_images=n_images, metrics=metrics, **settings)
    (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
