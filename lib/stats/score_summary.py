"""A summary of the scores of one generator: means with intervals, and how far rankings depend on the view protocol."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from clip360.stats.inference import Inference, mean
from clip360.stats.resampling import bootstrap_intervals

MANY = 100_000  # images above which no resamples are drawn


def metric_means(scores: pd.DataFrame, *, inference: Inference) -> dict[str, dict[str, float]]:
    """Mean, low and high of every numeric column but ``worst_yaw``, an angle.

    The interval is the percentile bootstrap over images; of more than ``MANY`` images ``Moments.interval``, to which it converges.

    >>> metric_means(pd.DataFrame({"image": ["a", "b"], "score": [2.0, 2.0]}), inference=Inference(0.05, 10, 0))
    {'score': {'mean': 2.0, 'low': 2.0, 'high': 2.0}}
    """
    columns = scores.select_dtypes("number").columns.drop("worst_yaw", errors="ignore")
    if len(scores) > MANY:
        return {str(name): Moments.of(scores[name].to_numpy(dtype=float)).interval(inference.alpha) for name in columns}
    x = scores[columns].to_numpy(dtype=float).T.copy()
    ((low, high),) = bootstrap_intervals(x, [mean], inference=inference)
    rows = zip(columns, map(float, mean(x)), map(float, low), map(float, high), strict=True)
    return {str(name): {"mean": value, "low": a, "high": b} for name, value, a, b in rows}


@dataclass(frozen=True)
class Moments:
    """Number, mean and sum of squared deviations of values that arrive in parts (Chan, Golub and LeVeque, 1983)."""

    n: int = 0
    mean: float = 0.0
    deviations: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> "Moments":
        """Those of values [N], one at least."""
        return cls(len(values), float(values.mean()), float(((values - values.mean()) ** 2).sum()))

    def __add__(self, other: "Moments") -> "Moments":
        """Those of both parts together."""
        n, difference = self.n + other.n, other.mean - self.mean
        deviations = self.deviations + other.deviations + difference**2 * self.n * other.n / n
        return Moments(n, self.mean + difference * other.n / n, deviations)

    def interval(self, alpha: float) -> dict[str, float]:
        """The mean and its interval at the level 1 - α for many values: Student's, NaN for a single one.

        >>> Moments.of(np.array([2.0, 2.0])).interval(0.5)
        {'mean': 2.0, 'low': 2.0, 'high': 2.0}
        """
        if self.n < 2:
            return {"mean": self.mean, "low": math.nan, "high": math.nan}
        half_width = float(stats.t.isf(alpha / 2, self.n - 1)) * math.sqrt(self.deviations / (self.n - 1) / self.n)
        return {"mean": self.mean, "low": self.mean - half_width, "high": self.mean + half_width}


def clamped_columns(protocols: Sequence[str]) -> tuple[str, ...]:
    """The columns that are 0 only where scores below zero were clamped: in one direction, in all of them, and under ``protocols``."""
    return "worst", "robust", *protocols


def clamped_sentence(n_zero: Mapping[str, int], n: int) -> str:
    """How many of n panoramas have the score 0, by ``clamped_columns``, as a sentence without its full stop; empty if none.

    >>> clamped_sentence({"worst": 5, "robust": 2, "squash": 0, "half-crop": 3}, 22)
    'scores below zero count as 0: of 22 panoramas 5 have the score 0 in some direction, 2 in every direction (their spread of 0 is no stability), 3 under half-crop'
    """
    words = {"worst": "in some direction", "robust": "in every direction (their spread of 0 is no stability)"}
    first, *others = [f"{k} {words.get(name, f'under {name}')}" for name, k in n_zero.items() if k] or [""]
    count, _, where = first.partition(" ")
    verb = "has" if count == "1" else "have"
    return (
        f"scores below zero count as 0: of {n} panoramas {', '.join([f'{count} {verb} the score 0 {where}', *others])}"
        if first
        else ""
    )


def rank_correlations(scores: pd.DataFrame, columns: Sequence[str]) -> list[dict]:
    """Kendall's τ_b between every pair of columns, over images: how far two protocols rank panoramas alike.

    NaN for fewer than two images, and where all scores of a column are equal.
    """
    if len(scores) < 2:
        return [{"a": a, "b": b, "kendall": math.nan} for a, b in combinations(columns, 2)]
    return [
        {"a": a, "b": b, "kendall": float(stats.kendalltau(scores[a], scores[b]).statistic)}
        for a, b in combinations(columns, 2)
    ]
