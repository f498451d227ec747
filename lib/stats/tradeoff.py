"""What a fine-tuned model gains in stability and loses of its original ability, against the frozen model (arXiv 2604.24642)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clip360.names import PANORAMA, PERSPECTIVE, TEST, TRAINING, VALIDATION
from clip360.stats.signed_rank import median, with_interval
from clip360.stats.visual_probe import KEYS, shift_pivot, stability_bound, visual_tests


def frozen_bounds(frozen: pd.DataFrame) -> pd.Series:
    """β of every frozen model on every image set: the bound for the frozen and for all that is made of it."""
    rows = {}
    for keys, part in _shift_scores(frozen).groupby(["model", "image_set"], sort=False):
        table = shift_pivot(part)
        rows[keys] = stability_bound(table["shift", 0.0], table["mirror", 0.0])
    return pd.Series(rows).rename_axis(["model", "image_set"])


def tuned_tests(
    frozen: pd.DataFrame,
    tuned: pd.DataFrame,
    runs: dict,
    *,
    shifts: Sequence[float],
    alpha: float,
    seed: int,
    draws: int,
) -> pd.DataFrame:
    """``visual_tests`` of frozen and fine-tuned models, all with the frozen model's β; ``drawn``: seen in training?

    ``runs`` gives for each tuned model its frozen ``model`` and, if it was trained, the range of ``shifts`` drawn.
    """
    bounds = frozen_bounds(frozen)
    own = {run: spec["model"] for run, spec in runs.items()}
    scores = pd.concat([_shift_scores(frozen), _shift_scores(tuned)], ignore_index=True)
    keys = scores[KEYS].drop_duplicates().itertuples(index=False)
    all_bounds = pd.Series({(m, s, v): bounds[own.get(m, m), s] for m, s, v in keys})
    tests = visual_tests(scores, shifts=list(shifts), alpha=alpha, seed=seed, draws=draws, bounds=all_bounds)
    ranges = {run: spec["shifts"] for run, spec in runs.items() if "shifts" in spec}
    drawn = [
        model in ranges and ranges[model][0] <= shift < ranges[model][1]
        for model, shift in zip(tests.model, tests["shift"], strict=True)
    ]
    tests.insert(4, "drawn", drawn)
    return tests


def tradeoff(
    frozen: pd.DataFrame,
    tuned: pd.DataFrame,
    tests: pd.DataFrame,
    runs: dict,
    *,
    training_set: str,
    shifts: Sequence[float],
    seed: int,
    draws: int,
) -> pd.DataFrame:
    """One row for each road and image set, all changes against its frozen model on the same images.

    ``role``  of the image set: trained on, to choose by (validation), or test
    ``stable``  share of the shifts judged stable by the frozen β; ``stable_frozen`` that of the frozen model
    ``beta``, ``beta_own``  β of the frozen model, used for both, and that of the tuned model's own mirrored scores
    ``instability``  median of |s - s^δ| over images and shifts; ``ratio`` the same in units of the frozen model's
    ``worst``  the same under the worst of the shifts; ``between``  at the shifts that are scored but not in ``shifts``
    ``score_change``  median of s_θ - s on unshifted panoramas
    ``recall_change``, ``recall_change_perspective``  of R@1, mean of both directions, on panoramas and on ordinary views
    ``zero_shot_change``, ``zero_shot_change_perspective``  of the top-1 accuracy on them, where the classes are known
    ``likeness``, ``likeness_frozen``  mean cosine between different images: 1 where they have collapsed to one
    ``weight`` is λ. Intervals (``_low``, ``_high``) are 95 % percentile bootstraps over images.
    """
    rows = []
    for (run, image_set), part in tuned.groupby(["model", "image_set"], sort=False):
        spec = runs[run]
        base = frozen[(frozen.model == spec["model"]) & (frozen.image_set == image_set)]
        after = shift_pivot(_shift_scores(part))
        before = shift_pivot(_shift_scores(base)).reindex(after.index)
        tested = tests[(tests.model == run) & (tests.image_set == image_set)]
        tested_frozen = tests[(tests.model == spec["model"]) & (tests.image_set == image_set)]
        stacked = np.stack([_changes(after, shifts), _changes(before, shifts)])  # [tuned or frozen, shift, image]
        between = [share for share in after["shift"].columns if share and share not in shifts]
        score_change = (after["shift", 0.0] - before["shift", 0.0]).to_numpy()
        measures = {
            "instability": (stacked[0], _pooled_median),
            "ratio": (stacked.reshape(-1, stacked.shape[-1]), _median_ratio),
            "worst": (stacked[0], _worst_median),
            **({"between": (_changes(after, between), _pooled_median)} if between else {}),
            "score_change": (score_change, median),
        }
        for view, ending in ((PANORAMA, ""), (PERSPECTIVE, "_perspective")):
            measures[f"recall_change{ending}"] = (_hits(part, view) - _hits(base, view), _mean)
            if len(known := _zero_shot(base, view)):
                measures[f"zero_shot_change{ending}"] = (_zero_shot(part, view) - known, _mean)
        drawn = spec.get("shifts")
        row = {
            "model": run,
            "base": spec["model"],
            "strategy": road(spec),
            "view": part["view"].iloc[0],
            "weight": spec.get("weight", np.nan),
            "shifts_drawn": f"{drawn[0]:g}-{drawn[1]:g}" if drawn else "none",
            "image_set": image_set,
            "role": {training_set: TRAINING, VALIDATION: VALIDATION}.get(image_set, TEST),
            "n": len(after),
            "stable": tested.stable.mean(),
            "stable_frozen": tested_frozen.stable.mean(),
            "beta": tested.beta.iloc[0],
            "beta_own": stability_bound(after["shift", 0.0], after["mirror", 0.0]),
        }
        for name, (values, statistic) in measures.items():
            row |= with_interval(name, values, statistic, seed=seed, draws=draws)
        row |= {"likeness": _likeness(part), "likeness_frozen": _likeness(base)}
        rows.append(row)
    return pd.DataFrame(rows)


def road(spec: dict) -> str:
    """What to call a run's strategy: with the view of a panorama, if it is not the model's own.

    >>> road({"strategy": "attention"}), road({"strategy": "distilled", "view": "squash"})
    ('attention', 'distilled, squash')
    """
    return ", ".join(spec[key] for key in ("strategy", "view") if key in spec)


def pareto(frame: pd.DataFrame, *, lower: str, higher: str) -> pd.Series:
    """Rows that no other row dominates: none is at least as low and as high, and better in one.

    >>> frame = pd.DataFrame({"instability": [1.0, 2.0, 2.0], "score": [0.0, 1.0, 0.5]})
    >>> pareto(frame, lower="instability", higher="score").tolist()
    [True, True, False]
    """
    x, y = frame[lower].to_numpy()[:, None], frame[higher].to_numpy()[:, None]
    no_worse, better = (x >= x.T) & (y <= y.T), (x > x.T) | (y < y.T)
    return pd.Series(~(no_worse & better).any(1), index=frame.index)


def _shift_scores(scores: pd.DataFrame) -> pd.DataFrame:
    return scores[scores.condition.isin(["shift", "mirror"])]


def _changes(table: pd.DataFrame, shifts: Sequence[float]) -> np.ndarray:
    """|s - s^δ| [shift, image]."""
    return np.stack([(table["shift", 0.0] - table["shift", shift]).abs().to_numpy() for shift in shifts])


def _hits(scores: pd.DataFrame, view: str) -> np.ndarray:
    """For each image the share of the two directions in which its own text, or it itself, comes first."""
    found = scores[scores.condition.isin(["image_to_text", "text_to_image"]) & (scores["view"] == view)]
    return (found.assign(hit=found.score <= 1).groupby("image").hit.mean()).to_numpy()


def _zero_shot(scores: pd.DataFrame, view: str) -> np.ndarray:
    """For each image, was its class found? Empty where the classes are not known."""
    return (
        scores[(scores.condition == "zero_shot") & (scores["view"] == view)]
        .set_index("image")
        .score.sort_index()
        .to_numpy()
    )


def _likeness(scores: pd.DataFrame) -> float:
    return float(scores[scores.condition == "likeness"].score.mean())


def _mean(x: np.ndarray) -> np.ndarray:
    return x.mean(-1)


def _pooled_median(changes: np.ndarray) -> np.ndarray:
    """Median over shifts and images of [shift, ..., image]."""
    return np.median(changes, axis=(0, -1))


def _worst_median(changes: np.ndarray) -> np.ndarray:
    """Largest median over images of [shift, ..., image]."""
    return np.median(changes, axis=-1).max(0)


def _median_ratio(changes: np.ndarray) -> np.ndarray:
    """Pooled medians of the first half of the rows over those of the second: tuned over frozen."""
    tuned, frozen = np.split(changes, 2)
    return _pooled_median(tuned) / _pooled_median(frozen)
