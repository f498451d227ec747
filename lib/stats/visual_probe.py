"""Does the CLIP score stay the same when a panorama is shifted? (arXiv 2604.24642, visual probe)"""

import numpy as np
import pandas as pd

from clip360.stats.signed_rank import (
    bootstrap,
    differences,
    holm,
    median,
    paired_differences,
    require_size,
    signed_rank,
)

KEYS = ["model", "image_set", "view"]


def stability_bound(s: np.ndarray, s_flip: np.ndarray) -> float:
    """β = Q3 + 1.5 · IQR of |s - s_flip|, s_flip [N] the scores of the mirrored images: the upper Tukey fence.

    >>> stability_bound(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.zeros(5))
    7.0
    """
    return float(upper_fence(np.abs(differences(s, s_flip))))


def upper_fence(change: np.ndarray) -> np.ndarray:
    """Q3 + 1.5 · IQR along the last axis."""
    first, third = np.percentile(change, [25, 75], axis=-1)
    return third + 1.5 * (third - first)


def stability_test(
    s: np.ndarray, s_shift: np.ndarray, *, beta: float, alpha: float, seed: int, draws: int
) -> dict[str, float]:
    """One-sided signed-rank test of H0: |s - s^δ| >= β on paired scores [N]; rejecting it means stable.

    The columns of ``ranks.signed_rank`` of |s - s^δ| - β, and the median of |s - s^δ| with its 95 % bootstrap interval.
    The test asks for more than a median below β where |s - s^δ| is skewed, as it is: the sign test does not.
    """
    change = np.abs(paired_differences(s, s_shift))  # all 0 where an encoder is exactly invariant
    low, high = bootstrap(change, median, seed=seed, draws=draws)
    medians = {"median_abs_diff": float(np.median(change)), "median_low": low, "median_high": high}
    test = signed_rank(differences(change, np.full_like(change, beta)), "less", alpha=alpha, seed=seed, draws=draws)
    return {"n": len(change), "beta": beta} | medians | test


def shift_pivot(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores of one model, image set and view as a table: one row for each image, columns (condition, value).

    ValueError where an image has no score, or two, under one of the conditions.
    """
    model, image_set, view = scores[KEYS].iloc[0]
    where = f"{model}, {image_set}, {view}"
    for row in scores[scores.duplicated(["image", "condition", "value"])].itertuples():
        raise ValueError(f"{where}: {row.image} has two scores under {row.condition} {row.value}: expected one")
    table = scores.pivot(index="image", columns=["condition", "value"], values="score")
    for image in table.index[table.isna().any(axis=1)]:
        raise ValueError(f"{where}: {image} lacks a score under some shift, or it is not a number: score the set anew")
    return table


def visual_tests(
    scores: pd.DataFrame, *, shifts: list[float], alpha: float, seed: int, draws: int, bounds: pd.Series | None = None
) -> pd.DataFrame:
    """``stability_test`` for every model, image set and view of a score table and every shift (as a share of the width).

    ``bounds`` gives β by (model, image_set, view); by default each is derived from the mirrored images of the same set.
    ``p_holm`` is corrected over all rows; ``stable`` means p_holm < alpha.
    """
    rows = []
    for keys, part in scores.groupby(KEYS, sort=False):
        table = shift_pivot(part)
        s = table["shift", 0.0]
        beta = stability_bound(s, table["mirror", 0.0]) if bounds is None else bounds[keys]
        for shift in shifts:
            test = stability_test(s, table["shift", shift], beta=beta, alpha=alpha, seed=seed, draws=draws)
            rows.append(dict(zip(KEYS, keys, strict=True)) | {"shift": shift} | test)
    tests = pd.DataFrame(rows)
    require_size(tests.n.min(), alpha, len(tests))
    tests["p_holm"] = holm(tests.p)
    tests["stable"] = tests.p_holm < alpha
    columns = [*KEYS, "shift", "n", "beta", "median_abs_diff", "W", "p", "p_holm", "effect", "ci_low", "ci_high"]
    return tests[[*columns, "stable", "median_low", "median_high", "p_sign", "n_needed"]]


def shift_curve(scores: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles over images of |s - s^δ| at every shift: columns model, image_set, view, shift, low, median, high."""
    keys = [*KEYS, "image"]
    shifted = scores[scores.condition == "shift"]
    start = shifted[shifted.value == 0].set_index(keys).score.rename("start")
    shifted = shifted.join(start, on=keys)
    change = shifted.assign(change=(shifted.score - shifted.start).abs())
    groups = change.groupby([*KEYS, "value"], sort=False).change
    curve = pd.DataFrame({"low": groups.quantile(0.25), "median": groups.median(), "high": groups.quantile(0.75)})
    return curve.rename_axis([*KEYS, "shift"]).reset_index()


def summarise_shifts(tests: pd.DataFrame) -> pd.DataFrame:
    """One row for each model and image set: β, how many shifts are stable, and the worst shift's median in units of β."""
    groups = tests.groupby(KEYS, sort=False)
    worst = tests.loc[groups.median_abs_diff.idxmax()].set_index(KEYS)
    columns = {
        "beta": groups.beta.first(),
        "stable": groups.stable.agg(lambda stable: f"{stable.sum()} of {len(stable)}"),
        "worst_shift": worst["shift"],
        "of_beta": worst.median_abs_diff / worst.beta,
        "of_beta_low": worst.median_low / worst.beta,
        "of_beta_high": worst.median_high / worst.beta,
    }
    return pd.DataFrame(columns).reset_index()
