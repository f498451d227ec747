"""The signed-rank test on paired scores, and what belongs beside it: effect, intervals, sign test, sample size."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pingouin as pg
from scipy.stats import binomtest, norm, rankdata

POWER = 0.8  # with which a test of the size ``n_needed`` finds an effect like the one seen


def signed_rank(difference: np.ndarray, alternative: str, *, alpha: float, seed: int, draws: int) -> dict[str, float]:
    """One-sided Wilcoxon signed-rank test that differences [N] lie above ("greater") or below ("less") 0.

    Zeros are dropped and no continuity correction is made (arXiv 2604.24642). Beside W and p:
    ``effect``, ``ci_low``, ``ci_high``  matched-pairs rank-biserial correlation, from -1 to 1 (all differences lie as the
    alternative says), with its 95 % percentile bootstrap interval
    ``p_sign``  sign test of the same alternative: of the median alone, whatever the distribution's shape
    ``n_needed``  as by ``needed_size``
    """
    test = pg.wilcoxon(difference, alternative=alternative, correction=False).iloc[0]
    toward = difference if alternative == "greater" else -difference
    low, high = bootstrap(toward, rank_biserial, seed=seed, draws=draws)
    sign = binomtest(int((toward > 0).sum()), int((toward != 0).sum()), alternative="greater")
    return {
        "W": float(test.W_val),
        "p": positive(test.p_val),
        "effect": float(test.RBC),
        "ci_low": low,
        "ci_high": high,
        "p_sign": positive(sign.pvalue),
        "n_needed": needed_size(toward, alpha=alpha),
    }


def differences(x, y) -> np.ndarray:
    """As by ``paired_differences``; ValueError if all are 0 too: two conditions that should differ do not."""
    difference = paired_differences(x, y)
    if not difference.any():
        raise ValueError("all pairs of scores are equal: the two conditions do not differ, check the cues and shifts")
    return difference


def paired_differences(x, y) -> np.ndarray:
    """x - y of paired scores [N]; ValueError if they are no pairs or hold NaN."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape:
        raise ValueError(f"{len(x)} and {len(y)} scores: expected pairs")
    difference = x - y
    if bad := int((~np.isfinite(difference)).sum()):
        raise ValueError(f"{bad} of {len(x)} pairs of scores are not numbers: check the weights and the pictures")
    return difference


def least_size(alpha: float, tests: int = 1) -> int:
    """Images below which no signed-rank test can reject, however they fall: the least p is 2^-n.

    ``tests`` is the size of the family whose smallest p-value Holm's correction multiplies by it.

    >>> least_size(0.01), least_size(0.01, tests=7)
    (7, 10)
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}: expected a number between 0 and 1")
    return math.floor(math.log2(tests / alpha)) + 1


def require_size(n: int, alpha: float, tests: int) -> None:
    """Refuse a set so small that no test of the family could reject, whatever its scores."""
    if n < (least := least_size(alpha, tests)):
        raise ValueError(
            f"{n} images are too few for {tests} signed-rank tests at alpha = {alpha}: expected at least {least}"
        )


def needed_size(difference: np.ndarray, *, alpha: float) -> float:
    """Images with which a signed-rank test ("greater") would find an effect like this one with probability ``POWER``.

    Noether (J. Am. Stat. Assoc. 82, 1987): n = (z_α + z_power)² / (3 (q - 1/2)²), q the probability that the sum of two
    differences is positive, here estimated from all pairs. Infinite where the differences lie the other way.
    """
    least = least_size(alpha)
    ordered = np.sort(difference[difference != 0])
    n = len(ordered)
    partners = n - np.searchsorted(ordered, -ordered, side="right") - (ordered > 0)  # above -d_i, without d_i itself
    q = partners.sum() / (n * (n - 1)) if n > 1 else 0.5
    if q <= 0.5:
        return math.inf
    enough = (norm.isf(alpha) + norm.isf(1 - POWER)) ** 2 / (3 * (q - 0.5) ** 2)
    return float(max(math.ceil(enough), least))


def rank_biserial(difference: np.ndarray) -> np.ndarray:
    """Matched-pairs rank-biserial correlation along the last axis: signed ranks of |d|, zeros dropped, over their sum."""
    magnitude = np.abs(difference)
    ranks = rankdata(magnitude, axis=-1) - (magnitude == 0).sum(-1, keepdims=True)
    ranks = np.where(magnitude > 0, ranks, 0)
    return (np.sign(difference) * ranks).sum(-1) / ranks.sum(-1)


def median(x: np.ndarray) -> np.ndarray:
    """Median along the last axis."""
    return np.median(x, axis=-1)


def bootstrap(
    x: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], *, seed: int, draws: int
) -> tuple[float, float]:
    """95 % percentile interval of a statistic over resampled images: x is [N] or [K, N], images last."""
    if draws < 1:
        raise ValueError(f"draws is {draws}: expected at least 1 resampling")
    images = np.random.default_rng(seed).integers(x.shape[-1], size=(draws, x.shape[-1]))
    low, high = np.percentile(statistic(x[..., images]), [2.5, 97.5])
    return float(low), float(high)


def with_interval(
    name: str, x: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], *, seed: int, draws: int
) -> dict[str, float]:
    """A statistic of x ([N] or [K, N], images last) and its ``bootstrap`` interval: NAME, NAME_low, NAME_high."""
    low, high = bootstrap(x, statistic, seed=seed, draws=draws)
    return {name: float(statistic(x)), f"{name}_low": low, f"{name}_high": high}


def holm(p: pd.Series) -> np.ndarray:
    """p-values corrected over their family (Holm, Scand. J. Stat. 6, 1979)."""
    return pg.multicomp(p.to_numpy(), method="holm")[1]


def positive(p: float) -> float:
    """A p-value too small for a float is at most the smallest one."""
    return max(float(p), np.finfo(float).tiny)
