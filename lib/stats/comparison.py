"""Comparison of generators by the scores of their panoramas, as `clip360 score` writes them: tables in, a table out.

Two generators that drew the same captions are compared pair by pair, which removes the differences between captions; others
as two independent samples. A winner is named only where the test rejects after Holm's correction over all metrics and pairs
of the comparison, and the mean points to the same side. Everything else cannot be decided, and the table says how large a
difference the sample could have shown.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import pingouin as pg
from scipy import stats

from clip360.stats.inference import Inference, bootstrap, holm, mean, median, positive
from clip360.stats.signed_rank import POWER

METRICS = ("score", "robust", "spread", "worst", "seam")
LOWER_IS_BETTER = ("spread", "seam")
UNDECIDED = "cannot be decided"
MIN_SHARED = 0.5  # fraction of the smaller table whose captions the other must have for a paired comparison
# Asymptotic efficiency of the rank tests relative to t-tests for normal scores; for heavier tails it is larger.
RANK_EFFICIENCY = 3 / math.pi


def compare(
    scores: Mapping[str, pd.DataFrame], metrics: Sequence[str] = METRICS, *, inference: Inference
) -> pd.DataFrame:
    """One row for each pair of generators and metric.

    ``scores`` maps the name of a generator to its table: image, caption, and a column for each metric.

    a, b, metric        the two generators, and what is compared
    pairing             ``caption`` or ``unpaired``, see ``paired_tables``
    n_a, n_b            panoramas that are compared
    mean_a, mean_b      their means
    difference          mean of a minus mean of b
    median_difference   median of the paired differences, or difference of the medians
    win_rate            probability that a panorama of a is better than that of b with its caption, where unpaired than any of
                        b; ties count half
    *_low, *_high       bootstrap intervals of these three at the level 1 - α
    p, p_holm           two-sided signed-rank test, or Mann-Whitney test where unpaired; corrected over all rows
    rank_effect         rank-biserial correlation, positive where a is better
    detectable          mean difference that the test finds with 80 % probability at the level α / rows, which Holm's correction
                        guarantees every row: see ``detectable_difference``
    verdict             the name of the better generator, or ``cannot be decided``

    Raises ValueError for fewer than two generators, a missing column, or scores that are not numbers.
    """
    if len(scores) < 2:
        raise ValueError(f"{len(scores)} generators: expected at least 2")
    for name, table in scores.items():
        require_metrics(name, table, metrics)
    pairs = list(combinations(scores, 2))
    n_tests = len(pairs) * len(metrics)
    rows = []
    for a, b in pairs:
        pairing, table_a, table_b = paired_tables(scores[a], scores[b])
        for metric in metrics:
            x, y = (table[metric].to_numpy(dtype=float) for table in (table_a, table_b))
            labels = {"a": a, "b": b, "metric": metric, "pairing": pairing, "n_a": len(x), "n_b": len(y)}
            estimates = compare_scores(
                x,
                y,
                paired=pairing != "unpaired",
                lower_is_better=metric in LOWER_IS_BETTER,
                n_tests=n_tests,
                inference=inference,
            )
            rows.append(labels | estimates)
    table = pd.DataFrame(rows)
    table.insert(table.columns.get_loc("p") + 1, "p_holm", holm(table.p))
    return table.assign(verdict=[verdict(row, inference.alpha) for row in table.to_dict("records")])


def require_metrics(name: str, table: pd.DataFrame, metrics: Sequence[str]) -> None:
    """ValueError where a table lacks the columns image, caption or a metric, has no rows, or values that are not numbers."""
    if missing := [column for column in ("image", "caption", *metrics) if column not in table]:
        raise ValueError(f"the scores of {name} have no column {', '.join(missing)}: score its panoramas again")
    if len(table) < 2:
        raise ValueError(f"{name} has {len(table)} panoramas: expected at least 2")
    for metric in metrics:
        if n_bad := int((~np.isfinite(table[metric].to_numpy(dtype=float))).sum()):
            raise ValueError(f"{n_bad} values of {metric} of {name} are not numbers: score its panoramas again")


def paired_tables(a: pd.DataFrame, b: pd.DataFrame) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """How two tables are compared, and the rows that are: in the same order where they are paired.

    ``caption``  each caption occurs once in each table, or once for each file name, and at least half of the smaller table's
                 rows have a partner: the rows with a partner. A file name alone pairs nothing: any generator may write
                 0001.png
    ``unpaired`` otherwise: all rows
    """
    for keys in (["caption"], ["caption", "image"]):
        if a.duplicated(keys).any() or b.duplicated(keys).any():
            continue
        both = a.merge(b, on=keys, suffixes=("_a", "_b"))[keys]
        if len(both) >= max(2, MIN_SHARED * min(len(a), len(b))):
            return "caption", both.merge(a, on=keys), both.merge(b, on=keys)
    return "unpaired", a, b


def compare_scores(
    x: np.ndarray, y: np.ndarray, *, paired: bool, lower_is_better: bool, n_tests: int, inference: Inference
) -> dict[str, float]:
    """The columns of ``compare`` from ``mean_a`` to ``detectable``, but p_holm, of scores x [N] and y [M]."""
    sign = -1 if lower_is_better else 1
    if paired:
        difference = x - y
        intervals = {
            "difference": (mean(difference), *bootstrap(difference, mean, inference=inference)),
            "median_difference": (np.median(difference), *bootstrap(difference, median, inference=inference)),
            "win_rate": (_wins(sign * difference), *bootstrap(sign * difference, _wins, inference=inference)),
        }
    else:
        intervals = {
            "difference": _two_sample(x, y, mean_difference, inference),
            "median_difference": _two_sample(x, y, median_difference, inference),
            "win_rate": _two_sample(sign * x, sign * y, win_rate, inference),
        }
    row = {"mean_a": float(x.mean()), "mean_b": float(y.mean())}
    for name, (value, low, high) in intervals.items():
        row |= {name: float(value), f"{name}_low": low, f"{name}_high": high}
    p, rank_effect = rank_test(x, y, paired=paired)
    detectable = detectable_difference(x, y, paired=paired, alpha=inference.alpha / n_tests)
    return row | {"p": p, "rank_effect": sign * rank_effect + 0.0, "detectable": detectable}


def rank_test(x: np.ndarray, y: np.ndarray, *, paired: bool) -> tuple[float, float]:
    """Two-sided p-value and rank-biserial correlation, positive where x [N] lies above y [M].

    Wilcoxon's signed-rank test, zeros dropped, or the Mann-Whitney test. p = 1 where all pairs are equal.
    """
    if paired and not (x - y).any():
        return 1.0, 0.0
    test = pg.wilcoxon(x, y, correction=False) if paired else pg.mwu(x, y)
    return positive(test.p_val.iloc[0]), float(test.RBC.iloc[0])


def detectable_difference(x: np.ndarray, y: np.ndarray, *, paired: bool, alpha: float, power: float = POWER) -> float:
    """The smallest difference of means that a two-sided rank test at the level ``alpha`` finds with probability ``power``.

    That of the t-test with this sample's size and standard deviation (noncentral t), over the root of the rank tests' asymptotic
    efficiency 3/π. Infinite where no scores of this number could reject, whatever they are; NaN where scores have no spread.
    """
    n, m = len(x), len(y)
    smallest_p = 2.0 ** (1 - n) if paired else 2 / math.comb(n + m, n)
    if smallest_p > alpha:
        return math.inf
    if paired:
        spread = np.std(x - y, ddof=1)
        effect = pg.power_ttest(n=n, power=power, alpha=alpha, contrast="one-sample")
    else:
        spread = math.sqrt(((n - 1) * x.var(ddof=1) + (m - 1) * y.var(ddof=1)) / (n + m - 2))
        effect = pg.power_ttest2n(n, m, power=power, alpha=alpha)
    return float(spread * effect / math.sqrt(RANK_EFFICIENCY)) if spread else math.nan


def verdict(row: Mapping, alpha: float) -> str:
    """The better generator of a row of ``compare``: the test rejects, and mean and ranks point to the same side."""
    better = -row["difference"] if row["metric"] in LOWER_IS_BETTER else row["difference"]
    if row["p_holm"] >= alpha or better * row["rank_effect"] <= 0:
        return UNDECIDED
    return row["a"] if better > 0 else row["b"]


def _two_sample(x: np.ndarray, y: np.ndarray, statistic, inference: Inference) -> tuple[float, float, float]:
    """A statistic of two independent samples, and its percentile bootstrap interval over both."""
    found = stats.bootstrap(
        (x, y),
        statistic,
        n_resamples=inference.n_bootstrap,
        confidence_level=1 - inference.alpha,
        method="percentile",
        batch=100,
        random_state=np.random.default_rng(inference.seed),
    )
    return statistic(x, y, axis=-1), *map(float, found.confidence_interval)


def mean_difference(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    return x.mean(axis) - y.mean(axis)


def median_difference(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
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


def _wins(difference: np.ndarray) -> np.ndarray:
    return ((difference > 0) + 0.5 * (difference == 0)).mean(-1)
