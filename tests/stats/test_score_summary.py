"""The summary of scores: means with intervals, and rank correlations against a count of pairs."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from clip360.stats.inference import Inference
from clip360.stats.score_summary import metric_means, rank_correlations

INFERENCE = Inference(alpha=0.05, n_bootstrap=2000, seed=0)


def test_intervals_are_those_of_a_mean():
    x = np.random.default_rng(0).normal(20, 3, 400)
    table = pd.DataFrame({"image": map(str, range(400)), "score": x, "worst_yaw": 90.0})
    (name, found), *others = metric_means(table, inference=INFERENCE).items()
    assert name == "score" and not others and found["mean"] == pytest.approx(x.mean())
    half = 1.96 * x.std() / math.sqrt(400)
    assert (found["low"], found["high"]) == pytest.approx((x.mean() - half, x.mean() + half), abs=half / 10)


def test_rank_correlations_count_pairs_that_are_ranked_alike():
    table = pd.DataFrame(np.random.default_rng(1).normal(size=(9, 3)), columns=["a", "b", "c"])
    for row in rank_correlations(table, ["a", "b", "c"]):
        x, y = table[row["a"]], table[row["b"]]
        signs = [np.sign((x[i] - x[j]) * (y[i] - y[j])) for i, j in combinations(range(9), 2)]
        assert row["kendall"] == pytest.approx(np.mean(signs)) and abs(row["kendall"]) < 0.9
    assert rank_correlations(pd.DataFrame({"a": [1, 2, 3], "b": [3, 2, 1]}), ["a", "b"])[0]["kendall"] == -1
    assert math.isnan(rank_correlations(table.head(1), ["a", "b"])[0]["kendall"])
