"""Tune a model on panoramas: measure it, train it, measure it again, and write it as a model of open_clip."""

import os
import shutil
from pathlib import Path

import pandas as pd

from clip360.data.image_set import ImageSet
from clip360.finetune.files import METHOD_FILE
from clip360.finetune.loop import fine_tune
from clip360.finetune.lora import merge_adapter
from clip360.finetune.methods import METHODS, find_method
from clip360.finetune.run import Recipe, make_objective, write_run
from clip360.models.clip import Clip
from clip360.models.positional_embeddings import make_plain
from clip360.reports.folder_lock import LOCK
from clip360.stats.inference import Inference
from clip360.tuning.card import tuned_model_card
from clip360.tuning.checkpoint import write_checkpoint
from clip360.tuning.evaluation import compare, measure
from clip360.tuning.panoramas import require_distinct

ADAPTER, CHECKPOINTS, PARTIAL = "adapter", "checkpoints", "partial"
EMBED_BATCH = 64  # images at a time without a gradient


def tunable_methods() -> list[str]:
    """The methods whose result is a network of open_clip, trained on panoramas from one viewpoint."""
    return [name for name, method in METHODS.items() if not (method.needs_clip360 or method.uses_offset)]


def require_tunable(method: str) -> None:
    """Raise ValueError for a method that does not exist, or whose result open_clip cannot compute."""
    trains = find_method(method).trains
    if method not in tunable_methods():
        raise ValueError(
            f"the method {method} trains {trains}, and open_clip cannot compute its result alone: choose one of"
            f" {', '.join(tunable_methods())}"
        )


def require_own_folder(folder: Path) -> None:
    """Raise ValueError where ``folder`` holds what no tuning wrote."""
    found = {entry.name for entry in folder.iterdir()} - {LOCK, PARTIAL} if folder.is_dir() else set()
    if found and CHECKPOINTS not in found and not (folder / ADAPTER / METHOD_FILE).is_file():
        raise ValueError(f"{folder} holds other files, such as {min(found)}: choose a new or empty folder for --out")


def tune(
    clip: Clip,
    source: Path,
    training: ImageSet,
    validation: ImageSet,
    recipe: Recipe,
    folder: Path,
    *,
    inference: Inference,
) -> pd.DataFrame:
    """Tune ``clip``, the model in the folder ``source``, in place, and write the tuned model to an existing folder.

    Stopped and called again, it continues after the last whole epoch. Returns what it gained on the panoramas of ``validation``, as
    ``evaluation.compare`` says. Raises ValueError where the model cannot take the method or the panoramas, see ``fine_tune``,
    ``ShiftedPanoramas`` and ``require_distinct``.
    """
    require_distinct(training, validation, batch_size=EMBED_BATCH)
    before = measure(clip, validation, batch_size=EMBED_BATCH)
    objective = make_objective(clip, recipe, [training], batch_size=EMBED_BATCH)
    clip = find_method(recipe.method).attach(clip, **recipe.lora)
    log: list[dict[str, float]] = []
    fine_tune(clip, objective, checkpoints=folder / CHECKPOINTS, log=log.append, **recipe.optimisation)

    partial = folder / PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    (partial / ADAPTER).mkdir(parents=True)
    run = {"name": folder.resolve().name, "image_set": training.name, "metrics": log[-1]}
    write_run(clip, objective, recipe, partial / ADAPTER, **run)
    clip = as_plain(clip, recipe.method)
    comparison = compare(before, measure(clip, validation, batch_size=EMBED_BATCH), inference=inference)
    write_checkpoint(clip, source, partial)
    _write_tables(partial, log, comparison)
    card = tuned_model_card(
        model=clip.name,
        recipe=recipe,
        view=clip.view,
        n_images=len(training.table),
        n_validation=len(validation.table),
        comparison=comparison,
        alpha=inference.alpha,
        **run,
    )
    (partial / "README.md").write_text(card, encoding="utf-8", newline="\n")
    _move(partial, folder)
    return comparison


def as_plain(clip: Clip, method: str) -> Clip:
    """A trained model whose network is one of open_clip again: adapters merged, the positional embedding an ordinary parameter."""
    if find_method(method).is_lora:
        clip = merge_adapter(clip)
    make_plain(clip.network.visual)
    clip.network.requires_grad_(False).eval()
    return clip


def _write_tables(folder: Path, log: list[dict[str, float]], comparison: pd.DataFrame) -> None:
    steps = pd.DataFrame(log).rename_axis("step").reset_index()
    for name, table in (("log.csv", steps), ("evaluation.csv", comparison)):
        table.to_csv(folder / name, index=False, lineterminator="\n")


def _move(partial: Path, folder: Path) -> None:
    """Put what was written in place of what an earlier run left."""
    for entry in partial.iterdir():
        if entry.is_dir():
            shutil.rmtree(folder / entry.name, ignore_errors=True)
        os.replace(entry, folder / entry.name)
    partial.rmdir()
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
