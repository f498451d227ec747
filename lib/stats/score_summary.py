"""A summary of the scores of one generator: means with intervals, and how far rankings depend on the view protocol."""

import math
from collections.abc import Sequence
from itertools import combinations

import pandas as pd
from scipy import stats

from clip360.stats.inference import Inference, bootstrap, mean


def metric_means(scores: pd.DataFrame, *, inference: Inference) -> dict[str, dict[str, float]]:
    """Mean, low and high (percentile bootstrap over images) of every numeric column but ``worst_yaw``, an angle.

    >>> metric_means(pd.DataFrame({"image": ["a", "b"], "score": [2.0, 2.0]}), inference=Inference(0.05, 10, 0))
    {'score': {'mean': 2.0, 'low': 2.0, 'high': 2.0}}
    """
    columns = scores.select_dtypes("number").columns.drop("worst_yaw", errors="ignore")
    return {str(name): _mean(scores[name], inference) for name in columns}


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


def _mean(values: pd.Series, inference: Inference) -> dict[str, float]:
    x = values.to_numpy(dtype=float)
    low, high = bootstrap(x, mean, inference=inference)
    return {"mean": float(x.mean()), "low": low, "high": high}
