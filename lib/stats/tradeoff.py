"""What an adapted model gains in stability and loses in capability, against its frozen model (arXiv 2604.24642)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from clip360.names import PANORAMA, PERSPECTIVE, TEST, TRAINING, VALIDATION
from clip360.stats.inference import Inference, mean, median, with_interval
from clip360.stats.measurements import KEYS, select
from clip360.stats.visual_probe import shift_pivot, shift_tests, stability_bound

RANKS = ("image_to_text_rank", "text_to_image_rank")


def frozen_bounds(frozen: pd.DataFrame) -> pd.Series:
    """β by (model, image_set) of every frozen model: the bound for it and for every run that starts from it."""
    rows = {}
    for keys, part in frozen.groupby(["model", "image_set"], sort=False):
        table = shift_pivot(part)
        rows[keys] = stability_bound(table["shift", 0.0], table["mirror", 0.0])
    return pd.Series(rows).rename_axis(["model", "image_set"])


def finetuned_shift_tests(
    frozen: pd.DataFrame,
    finetuned: pd.DataFrame,
    runs: Mapping[str, Mapping],
    *,
    shifts: Sequence[float],
    inference: Inference,
) -> pd.DataFrame:
    """``shift_tests`` of frozen and adapted models, all with the frozen model's β.

    ``runs`` gives for each adapted model its frozen ``model`` and, if it was trained, the ``shift_range`` from which
    training drew. The column ``drawn`` says whether a tested shift lies in that range.
    """
    bounds = frozen_bounds(frozen)
    base_models = {run: spec["model"] for run, spec in runs.items()}
    measurements = pd.concat([frozen, finetuned], ignore_index=True)
    keys = select(measurements, "clip_score", "shift", "mirror")[KEYS].drop_duplicates().itertuples(index=False)
    all_bounds = pd.Series({(m, s, v): bounds[base_models.get(m, m), s] for m, s, v in keys})
    tests = shift_tests(measurements, shifts=list(shifts), inference=inference, bounds=all_bounds)
    ranges = {run: spec["shift_range"] for run, spec in runs.items() if "shift_range" in spec}
    drawn = [
        model in ranges and ranges[model][0] <= shift < ranges[model][1]
        for model, shift in zip(tests.model, tests["shift"], strict=True)
    ]
    tests.insert(4, "drawn", drawn)
    return tests


def tradeoff_table(
    frozen: pd.DataFrame,
    finetuned: pd.DataFrame,
    tests: pd.DataFrame,
    runs: Mapping[str, Mapping],
    *,
    training_set: str,
    shifts: Sequence[float],
    inference: Inference,
) -> pd.DataFrame:
    """One row for each adapted model and image set; every change is against the frozen model on the same images.

    ``frozen`` and ``finetuned`` are measurements of the trade-off, ``tests`` those of ``finetuned_shift_tests``, ``runs``
    the specification of each adapted model. Columns (intervals, ``_low`` and ``_high``, are percentile bootstraps over
    images; scores in points):

    ``method``, ``lam``, ``shift_range``  of the run; λ is NaN and the range "none" where nothing was trained
    ``role``  of the image set: trained on, for selection (validation), or test
    ``stable_fraction``, ``stable_fraction_frozen``  fraction of the shifts that are stable by the frozen model's β
    ``beta``, ``beta_finetuned``  β of the frozen model, used for both, and that of the adapted model's own mirrored scores
    ``instability``  median of |s - s^δ| over images and shifts; ``relative_instability`` over that of the frozen model
    ``worst_instability``  the median under the worst of the shifts
    ``between_instability``  the median at the shifts that are measured but not among ``shifts``
    ``score_change``  median of s_θ - s on unshifted panoramas
    ``recall_change``, ``recall_change_perspective``  of R@1, mean of both directions, on panoramas and perspective views
    ``zero_shot_change``, ``zero_shot_change_perspective``  of the top-1 accuracy on them, where the classes are known
    ``inter_image_cosine``, ``inter_image_cosine_frozen``  mean cosine between different images: 1 where they collapsed
    """
    rows = []
    for (run, image_set), part in finetuned.groupby(["model", "image_set"], sort=False):
        spec = runs[run]
        base = frozen[(frozen.model == spec["model"]) & (frozen.image_set == image_set)]
        after = shift_pivot(part)
        before = shift_pivot(base).reindex(after.index)
        tested = tests[(tests.model == run) & (tests.image_set == image_set)]
        tested_frozen = tests[(tests.model == spec["model"]) & (tests.image_set == image_set)]
        changes = np.stack([_changes(after, shifts), _changes(before, shifts)])  # [finetuned or frozen, shift, image]
        other_shifts = [shift for shift in after["shift"].columns if shift and shift not in shifts]
        score_change = (after["shift", 0.0] - before["shift", 0.0]).to_numpy()
        measures = {
            "instability": (changes[0], _pooled_median),
            "relative_instability": (changes.reshape(-1, changes.shape[-1]), _median_ratio),
            "worst_instability": (changes[0], _worst_median),
            **({"between_instability": (_changes(after, other_shifts), _pooled_median)} if other_shifts else {}),
            "score_change": (score_change, median),
        }
        for view, ending in ((PANORAMA, ""), (PERSPECTIVE, "_perspective")):
            measures[f"recall_change{ending}"] = (_hits(part, view) - _hits(base, view), mean)
            if len(hits_frozen := _zero_shot_hits(base, view)):
                measures[f"zero_shot_change{ending}"] = (_zero_shot_hits(part, view) - hits_frozen, mean)
        shift_range = spec.get("shift_range")
        row = {
            "model": run,
            "base_model": spec["model"],
            "method": method_label(spec),
            "view": part["view"].iloc[0],
            "lam": spec.get("lam", np.nan),
            "shift_range": f"{shift_range[0]:g}-{shift_range[1]:g}" if shift_range else "none",
            "image_set": image_set,
            "role": {training_set: TRAINING, VALIDATION: VALIDATION}.get(image_set, TEST),
            "n": len(after),
            "stable_fraction": tested.stable.mean(),
            "stable_fraction_frozen": tested_frozen.stable.mean(),
            "beta": tested.beta.iloc[0],
            "beta_finetuned": stability_bound(after["shift", 0.0], after["mirror", 0.0]),
        }
        for name, (values, statistic) in measures.items():
            row |= with_interval(name, values, statistic, inference=inference)
        row |= {
            "inter_image_cosine": _inter_image_cosine(part),
            "inter_image_cosine_frozen": _inter_image_cosine(base),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def method_label(spec: Mapping) -> str:
    """A run's adaptation method, with the view of a panorama where it is not the model's own.

    >>> method_label({"method": "lora_attention"}), method_label({"method": "distilled", "view": "squash"})
    ('lora_attention', 'distilled, squash')
    """
    return ", ".join(spec[key] for key in ("method", "view") if key in spec)


def pareto(frame: pd.DataFrame, *, lower: str, higher: str) -> pd.Series:
    """Rows that no other row dominates: none is at least as low and as high, and better in one. bool, index of ``frame``.

    >>> frame = pd.DataFrame({"instability": [1.0, 2.0, 2.0], "score": [0.0, 1.0, 0.5]})
    >>> pareto(frame, lower="instability", higher="score").tolist()
    [True, True, False]
    """
    x, y = frame[lower].to_numpy()[:, None], frame[higher].to_numpy()[:, None]
    no_worse, better = (x >= x.T) & (y <= y.T), (x > x.T) | (y < y.T)
    return pd.Series(~(no_worse & better).any(1), index=frame.index)


def _changes(table: pd.DataFrame, shifts: Sequence[float]) -> np.ndarray:
    """|s - s^δ| [shift, image]."""
    return np.stack([(table["shift", 0.0] - table["shift", shift]).abs().to_numpy() for shift in shifts])


def _hits(measurements: pd.DataFrame, view: str) -> np.ndarray:
    """Fraction [N] of the two retrieval directions in which an image's own text, or the image itself, is ranked first."""
    ranks = measurements[measurements.measure.isin(RANKS) & (measurements["view"] == view)]
    return (ranks.assign(hit=ranks.value <= 1).groupby("image").hit.mean()).to_numpy()


def _zero_shot_hits(measurements: pd.DataFrame, view: str) -> np.ndarray:
    """Whether each image's class is ranked first, 1 or 0 [N]; empty where the classes are not known."""
    hits = select(measurements, "zero_shot_hit")
    return hits[hits["view"] == view].set_index("image").value.sort_index().to_numpy()


def _inter_image_cosine(measurements: pd.DataFrame) -> float:
    return float(select(measurements, "inter_image_cosine").value.mean())


def _pooled_median(changes: np.ndarray) -> np.ndarray:
    """Median over shifts and images of [shift, ..., image]."""
    return np.median(changes, axis=(0, -1))


def _worst_median(changes: np.ndarray) -> np.ndarray:
    """Largest median over images of [shift, ..., image]."""
    return np.median(changes, axis=-1).max(0)


def _median_ratio(changes: np.ndarray) -> np.ndarray:
    """Pooled median of the first half of the rows (adapted) over that of the second half (frozen)."""
    finetuned, frozen = np.split(changes, 2)
    return _pooled_median(finetuned) / _pooled_median(frozen)
