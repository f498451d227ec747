"""What depends on the panoramas in the pretraining images: on their fraction, on the views that they replace, and on their cues.

Models are compared within one run, on the same images, so that the difference has an interval over images; replicates give the
interval that decides (``claims``).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.stats import page_trend_test, spearmanr

from clip360.stats.inference import Inference, holm, mean, median, with_interval
from clip360.stats.measurements import by_image, select
from clip360.stats.textual_probe import FORMAT, cue_gains
from clip360.stats.variance_decomposition import contents_and_positions, split

HELD_OUT = "held_out"  # the images of the pretraining evaluation
RECALL = "image to text, R@1"  # how its task begins
MEASURES = {  # name: title of its panel in a figure
    "contrast": "format cues:\ncontrast, points",
    "sd_crop": "centre crop: sd\nover shifts, points",
    "sd_squash": "squashed: sd\nover shifts, points",
    "position_fraction": "centre crop:\nposition's fraction",
    "recall": "held-out views:\nR@1, image to text",
}
REPLACED, ADDED, FEWER_VIEWS = "panoramas replace views", "panoramas added", "fewer views"
NEXT_FRACTION, UNRELIABLE = "next fraction", "cues less reliable"

Values = dict[tuple[str, str], dict[str, np.ndarray]]  # by (measure, image set) and model: values [K, N], images last


def _root_mean(x: np.ndarray) -> np.ndarray:
    return np.sqrt(x[0].mean(-1))


def _ratio(x: np.ndarray) -> np.ndarray:
    """Position over content + position; the estimated content variance is 0 where it is negative (``split``)."""
    position, content = x[0].mean(-1), np.maximum(x[1].mean(-1), 0)
    return np.divide(position, content + position, out=np.zeros_like(position), where=content + position > 0)


STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # from values [K, ..., N] to the measure [...]
    "contrast": lambda x: median(x[0]),
    "sd_crop": _root_mean,
    "sd_squash": _root_mean,
    "position_fraction": _ratio,
    "recall": lambda x: mean(x[0]),
}


def image_values(cues: pd.DataFrame, views: pd.DataFrame, hits: pd.DataFrame, *, n_windows: int) -> Values:
    """What the measures are computed from, for each image.

    ``cues`` are the measurements of the textual probe, ``views`` those of the view modes, ``hits`` those of the pretraining evaluation.
    contrast: excess gain by the image's format cue; sd: variance of the score over shifts; position_fraction: variance by position, and
    by content; recall: hits at rank 1.
    """
    values: Values = {}

    def add(measure: str, image_set: str, model: str, *rows: np.ndarray) -> None:
        values.setdefault((measure, image_set), {})[model] = np.stack(rows).astype(float)

    gains = cue_gains(cues)
    for (model, image_set), part in gains[gains.kind == FORMAT].groupby(["model", "image_set"], sort=False):
        add("contrast", image_set, model, part.sort_values("image").excess.to_numpy())
    scores = select(views, "clip_score")
    for (model, image_set, view), part in scores.groupby(["model", "image_set", "view"], sort=False):
        if view not in ("center_crop", "squash"):
            continue
        over_shifts = by_image(select(part, "clip_score", "shift")).to_numpy().var(1)
        add({"center_crop": "sd_crop", "squash": "sd_squash"}[view], image_set, model, over_shifts)
        if view == "center_crop":
            content, position = split(contents_and_positions(part, n_windows=n_windows))
            add("position_fraction", image_set, model, position, content)
    for model, part in hits[hits.task.str.startswith(RECALL)].groupby("model", sort=False):
        add("recall", HELD_OUT, model, part.sort_values("image").hit.to_numpy())
    return values


def measure_table(
    values: Values, models: Mapping[str, Mapping], *, n_images: int, inference: Inference
) -> pd.DataFrame:
    """One row for each image set, measure and model: ``value`` with its bootstrap interval.

    ``models`` is the section `pretraining.models` of params.yaml and ``n_images`` the number of training images of a model that does
    not say its own; both are columns, as ``panorama_fraction``, ``n_images`` and ``cue_reliability``.
    """
    rows = []
    for (measure, image_set), by_model in values.items():
        for model in (name for name in models if name in by_model):
            row = {"model": model, "image_set": image_set, "measure": measure, **_training(models[model], n_images)}
            rows.append(row | with_interval("value", by_model[model], STATISTICS[measure], inference=inference))
    return pd.DataFrame(rows)


def comparisons(models: Mapping[str, Mapping], n_images: int) -> list[tuple[str, str, str]]:
    """Pairs of models that differ in one respect: (comparison, model, reference).

    >>> models = {"a": {"panorama_fraction": 0.0}, "b": {"panorama_fraction": 0.5}, "c": {"panorama_fraction": 0.0, "n_images": 4}}
    >>> comparisons(models, 8)
    [('panoramas replace views', 'b', 'a'), ('panoramas added', 'b', 'c'), ('fewer views', 'c', 'a'), ('next fraction', 'b', 'a')]
    """
    training = {name: _training(model, n_images) for name, model in models.items()}
    reliable = {name: model for name, model in training.items() if model["cue_reliability"] == 1}
    without = {name: model for name, model in reliable.items() if model["panorama_fraction"] == 0}
    with_panoramas = {name: model for name, model in reliable.items() if name not in without}

    def pairs(name: str, some: Mapping, others: Mapping, related: Callable[[dict, dict], bool]) -> list:
        return [(name, a, b) for a, one in some.items() for b, other in others.items() if related(one, other)]

    sweep = sorted(
        (name for name, model in reliable.items() if model["n_images"] == n_images),
        key=lambda name: reliable[name]["panorama_fraction"],
    )
    unreliable = {name: model for name, model in training.items() if name not in reliable}
    return [
        *pairs(REPLACED, with_panoramas, without, lambda a, b: a["n_images"] == b["n_images"]),
        *pairs(ADDED, with_panoramas, without, lambda a, b: _n_views(a) == b["n_images"]),
        *pairs(FEWER_VIEWS, without, without, lambda a, b: a["n_images"] < b["n_images"]),
        *((NEXT_FRACTION, upper, lower) for lower, upper in pairwise(sweep)),
        *pairs(UNRELIABLE, unreliable, reliable, lambda a, b: a | {"cue_reliability": 1.0} == b),
    ]


def difference_table(values: Values, pairs: Sequence[tuple[str, str, str]], *, inference: Inference) -> pd.DataFrame:
    """``difference`` of a measure between two models on the same images, the first minus the reference, with its interval.

    One row for each of ``comparisons``, image set and measure where both models were measured.
    """
    columns = ["comparison", "model", "reference", "image_set", "measure"]
    rows = []
    for comparison, model, reference in pairs:
        for (measure, image_set), by_model in values.items():
            if model not in by_model or reference not in by_model:
                continue
            both, statistic = np.concatenate([by_model[model], by_model[reference]]), STATISTICS[measure]
            k = len(both) // 2
            row = dict(zip(columns, (comparison, model, reference, image_set, measure), strict=True))
            numbers = with_interval(
                "difference", both, lambda x, k=k, f=statistic: f(x[:k]) - f(x[k:]), inference=inference
            )
            rows.append(row | numbers)
    return pd.DataFrame(rows, columns=[*columns, "difference", "difference_low", "difference_high"])


def trends(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Does a measure rise or fall with the fraction, in every replicate alike? Page's trend test, exact, replicates as blocks.

    Page (J. Am. Stat. Assoc. 58, 1963). ``tables`` are those of ``measure_table`` of all replicates, of which the models with the most training
    images and reliable cues are used. ``rho`` is the mean over replicates of Spearman's correlation; the test is one-sided
    towards its sign and ``p`` therefore doubled; ``p_holm`` is corrected over the measures of one image set; ``minimum`` and
    ``maximum`` are the means of the measure at the smallest and at the largest fraction. Fewer than two replicates, or than three
    fractions, give no rows.
    """
    columns = ["image_set", "measure", "replicates", "rho", "minimum", "maximum", "p", "p_holm"]
    table = pd.concat([table.assign(replicate=k) for k, table in enumerate(tables)]) if tables else pd.DataFrame()
    if len(tables) < 2:
        return pd.DataFrame(columns=columns)
    sweep = table[(table.cue_reliability == 1) & (table.n_images == table.n_images.max())]
    if sweep.panorama_fraction.nunique() < 3:
        return pd.DataFrame(columns=columns)
    rows = []
    for (image_set, measure), part in sweep.groupby(["image_set", "measure"], sort=False):
        blocks = part.pivot(index="replicate", columns="panorama_fraction", values="value")
        rho = np.mean([spearmanr(blocks.columns, block).statistic for block in blocks.to_numpy()])
        test = page_trend_test(np.sign(rho or 1) * blocks.to_numpy(), method="exact")
        row = {"image_set": image_set, "measure": measure, "replicates": len(blocks), "rho": rho}
        ends = {"minimum": blocks.iloc[:, 0].mean(), "maximum": blocks.iloc[:, -1].mean()}
        rows.append(row | ends | {"p": min(1.0, 2 * test.pvalue)})
    tests = pd.DataFrame(rows)
    return tests.assign(p_holm=tests.groupby("image_set", sort=False).p.transform(holm))[columns]


def _training(model: Mapping, n_images: int) -> dict[str, float]:
    return {
        "panorama_fraction": model["panorama_fraction"],
        "n_images": model.get("n_images") or n_images,
        "cue_reliability": model.get("cue_reliability", 1.0),
    }


def _n_views(training: Mapping) -> int:
    return training["n_images"] - round(training["panorama_fraction"] * training["n_images"])
