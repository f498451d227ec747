"""What models can do, from the measurements of the capability evaluation; what a view costs, and what an adaptation changes.

The measurements have one row for each image and measure: model, image_set, image, measure, condition, level, view, value, task,
label (the right class, or the subset of a fine-grained question). Ranks start at 1, ties count against the right answer.

**Level.** How well a model does on an image, 1 at best (``levels``). All levels keep their scale where all embeddings move towards one point,
so that such a collapse counts as no gain.

**Tests.** A table's tests of one model are a family, corrected by Holm: ``p`` is uncorrected, ``p_holm`` corrected, and ``decided`` means
p_holm < α. Against guessing they are one-sided, of a change two-sided.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pingouin as pg
from scipy.stats import binomtest

from clip360.names import CROP, PANORAMA, PROBE
from clip360.stats.inference import Inference, holm, mean, positive, with_interval
from clip360.stats.measurements import select
from clip360.stats.tradeoff import method_label

CLASSIFICATION = ("scene_category", "colour", "shape")  # tasks of zero-shot classification
DIRECTIONS = ("image_to_text", "text_to_image")
VIEWPOINTS = ("shift_consistency", "offset_consistency")
# Tasks of the table of changes, in its order.
TASKS = ("scene_category", "shape", "colour", *DIRECTIONS, "worst_shift_hit", *VIEWPOINTS, "presence", "attributes")
DEPTHS = (1, 5, 10)  # of recall
BINS = 15  # of confidence
RETRIEVAL = "retrieval"  # of matchers: both directions
PLACE = ("model", "task", "view")
COSINE = "cosine"  # the matcher without training


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


def zero_shot_table(measurements: pd.DataFrame, n_classes: Mapping[str, int], *, inference: Inference) -> pd.DataFrame:
    """Zero-shot classification, one row for each model, view and task.

    ``n_classes`` gives the number of classes by task. Columns: n; ``top1`` by an ensemble of prompts, with its interval; ``top1_single`` by
    the first prompt alone; ``top5``; ``calibration_error``; ``chance``, 1 over the number of classes; ``times_chance``, top1 over chance with its
    interval; p, p_holm and decided of the exact binomial test that top1 exceeds chance, the tests of one model being a family.
    """
    rows = []
    for (model, view, task), part in _by_task(measurements, CLASSIFICATION):
        answers, chance = _answers(part), 1 / n_classes[task]
        correct = (answers["rank"] <= 1).to_numpy()
        row = {"model": model, "view": view, "task": task, "n": len(answers)}
        row |= with_interval("top1", correct.astype(float), mean, inference=inference)
        row |= {"top1_single": (answers.rank_single <= 1).mean(), "top5": (answers["rank"] <= 5).mean()}
        row |= {"calibration_error": calibration_error(answers.confidence, correct), "chance": chance}
        row |= with_interval("times_chance", correct / chance, mean, inference=inference)
        rows.append(row | {"p": beats_chance(correct, chance)})
    return decide(pd.DataFrame(rows), ["model"], inference=inference)


def class_table(measurements: pd.DataFrame) -> pd.DataFrame:
    """Zero-shot classification by class: columns model, view, task, class, n, top1, top5, confidence."""
    parts = []
    for (model, view, task), part in _by_task(measurements, CLASSIFICATION):
        table = per_class(_answers(part).rename_axis(["image_set", "image", "class"]).reset_index())
        parts.append(table.assign(model=model, view=view, task=task))
    table = pd.concat(parts, ignore_index=True)
    return table[["model", "view", "task", *table.columns.drop(["model", "view", "task"])]]


def presence_table(measurements: pd.DataFrame, *, inference: Inference) -> pd.DataFrame:
    """Which shapes a panorama contains, one row for each model: the area under the ROC curve, 0.5 by guessing.

    Columns: n, ``auc`` with its interval, p of the one-sided signed-rank test against 0.5, p_holm (the only test of a model), decided.
    """
    rows = []
    for model, part in measurements[measurements.task == "presence"].groupby("model", sort=False):
        areas = part.value.to_numpy()
        row = {"model": model, "n": len(part)} | with_interval("auc", areas, mean, inference=inference)
        rows.append(row | {"p": changed(areas - 0.5, "greater")})
    return decide(pd.DataFrame(rows), ["model"], inference=inference)


def retrieval_table(measurements: pd.DataFrame, *, inference: Inference) -> pd.DataFrame:
    """Retrieval within each image set, one row for each model, view and direction.

    Columns: n (images); R@1, R@5 and R@10, each with its interval over images, of which one can have several captions; ``median_rank``
    over all queries.
    """
    rows = []
    for (model, view, direction), part in _by_task(select(measurements, "rank"), DIRECTIONS):
        row = {"model": model, "view": view, "direction": direction}
        row |= {"n": part.groupby(["image_set", "image"]).ngroups}
        for depth in DEPTHS:
            hits = part.assign(hit=part.value <= depth).groupby(["image_set", "image"], sort=False).hit.mean()
            row |= with_interval(f"R@{depth}", hits.to_numpy(), mean, inference=inference)
        rows.append(row | {"median_rank": part.value.median()})
    return pd.DataFrame(rows)


def attribute_table(
    measurements: pd.DataFrame, n_false_captions: Mapping[str, int], *, inference: Inference
) -> pd.DataFrame:
    """Fine-grained discrimination, one row for each model, view, measure (rank, or the matcher's name) and subset.

    ``n_false_captions`` gives the number of false captions of a question by subset. Columns: n, ``mean_rank`` of the true
    caption, ``chance`` (the mean rank by guessing), and ``advantage`` with its interval, 0 at chance and 1 where the true caption is
    always first; p, p_holm and decided of the signed-rank test that the advantage exceeds 0 (ranks by guessing are symmetric about chance),
    the subsets of one model, view and measure being a family.
    """
    rows = []
    family = ["model", "view", "measure"]
    for keys, part in measurements[measurements.task == "attributes"].groupby([*family, "label"], sort=False):
        advantage = advantages(part, n_false_captions).to_numpy()
        row = dict(zip((*family, "subset"), keys, strict=True)) | {"n": len(part), "mean_rank": part.value.mean()}
        row |= {"chance": chance_rank(n_false_captions[keys[-1]])}
        row |= with_interval("advantage", advantage, mean, inference=inference)
        rows.append(row | {"p": changed(advantage, "greater")})
    return decide(pd.DataFrame(rows), family, inference=inference)


def advantages(questions: pd.DataFrame, n_false_captions: Mapping[str, int]) -> pd.Series:
    """1 - 2 (rank - 1) / (number of false captions): 1 where the true caption is first, -1 where it is last, 0 on average by guessing."""
    return 1 - 2 * (questions.value - 1) / questions.label.map(n_false_captions).astype(float)  # also of no questions


def matching_table(
    measurements: pd.DataFrame, n_false_captions: Mapping[str, int], *, inference: Inference
) -> pd.DataFrame:
    """Matchers compared with the cosine, one row for each model, task and matcher.

    Tasks: ``attributes`` (level: the advantage over chance in all subsets of questions) and ``retrieval`` (R@1, mean of both directions).
    Columns: n, ``level`` and ``gain`` over the cosine on the same images, both with intervals; p, p_holm and decided of the two-sided signed-rank
    test of the gain, the matchers of one model and task being a family. The rows of the cosine itself have no test.
    """
    questions = measurements[measurements.task == "attributes"]
    queries = measurements[measurements.task.isin(DIRECTIONS)]
    parts = [
        questions.assign(level=advantages(questions, n_false_captions)),
        queries.assign(level=(queries.value <= 1).astype(float), task=RETRIEVAL),
    ]
    keys = ["model", "task", "measure"]
    level = _parts(pd.concat(parts).groupby([*keys, "image_set", "image"], sort=False)["level"].mean(), keys)
    rows = []
    for (model, task, measure), own in level.items():
        gain = (own - level[model, task, COSINE].reindex(own.index)).to_numpy()
        row = {"model": model, "task": task, "measure": measure, "n": len(own)}
        row |= with_interval("level", own.to_numpy(), mean, inference=inference)
        row |= with_interval("gain", gain, mean, inference=inference)
        rows.append(row | {"p": np.nan if measure == COSINE else changed(gain)})
    return decide(pd.DataFrame(rows), ["model", "task"], inference=inference)


def probe_table(measurements: pd.DataFrame, frozen: pd.DataFrame, *, inference: Inference) -> pd.DataFrame:
    """Accuracy of linear probes on crops, one row for each model and attribute, with that of zero-shot classification.

    ``measurements`` are those of the matching, whose measure PROBE is 1 where the probe is right; ``frozen`` are those of the capabilities of the
    same models. Columns: n; ``probe`` with its interval; chance; p, p_holm and decided of the exact binomial test that the probe exceeds chance,
    the attributes of one model being a family; ``zero_shot`` and ``gain``, the probe's accuracy minus it on the same crops, with intervals, where
    the attribute is classified zero-shot.
    """
    on_crops = select(frozen[frozen["view"] == CROP], "rank")
    on_crops = on_crops[on_crops.task.isin(CLASSIFICATION)].set_index(["model", "task", "image_set", "image"]).value
    on_crops = _parts(on_crops, ["model", "task"])
    rows = []
    for (model, task), part in select(measurements, PROBE).groupby(["model", "task"], sort=False):
        hits, chance = part.value.to_numpy(), 1 / part.label.nunique()
        row = {"model": model, "task": task, "n": len(part)}
        row |= with_interval("probe", hits, mean, inference=inference)
        row |= {"chance": chance, "p": beats_chance(hits > 0, chance)}
        if (model, task) in on_crops:
            images = pd.MultiIndex.from_frame(part[["image_set", "image"]])
            zero_shot = (on_crops[model, task].reindex(images).to_numpy() <= 1).astype(float)
            row |= with_interval("zero_shot", zero_shot, mean, inference=inference)
            row |= with_interval("gain", hits - zero_shot, mean, inference=inference)
        rows.append(row)
    return decide(pd.DataFrame(rows), ["model"], inference=inference)


def viewpoint_table(measurements: pd.DataFrame, *, inference: Inference) -> pd.DataFrame:
    """Viewpoint consistency, one row for each model, view, task and level, over the images of all sets.

    ``level`` is in degrees for shift_consistency and in metres for offset_consistency. Columns, each with its interval: ``same_scene``, the fraction
    of images that are nearest to their own scene's image at level 0; ``scene_category``, zero-shot accuracy of the scene category, where it is known;
    ``cosine`` with the embedding at level 0, which also rises where all embeddings move towards one point.
    """
    rows = measurements[measurements.task.isin(VIEWPOINTS)]
    rows = rows.assign(value=rows.value.where(rows.measure == "cosine", rows.value <= 1).astype(float))
    names = {"scene_rank": "same_scene", "rank": "scene_category", "cosine": "cosine"}
    keys = ["model", "view", "task", "level"]
    table = []
    for place, part in rows.groupby(keys, sort=False):
        row = dict(zip(keys, place, strict=True)) | {"n": part.groupby(["image_set", "image"]).ngroups}
        for measure, name in names.items():
            if len(values := select(part, measure).value.to_numpy()):
                row |= with_interval(name, values, mean, inference=inference)
        table.append(row)
    return pd.DataFrame(table)


def level_table(
    measurements: pd.DataFrame, n_false_captions: Mapping[str, int], *, inference: Inference
) -> pd.DataFrame:
    """``levels`` of TASKS and of ``hit``, one row for each model, task and view: n, and ``level`` with its interval over all images."""
    rows = []
    for (model, task, view), part in _parts(levels(measurements, n_false_captions, (*TASKS, "hit")), PLACE).items():
        row = {"model": model, "task": task, "view": view, "n": len(part)}
        rows.append(row | with_interval("level", part.to_numpy(), mean, inference=inference))
    return pd.DataFrame(rows)


def view_costs(
    measurements: pd.DataFrame, n_false_captions: Mapping[str, int], *, inference: Inference
) -> pd.DataFrame:
    """What is lost on whole panoramas, one row for each model and task that was asked on another view of the same scenes too.

    Columns: ``other`` (that view), n, ``level_panorama`` and ``level_other``, ``change`` from the other view to the panorama, all with intervals; p,
    p_holm and decided of the two-sided signed-rank test of the change, the tasks of one model being a family.
    """
    rows, by_place = [], _parts(levels(measurements, n_false_captions), PLACE)
    for (model, task, view), other in by_place.items():
        if view == PANORAMA or (model, task, PANORAMA) not in by_place:
            continue
        whole = by_place[model, task, PANORAMA].reindex(other.index).to_numpy()
        row = {"model": model, "task": task, "other": view, "n": len(other)}
        row |= with_interval("level_panorama", whole, mean, inference=inference)
        row |= with_interval("level_other", other.to_numpy(), mean, inference=inference)
        row |= with_interval("change", whole - other.to_numpy(), mean, inference=inference)
        rows.append(row | {"p": changed(whole - other.to_numpy())})
    return decide(pd.DataFrame(rows), ["model"], inference=inference)


def capability_changes(
    frozen: pd.DataFrame,
    finetuned: pd.DataFrame,
    runs: Mapping[str, Mapping],
    n_false_captions: Mapping[str, int],
    *,
    inference: Inference,
) -> pd.DataFrame:
    """One row for each fine-tuned model, task and view: the ``levels`` of its frozen model and its own.

    ``frozen`` and ``finetuned`` are measurements, ``runs`` the specifications of the fine-tuned models. A run with a view of its own is compared
    with the frozen model under that view, whose measurements, named "MODEL, VIEW", are among ``finetuned``. ``reference`` names what a run
    is compared with; ``frozen`` and ``finetuned`` are the levels, ``change`` is the difference, each with its interval over the images of all sets;
    p, p_holm and decided of the two-sided signed-rank test of the change, all tasks of one run being a family.
    """
    own = finetuned.model.isin(list(runs))
    references = pd.concat([frozen, finetuned[~own].drop_duplicates()])
    before = _parts(levels(references, n_false_captions), PLACE)
    after, rows = _parts(levels(finetuned[own], n_false_captions), PLACE), []
    for (run, task, view), part in after.items():
        spec = runs[run]
        reference = reference_of(spec)
        at_first = before[reference, task, view].reindex(part.index).to_numpy()
        change = part.to_numpy() - at_first
        row = {
            "model": run,
            "base_model": spec["model"],
            "reference": reference,
            "method": method_label(spec),
            "lam": spec["lam"],
            "shift_range": "{:g}-{:g}".format(*spec["shift_range"]),
            "task": task,
            "view": view,
            "n": len(part),
        }
        for name, values in {"frozen": at_first, "finetuned": part.to_numpy(), "change": change}.items():
            row |= with_interval(name, values, mean, inference=inference)
        rows.append(row | {"p": changed(change)})
    table = pd.DataFrame(rows)
    order = {"model": list(runs).index, "task": TASKS.index}
    table = table.sort_values(list(order), key=lambda x: x.map(order[x.name]), kind="stable", ignore_index=True)
    return decide(table, ["model"], inference=inference)


def reference_of(spec: Mapping) -> str:
    """What a run is compared with: its frozen model, under the run's own view where it has one.

    >>> reference_of({"model": "clip", "view": "squash"}), reference_of({"model": "clip"})
    ('clip, squash', 'clip')
    """
    return ", ".join(spec[key] for key in ("model", "view") if key in spec)


def levels(measurements: pd.DataFrame, n_false_captions: Mapping[str, int], tasks: Sequence[str] = TASKS) -> pd.Series:
    """How well a model does on each image in each of ``tasks``, 1 at best, by model, task, view, image_set and image.

    1 where the right answer is ranked first and 0 elsewhere (mean over captions, where an image has several); for ``presence`` the area under
    the ROC curve; for ``attributes`` the advantage over chance. For viewpoint consistency 1 where the image is nearest to the image of its own
    scene from the original viewpoint: for ``shift_consistency`` the mean over all shifts, for ``offset_consistency`` at the largest camera offset.
    """
    answered = measurements.task.isin(tasks) & measurements.measure.isin(["rank", "auc", "hit", "scene_rank"])
    rows = measurements[answered]
    largest = rows.level == rows.groupby("task")["level"].transform("max")
    shifted = (rows.task == "shift_consistency") & (rows.level > 0)
    offset = (rows.task == "offset_consistency") & largest
    rows = rows[~rows.task.isin(VIEWPOINTS) | ((rows.measure == "scene_rank") & (shifted | offset))]
    is_rank = rows.measure.isin(["rank", "scene_rank"])
    level = rows.value.where(~is_rank, (rows.value <= 1).astype(float))
    level = level.where(rows.task != "attributes", advantages(rows, n_false_captions))
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


def beats_chance(correct: Sequence[bool], chance: float) -> float:
    """p-value of the exact binomial test that answers [N] are right more often than by guessing."""
    return positive(binomtest(int(np.sum(correct)), len(correct), chance, alternative="greater").pvalue)


def changed(change: np.ndarray, alternative: str = "two-sided") -> float:
    """p-value of the signed-rank test that changes [N] are symmetric about 0; 1 where nothing changed.

    Of changes by -1, 0 and 1 it is McNemar's test (Psychometrika 12, 1947): zeros are dropped. Changes are rounded, so that 1/3 and 2/3 - 1
    are as large.
    """
    change = np.round(change, 9)
    if not change.any():
        return 1.0
    return positive(pg.wilcoxon(change, alternative=alternative, correction=False).iloc[0].p_val)


def decide(table: pd.DataFrame, family: Sequence[str], *, inference: Inference) -> pd.DataFrame:
    """The table with p, p_holm (corrected over the rows with equal values of ``family``) and decided (p_holm < α) as its last columns.

    Rows whose p is NaN have no test.
    """
    p = table.pop("p")
    tested = p.dropna()
    groups = tested.groupby([table.loc[tested.index, key] for key in family], sort=False)
    p_holm = groups.transform(holm).reindex(table.index)
    return table.assign(p=p, p_holm=p_holm, decided=p_holm < inference.alpha)


def _parts(values: pd.Series, keys: Sequence[str]) -> dict[tuple, pd.Series]:
    """The parts of a series with equal values in the levels ``keys`` of its index, which the parts lack."""
    groups = values.groupby(level=list(keys), sort=False)
    return {place: part.droplevel(list(keys)) for place, part in groups}


def _by_task(measurements: pd.DataFrame, tasks: tuple[str, ...]):
    rows = measurements[measurements.task.isin(tasks)]
    return rows.groupby(["model", "view", "task"], sort=False)


def _answers(part: pd.DataFrame) -> pd.DataFrame:
    """One row for each image, its measures as columns; index image_set, image, label."""
    return part.pivot(index=["image_set", "image", "label"], columns="measure", values="value")
