"""Intervals, sizes and refusals that all tests share."""

import math

import numpy as np
import pytest
from scipy.stats import gamma, norm, wilcoxon

from clip360.stats.inference import Inference, bootstrap, mean
from clip360.stats.signed_rank import (
    minimum_n,
    rank_biserial,
    rank_biserial_interval,
    require_size,
    required_n,
    signed_rank,
)

INFERENCE = Inference(alpha=0.05, n_bootstrap=2000, seed=0)


@pytest.mark.parametrize(("n_nonzero", "low"), [(1, -0.587), (2, -0.362), (5, 0.032)])
def test_with_few_differences_that_are_not_zero_the_interval_is_finite_and_wide(n_nonzero, low):
    """A bootstrap resample of 12 images holds none of ``n_nonzero`` with probability (1 - n_nonzero / 12)^12: up to 35 %."""
    difference = np.zeros(12)
    difference[:n_nonzero] = np.arange(1, n_nonzero + 1)
    test = signed_rank(difference, "greater", alpha=0.05)
    assert test["effect"] == 1 and test["effect_high"] == 1 and test["effect_low"] == pytest.approx(low, abs=1e-3)
    opposite = signed_rank(-difference, "greater", alpha=0.05)
    assert (opposite["effect_low"], opposite["effect_high"]) == (-test["effect_high"], -test["effect_low"])
    low, high = bootstrap(difference, rank_biserial, inference=INFERENCE)
    assert 0 <= low <= high == 1


def normal(effect: float, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(norm.ppf((effect + 1) / 2) / np.sqrt(2), 1, shape)


def below_a_bound(effect: float, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A bound minus an exponential change, as |s - s^δ| is skewed: the sum of two such changes has a gamma distribution."""
    return gamma.ppf((effect + 1) / 2, 2) / 2 - rng.exponential(1, shape)


@pytest.mark.parametrize("draw", [normal, below_a_bound])
@pytest.mark.parametrize("effect", [0, 0.5, 0.9])
@pytest.mark.parametrize("n", [12, 24, 48, 256])
def test_the_interval_of_the_effect_covers_it(draw, effect, n):
    """In 95 % of 600 samples, give or take three standard errors; more where the effect is near 1."""
    samples = draw(effect, np.random.default_rng(n), (600, n))
    intervals = [rank_biserial_interval(sample, alpha=0.05) for sample in samples]
    coverage = np.mean([low <= effect <= high for low, high in intervals])
    assert coverage > 0.95 - 3 * (0.95 * 0.05 / 600) ** 0.5
    assert np.mean([high - low for low, high in intervals]) < 5 / n**0.5  # 4.5 under the null hypothesis


def test_a_bootstrap_interval_of_the_effect_would_be_too_narrow():
    samples = below_a_bound(0.9, np.random.default_rng(0), (200, 24))
    intervals = [
        bootstrap(sample, rank_biserial, inference=Inference(alpha=0.05, n_bootstrap=400, seed=0)) for sample in samples
    ]
    assert np.mean([low <= 0.9 <= high for low, high in intervals]) < 0.88


def test_the_interval_excludes_no_effect_where_the_two_sided_test_rejects():
    samples = np.random.default_rng(0).normal(0.45, 1, (300, 20))
    p = wilcoxon(samples, axis=1, method="asymptotic").pvalue
    excluded = np.array([rank_biserial_interval(sample, alpha=0.05)[0] > 0 for sample in samples])
    assert 0.2 < excluded.mean() < 0.8
    assert not (excluded & (p > 0.05)).any()
    assert (excluded == (p < 0.05)).mean() > 0.97  # less often where the variance of the sample is the larger one


def test_a_sample_of_zeros_has_no_effect():
    effects = rank_biserial(np.array([[0.0, 0.0, 0.0], [0.0, 1.0, -3.0], [0.0, 0.0, 2.0]]))
    assert effects.tolist() == pytest.approx([0, (1 - 2) / 3, 1])


def test_values_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="2 of 4 values are not numbers"):
        bootstrap(np.array([1.0, np.nan, 2.0, np.inf]), mean, inference=INFERENCE)
    with pytest.raises(ValueError, match="n_bootstrap is 0"):
        Inference(alpha=0.05, n_bootstrap=0, seed=0)


def test_below_the_minimum_no_scores_can_reject():
    n = minimum_n(0.01, tests=7)
    with pytest.raises(ValueError, match=f"{n - 1} images are too few for 7 signed-rank tests at alpha = 0.01"):
        require_size(n - 1, 0.01, 7)
    require_size(n, 0.01, 7)
    best = np.arange(1.0, n + 1)  # all differences on one side: the smallest p-value there is
    p, p_below = (signed_rank(x, "greater", alpha=0.01)["p"] for x in (best, best[:-1]))
    assert 7 * p < 0.01 < 7 * p_below


def test_the_required_number_of_images_grows_as_the_effect_shrinks():
    rng = np.random.default_rng(0)
    sizes = [required_n(rng.normal(effect, 1, 400), alpha=0.01) for effect in (1.0, 0.5, 0.25, -0.5)]
    assert sizes[0] < sizes[1] < sizes[2] < sizes[3] == math.inf
