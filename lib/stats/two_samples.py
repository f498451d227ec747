"""Two samples of scores, paired or not: differences with intervals, rank tests, and what their sizes could have shown."""

import math

import numpy as np
import pingouin as pg
from scipy import stats

from clip360.stats.inference import Inference, mean, median, positive
from clip360.stats.resampling import BLOCK, bootstrap_intervals
from clip360.stats.signed_rank import POWER, rank_biserial

# Asymptotic efficiency of the rank tests relative to t-tests for normal scores; for heavier tails it is larger.
RANK_EFFICIENCY = 3 / math.pi
MAX_COUNTED = 1000  # scores whose orders are counted: with more, any level can be reached
MAX_BATCH = 100  # resamples that scipy draws at once


def compare_paired(x: np.ndarray, y: np.ndarray, signs: np.ndarray, *, inference: Inference) -> list[dict[str, float]]:
    """``difference``, ``median_difference`` and ``win_rate`` with intervals, of pairs of scores x and y [K, N] of K metrics.

    ``signs`` [K] is -1 where lower is better, else 1. All metrics are resampled together.
    """
    difference = x - y
    mean_interval, median_interval = bootstrap_intervals(difference, [mean, median], inference=inference)
    (win_interval,) = bootstrap_intervals(signs[:, None] * difference, [wins], inference=inference)
    columns = {
        "difference": (mean(difference), mean_interval),
        "median_difference": (median(difference), median_interval),
        "win_rate": (wins(signs[:, None] * difference), win_interval),
    }
    return [
        {
            key: float(value)
            for name, (values, (low, high)) in columns.items()
            for key, value in ((name, values[k]), (f"{name}_low", low[k]), (f"{name}_high", high[k]))
        }
        for k in range(len(x))
    ]


def compare_unpaired(x: np.ndarray, y: np.ndarray, sign: int, *, inference: Inference) -> dict[str, float]:
    """As ``compare_paired``, of independent scores x [N] and y [M] of one metric."""
    row = {}
    for name, samples, statistic in (
        ("difference", (x, y), mean_difference),
        ("median_difference", (x, y), median_difference),
        ("win_rate", (sign * x, sign * y), win_rate),
    ):
        low, high = _interval(*samples, statistic, inference)
        row |= {name: float(statistic(*samples, axis=-1)), f"{name}_low": low, f"{name}_high": high}
    return row


def _interval(x: np.ndarray, y: np.ndarray, statistic, inference: Inference) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of two independent samples."""
    found = stats.bootstrap(
        (x, y),
        statistic,
        n_resamples=inference.n_bootstrap,
        confidence_level=1 - inference.alpha,
        method="percentile",
        batch=min(MAX_BATCH, max(1, BLOCK // (len(x) + len(y)))),
        random_state=np.random.default_rng(inference.seed),
    )
    low, high = map(float, found.confidence_interval)
    return low, high


def mean_difference(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    """Mean of x minus mean of y."""
    return x.mean(axis) - y.mean(axis)


def median_difference(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    """Median of x minus median of y."""
    return np.median(x, axis) - np.median(y, axis)


def win_rate(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    """P(x > y) + P(x = y) / 2 over all pairs of x [..., N] and y [..., M], from the sum of the ranks of x.

    >>> win_rate(np.array([1.0, 3.0, 5.0]), np.array([2.0, 3.0]))
    np.float64(0.5833333333333334)
    """
    n, m = x.shape[axis], y.shape[axis]
    ranks = stats.rankdata(np.concatenate([x, y], axis), axis=axis)
    rank_sum = np.take(ranks, range(n), axis).sum(axis)
    return (rank_sum - n * (n + 1) / 2) / (n * m)


def wins(difference: np.ndarray) -> np.ndarray:
    """Fraction of positive differences [..., N] along the last axis, zeros counted half.

    >>> wins(np.array([1.0, 0.0, -1.0, 2.0]))
    np.float64(0.625)
    """
    return ((difference > 0) + 0.5 * (difference == 0)).mean(-1)


def rank_test(x: np.ndarray, y: np.ndarray, *, paired: bool) -> tuple[float, float]:
    """Two-sided p-value and rank-biserial correlation, positive where x [N] lies above y [M].

    Wilcoxon's signed-rank test, zeros dropped, or the Mann-Whitney test, as scipy makes them: exact for few scores without ties,
    else by the normal approximation. p = 1 where all pairs are equal.
    """
    if not paired:
        test = stats.mannwhitneyu(x, y)
        return positive(test.pvalue), float(2 * test.statistic / (len(x) * len(y)) - 1)
    difference = x - y
    if not difference.any():
        return 1.0, 0.0
    return positive(stats.wilcoxon(difference).pvalue), float(rank_biserial(difference))


def detectable_difference(x: np.ndarray, y: np.ndarray, *, paired: bool, alpha: float, power: float = POWER) -> float:
    """The smallest difference of means that a two-sided rank test at the level ``alpha`` finds with probability ``power``.

    That of the t-test with this sample's size and standard deviation (noncentral t), over the root of the rank tests' asymptotic
    efficiency 3/π. Infinite where no scores of this number could reject, whatever they are; NaN where scores have no spread.
    """
    n, m = len(x), len(y)
    n_orders = math.inf  # that are equally likely by chance
    if n + m <= MAX_COUNTED:
        n_orders = 2**n if paired else math.comb(n + m, n)
    smallest_p = 2 / n_orders
    if smallest_p > alpha:
        return math.inf
    if paired:
        spread = np.std(x - y, ddof=1)
        effect = pg.power_ttest(n=n, power=power, alpha=alpha, contrast="one-sample")
    else:
        spread = math.sqrt(((n - 1) * x.var(ddof=1) + (m - 1) * y.var(ddof=1)) / (n + m - 2))
        effect = pg.power_ttest2n(n, m, power=power, alpha=alpha)
    return float(spread * effect / math.sqrt(RANK_EFFICIENCY)) if spread else math.nan
