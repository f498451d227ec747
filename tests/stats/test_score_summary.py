"""The summary of scores: means with intervals, and rank correlations against a count of pairs."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clip360.stats import resampling, score_summary
from clip360.stats.inference import Inference, bootstrap, mean, median
from clip360.stats.score_summary import Moments, metric_means, rank_correlations

INFERENCE = Inference(alpha=0.05, n_bootstrap=2000, seed=0)


def test_intervals_are_those_of_a_mean():
    x = np.random.default_rng(0).normal(20, 3, 400)
    table = pd.DataFrame({"image": map(str, range(400)), "score": x, "worst_yaw": 90.0})
    (name, found), *others = metric_means(table, inference=INFERENCE).items()
    assert name == "score" and not others and found["mean"] == pytest.approx(x.mean())
    half = 1.96 * x.std() / math.sqrt(400)
    assert (found["low"], found["high"]) == pytest.approx((x.mean() - half, x.mean() + half), abs=half / 10)


def test_blocks_of_resamples_are_those_that_are_drawn_at_once(monkeypatch):
    x = np.random.default_rng(2).normal(size=(3, 11))
    for block in (1, 7 * x.size, 1 << 22):
        monkeypatch.setattr(resampling, "BLOCK", block)
        intervals = resampling.bootstrap_intervals(x, [mean, median], inference=INFERENCE)
        for interval, statistic in zip(intervals, (mean, median), strict=True):
            assert interval.T.tolist() == [list(bootstrap(row, statistic, inference=INFERENCE)) for row in x]


def test_moments_of_parts_are_those_of_the_whole_and_take_over_from_resamples(monkeypatch):
    x = np.random.default_rng(3).normal(1000, 1, 5000)
    parts = sum(map(Moments.of, np.split(x, [1, 2, 900])), Moments())
    assert (parts.n, parts.mean) == (5000, pytest.approx(x.mean(), rel=1e-12))
    assert parts.deviations == pytest.approx(((x - x.mean()) ** 2).sum(), rel=1e-9)
    table = pd.DataFrame({"score": x})
    resampled = metric_means(table, inference=INFERENCE)["score"]
    monkeypatch.setattr(score_summary, "MANY", 4999)
    many = metric_means(table, inference=INFERENCE)["score"]
    assert many == pytest.approx(parts.interval(INFERENCE.alpha), rel=1e-12)
    assert many == pytest.approx(resampled, abs=0.1 * x.std() / math.sqrt(5000))
    assert (many["low"], many["high"]) == pytest.approx(stats.ttest_1samp(x, 0).confidence_interval(0.95), rel=1e-9)


def test_rank_correlations_count_pairs_that_are_ranked_alike():
    table = pd.DataFrame(np.random.default_rng(1).normal(size=(9, 3)), columns=["a", "b", "c"])
    for row in rank_correlations(table, ["a", "b", "c"]):
        x, y = table[row["a"]], table[row["b"]]
        signs = [np.sign((x[i] - x[j]) * (y[i] - y[j])) for i, j in combinations(range(9), 2)]
        assert row["kendall"] == pytest.approx(np.mean(signs)) and abs(row["kendall"]) < 0.9
    assert rank_correlations(pd.DataFrame({"a": [1, 2, 3], "b": [3, 2, 1]}), ["a", "b"])[0]["kendall"] == -1
    assert math.isnan(rank_correlations(table.head(1), ["a", "b"])[0]["kendall"])
