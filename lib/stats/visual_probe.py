"""Does the CLIP score stay the same when a panorama is shifted? (arXiv 2604.24642, visual probe)"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clip360.stats.inference import Inference, median, with_interval
from clip360.stats.measurements import KEYS, by_image, select
from clip360.stats.signed_rank import correct_families, differences, paired_differences, signed_rank

SAME_MIRRORED = (
    "every mirrored image has the score of its original: β would be 0, check the mirrored images and the model"
)


def stability_bound(s: np.ndarray, s_flip: np.ndarray) -> float:
    """β = Q3 + 1.5 · IQR of |s - s_flip|, the upper Tukey fence (arXiv 2604.24642), in points of the CLIP score.

    ``s`` [N] are the scores of the images, ``s_flip`` [N] those of the mirrored images. Raises ValueError for scores that
    are not finite, or equal in all pairs.

    >>> stability_bound(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.zeros(5))
    7.0
    """
    return float(upper_fence(np.abs(differences(s, s_flip, if_equal=SAME_MIRRORED))))


def upper_fence(change: np.ndarray) -> np.ndarray:
    """Q3 + 1.5 · IQR along the last axis."""
    first, third = np.percentile(change, [25, 75], axis=-1)
    return third + 1.5 * (third - first)


def stability_test(s: np.ndarray, s_shift: np.ndarray, *, beta: float, inference: Inference) -> dict[str, float]:
    """One-sided signed-rank test of H0: |s - s^δ| >= β on paired scores [N]; rejecting it means stable (arXiv 2604.24642).

    Returns n, beta, the median of |s - s^δ| with its bootstrap interval, and the columns of ``signed_rank`` of
    |s - s^δ| - β. Where |s - s^δ| is skewed, as it is, a median below β is not enough for the test to reject; for the sign
    test it is. Raises ValueError for scores that are not finite, and where every |s - s^δ| equals β.
    """
    change = np.abs(paired_differences(s, s_shift))  # all 0 where an encoder is exactly invariant
    medians = with_interval("median_abs_diff", change, median, inference=inference)
    at_bound = (
        f"every change |s - s^δ| equals the bound β = {beta:g}: no test can decide, check the control that gives β"
    )
    excess = differences(change, np.full_like(change, beta), if_equal=at_bound)
    test = signed_rank(excess, "less", alpha=inference.alpha)
    return {"n": len(change), "beta": beta} | medians | test


def shift_pivot(measurements: pd.DataFrame) -> pd.DataFrame:
    """CLIP scores of one model, image set and view: one row for each image, columns (condition, level).

    Only the conditions ``shift`` and ``mirror`` are taken. Raises ValueError where an image has no score, or two, under
    one of them.
    """
    scores = select(measurements, "clip_score", "shift", "mirror")
    place = ", ".join(scores[KEYS].iloc[0])
    for row in scores[scores.duplicated(["image", "condition", "level"])].itertuples():
        raise ValueError(f"{place}: {row.image} has two scores under {row.condition} {row.level}: expected one")
    table = by_image(scores, ["condition", "level"])
    for image in table.index[table.isna().any(axis=1)]:
        raise ValueError(f"{place}: {image} lacks a score under one shift, or it is not a number: score the set anew")
    return table


def shift_tests(
    measurements: pd.DataFrame,
    *,
    shifts: Sequence[float],
    inference: Inference,
    bounds: pd.Series | None = None,
) -> pd.DataFrame:
    """``stability_test`` for every model, image set and view and every one of ``shifts`` (fractions of the width).

    ``bounds`` gives β by (model, image_set, view); by default the mirrored images of the same rows give it.
    ``p_holm`` is corrected over the shifts of one model, image set and view; ``stable`` means p_holm < α, ``stable_uncorrected`` p < α, as in
    the paper. Raises ValueError where a set has too few images for any test to reject.
    """
    rows = []
    for keys, part in select(measurements, "clip_score", "shift", "mirror").groupby(KEYS, sort=False):
        table = shift_pivot(part)
        s = table["shift", 0.0]
        beta = stability_bound(s, table["mirror", 0.0]) if bounds is None else bounds[keys]
        for shift in shifts:
            test = stability_test(s, table["shift", shift], beta=beta, inference=inference)
            rows.append(dict(zip(KEYS, keys, strict=True)) | {"shift": shift} | test)
    tests = pd.DataFrame(rows)
    tests["p_holm"] = correct_families(tests, KEYS, alpha=inference.alpha)
    tests["stable"], tests["stable_uncorrected"] = tests.p_holm < inference.alpha, tests.p < inference.alpha
    columns = [
        *KEYS,
        "shift",
        "n",
        "beta",
        "median_abs_diff",
        "W",
        "p",
        "p_holm",
        "effect",
        "effect_low",
        "effect_high",
    ]
    columns += ["stable", "stable_uncorrected", "median_abs_diff_low", "median_abs_diff_high", "p_sign", "required_n"]
    return tests[columns]


def shift_curve(measurements: pd.DataFrame) -> pd.DataFrame:
    """Quartiles over images of |s - s^δ| at every shift: columns model, image_set, view, shift, low, median, high."""
    keys = [*KEYS, "image"]
    shifted = select(measurements, "clip_score", "shift")
    unshifted = shifted[shifted.level == 0].set_index(keys).value.rename("unshifted")
    shifted = shifted.join(unshifted, on=keys)
    change = shifted.assign(change=(shifted.value - shifted.unshifted).abs())
    groups = change.groupby([*KEYS, "level"], sort=False).change
    curve = pd.DataFrame({"low": groups.quantile(0.25), "median": groups.median(), "high": groups.quantile(0.75)})
    return curve.rename_axis([*KEYS, "shift"]).reset_index()


def score_ranges(measurements: pd.DataFrame) -> pd.DataFrame:
    """Scores of the unshifted images: n, minimum, mean, maximum and standard deviation, by model, image set and view."""
    unshifted = select(measurements, "clip_score", "shift")
    groups = unshifted[unshifted.level == 0].groupby(KEYS, sort=False).value
    columns = {"n": groups.size(), "minimum": groups.min(), "mean": groups.mean(), "maximum": groups.max()}
    return pd.DataFrame(columns | {"sd": groups.std()}).reset_index()


def summarise_shifts(tests: pd.DataFrame, ratios: pd.DataFrame) -> pd.DataFrame:
    """One row for each model, image set and view: how many shifts are stable, and the columns of ``worst_ratios``.

    ``tests`` and ``ratios`` are the tables of ``shift_tests`` and ``worst_ratios``. ``stable`` counts by Holm's correction over these shifts,
    ``stable_uncorrected`` as in the paper.
    """
    groups = tests.groupby(KEYS, sort=False)
    columns = {name: groups[name].agg(count_true) for name in ("stable", "stable_uncorrected")}
    return pd.DataFrame(columns).reset_index().merge(ratios, on=KEYS, validate="1:1")


def count_true(verdicts: pd.Series) -> str:
    """How many of some tests reject, in words.

    >>> count_true(pd.Series([True, False, True]))
    '2 of 3'
    """
    return f"{verdicts.sum()} of {len(verdicts)}"
