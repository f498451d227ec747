"""What models can do, from the measurements of the capability evaluation; and what an adaptation changes of it.

The measurements have one row for each image and measure: model, image_set, image, measure, condition, level, view, value, task,
label (the right class, or the subset of a fine-grained question). Ranks start at 1, ties count against the right answer.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from clip360.names import CROP, PROBE
from clip360.stats.inference import Inference, mean, with_interval
from clip360.stats.measurements import select
from clip360.stats.tradeoff import method_label

CLASSIFICATION = ("scene_category", "colour", "shape")  # tasks of zero-shot classification
DIRECTIONS = ("image_to_text", "text_to_image")
VIEWPOINTS = ("shift_consistency", "offset_consistency")
# Tasks of the table of changes, in its order.
TASKS = ("scene_category", "presence", "shape", "colour", *DIRECTIONS, "worst_shift_hit", "attributes", *VIEWPOINTS)
DEPTHS = (1, 5, 10)  # of recall
BINS = 15  # of confidence


def chance_rank(n_false: int) -> float:
    """Mean rank of the true caption among ``n_false`` false ones by guessing: (n_false + 2) / 2.

    >>> chance_rank(10), chance_rank(2)
    (6.0, 2.0)
    """
    return (n_false + 2) / 2


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Expected calibration error (Guo et al., arXiv 1706.04599).

    ``confidence`` float [N] in [0, 1], ``correct`` bool [N]. The gap between confidence and accuracy in BINS equal bins of
    confidence, weighted by the fraction of answers in each.

    >>> round(calibration_error(np.array([0.9, 0.9, 0.3]), np.array([True, False, False])), 3)
    0.367
    """
    confidence, correct = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    bins = np.clip(np.ceil(confidence * BINS), 1, BINS).astype(int)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=BINS + 1)
    return float(np.abs(gaps).sum() / len(confidence))


def per_class(answers: pd.DataFrame) -> pd.DataFrame:
    """Accuracy by class: columns class (sorted), n, top1, top5, confidence (its mean).

    ``answers`` has one row for each image: class (the right one), rank (of the right one), confidence.
    """
    hits = answers.assign(top1=answers["rank"] <= 1, top5=answers["rank"] <= 5)
    means = hits.groupby("class", sort=True).agg(
        n=("top1", "size"), top1=("top1", "mean"), top5=("top5", "mean"), confidence=("confidence", "mean")
    )
    return means.reset_index()


def retrieval_summary(ranks: np.ndarray) -> dict[str, float]:
    """R@1, R@5, R@10 and the median of ranks [N].

    >>> retrieval_summary(np.array([1, 1, 3, 12]))
    {'R@1': 0.5, 'R@5': 0.75, 'R@10': 0.75, 'median_rank': 2.0}
    """
    ranks = np.asarray(ranks)
    recalls = {f"R@{k}": float((ranks <= k).mean()) for k in DEPTHS}
    return recalls | {"median_rank": float(np.median(ranks))}


def zero_shot_table(measurements: pd.DataFrame, n_classes: Mapping[str, int]) -> pd.DataFrame:
    """Zero-shot classification, one row for each model, view and task.

    ``n_classes`` gives the number of classes by task. Columns: n, top1 and top5 by an ensemble of prompts, top1_single by
    the first prompt alone, calibration_error, chance (1 over the number of classes).
    """
    rows = []
    for (model, view, task), part in _by_task(measurements, CLASSIFICATION):
        answers = _answers(part)
        correct = answers["rank"] <= 1
        rows.append(
            {
                "model": model,
                "view": view,
                "task": task,
                "n": len(answers),
                "top1": correct.mean(),
                "top1_single": (answers.rank_single <= 1).mean(),
                "top5": (answers["rank"] <= 5).mean(),
                "calibration_error": calibration_error(answers.confidence, correct),
                "chance": 1 / n_classes[task],
            }
        )
    return pd.DataFrame(rows)


def class_table(measurements: pd.DataFrame) -> pd.DataFrame:
    """Zero-shot classification by class: columns model, view, task, class, n, top1, top5, confidence."""
    parts = []
    for (model, view, task), part in _by_task(measurements, CLASSIFICATION):
        table = per_class(_answers(part).rename_axis(["image_set", "image", "class"]).reset_index())
        parts.append(table.assign(model=model, view=view, task=task))
    table = pd.concat(parts, ignore_index=True)
    return table[["model", "view", "task", *table.columns.drop(["model", "view", "task"])]]


def retrieval_table(measurements: pd.DataFrame) -> pd.DataFrame:
    """Retrieval within each image set, one row for each model, view and direction: n and ``retrieval_summary``."""
    rows = [
        {"model": model, "view": view, "direction": direction, "n": len(part)}
        | retrieval_summary(part.value.to_numpy())
        for (model, view, direction), part in _by_task(select(measurements, "rank"), DIRECTIONS)
    ]
    return pd.DataFrame(rows)


def attribute_table(
    measurements: pd.DataFrame, n_false_captions: Mapping[str, int], *, inference: Inference
) -> pd.DataFrame:
    """Fine-grained discrimination, one row for each model, view, measure (rank, or the matcher's name) and subset.

    ``n_false_captions`` gives the number of false captions of a question by subset. Columns: n, mean_rank of the true
    caption with its bootstrap interval, chance (the mean rank by guessing), and ``advantage``, 0 at chance and 1
    where the true caption is always first.
    """
    rows = []
    questions = measurements[measurements.task == "attributes"]
    for keys, part in questions.groupby(["model", "view", "measure", "label"], sort=False):
        chance = chance_rank(n_false_captions[keys[-1]])
        row = dict(zip(("model", "view", "measure", "subset"), keys, strict=True)) | {"n": len(part)}
        row |= with_interval("mean_rank", part.value.to_numpy(), mean, inference=inference)
        rows.append(row | {"chance": chance, "advantage": (chance - row["mean_rank"]) / (chance - 1)})
    return pd.DataFrame(rows)


def matching_table(measurements: pd.DataFrame) -> pd.DataFrame:
    """One row for each model and matcher: the mean rank of every subset, their sum, and R@1 in both directions."""
    keys = ["model", "measure"]
    questions = measurements[measurements.task == "attributes"]
    subsets = list(questions.label.unique())
    table = questions.pivot_table(index=keys, columns="label", values="value", sort=False)[subsets]
    table["sum"] = table.sum(axis=1)
    hits = measurements[measurements.task.isin(DIRECTIONS)].assign(hit=lambda x: x.value <= 1)
    return table.join(hits.pivot_table(index=keys, columns="task", values="hit")).reset_index()


def probe_table(measurements: pd.DataFrame, zero_shot: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of linear probes on crops, one row for each model and attribute, with that of zero-shot classification.

    ``measurements`` are those of the matching, whose measure PROBE is 1 where the probe is right; ``zero_shot`` is the
    table of ``zero_shot_table``. Columns: model, task, n, probe, chance, zero_shot.
    """
    probes = select(measurements, PROBE).groupby(["model", "task"], sort=False)
    table = probes.agg(n=("value", "size"), probe=("value", "mean"), chance=("label", lambda x: 1 / x.nunique()))
    on_crops = zero_shot[zero_shot["view"] == CROP].set_index(["model", "task"]).top1
    return table.join(on_crops.rename("zero_shot")).reset_index()


def viewpoint_table(measurements: pd.DataFrame) -> pd.DataFrame:
    """Viewpoint consistency, one row for each model, image set, view, task and level.

    ``level`` is in degrees for shift_consistency and in metres for offset_consistency. Columns ``cosine``: mean cosine with
    the embedding at level 0; ``scene_category``: zero-shot accuracy of the scene category, where it is known.
    """
    rows = measurements[measurements.task.isin(VIEWPOINTS)]
    keys = ["model", "image_set", "view", "task", "level"]
    rows = rows.assign(value=rows.value.where(rows.measure != "rank", rows.value <= 1).astype(float))
    table = rows.pivot_table(index=keys, columns="measure", values="value", sort=False)
    return table.rename(columns={"rank": "scene_category"}).rename_axis(columns=None).reset_index()


def capability_changes(
    frozen: pd.DataFrame,
    finetuned: pd.DataFrame,
    runs: Mapping[str, Mapping],
    n_false_captions: Mapping[str, int],
    *,
    inference: Inference,
) -> pd.DataFrame:
    """One row for each fine-tuned model, task and view: the ``levels`` of the frozen and of the fine-tuned model.

    ``frozen`` and ``finetuned`` are measurements, ``runs`` the specifications of the fine-tuned models. ``change`` is the
    difference, with its bootstrap interval over the images of all sets.
    """
    before, rows = levels(frozen, n_false_captions), []
    after = levels(finetuned, n_false_captions)
    for (run, task, view), part in after.groupby(level=["model", "task", "view"], sort=False):
        spec = runs[run]
        images = part.droplevel(["model", "task", "view"]).index
        reference = before.loc[spec["model"], task, view].reindex(images).to_numpy()
        row = {
            "model": run,
            "base_model": spec["model"],
            "method": method_label(spec),
            "lam": spec["lam"],
            "shift_range": "{:g}-{:g}".format(*spec["shift_range"]),
            "task": task,
            "view": view,
            "n": len(part),
            "frozen": reference.mean(),
            "finetuned": part.mean(),
        }
        change = part.to_numpy() - reference
        rows.append(row | with_interval("change", change, mean, inference=inference))
    table = pd.DataFrame(rows)
    order = {"model": list(runs).index, "task": TASKS.index}
    return table.sort_values(list(order), key=lambda x: x.map(order[x.name]), kind="stable", ignore_index=True)


def levels(measurements: pd.DataFrame, n_false_captions: Mapping[str, int]) -> pd.Series:
    """How well a model does on each image, 1 at best, by model, task, view, image_set and image.

    1 where the right answer is ranked first and 0 elsewhere; for ``presence`` the area under the ROC curve, for
    ``attributes`` the advantage over chance, for ``shift_consistency`` the mean cosine with the unshifted embedding over
    all shifts, for ``offset_consistency`` the cosine at the largest camera offset.
    """
    rows = measurements[measurements.measure.isin(["rank", "auc", "hit", "cosine"]) & measurements.task.isin(TASKS)]
    largest = rows.level == rows.groupby("task")["level"].transform("max")
    shifted = (rows.task == "shift_consistency") & (rows.level > 0)
    offset = (rows.task == "offset_consistency") & largest
    rows = rows[~rows.task.isin(VIEWPOINTS) | ((rows.measure == "cosine") & (shifted | offset))]
    level = rows.value.where(rows.measure != "rank", (rows.value <= 1).astype(float))
    advantage = 1 - 2 * (rows.value - 1) / rows.label.map(n_false_captions)
    level = level.where(rows.task != "attributes", advantage)
    return level.groupby([rows[key] for key in ("model", "task", "view", "image_set", "image")], sort=False).mean()


def one_run_per_method(runs: Mapping[str, Mapping], *, base_model: str) -> dict[str, str]:
    """Of every method from ``base_model`` the run with λ nearest 1/2 among those that drew all shifts: its label by run."""
    candidates = {
        run: spec
        for run, spec in runs.items()
        if spec["model"] == base_model and list(spec["shift_range"]) == [0.0, 1.0]
    }
    farthest_first = sorted(candidates, key=lambda run: -abs(candidates[run]["lam"] - 0.5))
    chosen = {method_label(candidates[run]): run for run in farthest_first}  # the nearest, which comes last, stays
    return {run: f"{method}, λ = {candidates[run]['lam']:g}" for method, run in chosen.items()}


def _by_task(measurements: pd.DataFrame, tasks: tuple[str, ...]):
    rows = measurements[measurements.task.isin(tasks)]
    return rows.groupby(["model", "view", "task"], sort=False)


def _answers(part: pd.DataFrame) -> pd.DataFrame:
    """One row for each image, its measures as columns; index image_set, image, label."""
    return part.pivot(index=["image_set", "image", "label"], columns="measure", values="value")
