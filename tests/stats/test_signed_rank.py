"""Intervals, sizes and refusals that all tests share."""

import math

import numpy as np
import pytest

from clip360.stats.inference import bootstrap, mean
from clip360.stats.signed_rank import minimum_n, rank_biserial, require_size, required_n, signed_rank

RESAMPLING = {"seed": 0, "n_bootstrap": 2000}


@pytest.mark.parametrize("n_nonzero", [1, 2, 5])
def test_with_few_differences_that_are_not_zero_the_interval_is_finite(n_nonzero):
    """A resample of 12 images holds none of ``n_nonzero`` with probability (1 - n_nonzero / 12)^12: up to 35 %."""
    difference = np.zeros(12)
    difference[:n_nonzero] = np.arange(1, n_nonzero + 1)
    test = signed_rank(difference, "greater", alpha=0.01, **RESAMPLING)
    assert test["effect"] == 1 and test["ci_high"] == 1
    assert test["ci_low"] == (0 if n_nonzero < 5 else 1)  # (7 / 12)^12 = 0.2 % of resamples are all zeros with 5


def test_a_sample_of_zeros_has_no_effect():
    effects = rank_biserial(np.array([[0.0, 0.0, 0.0], [0.0, 1.0, -3.0], [0.0, 0.0, 2.0]]))
    assert effects.tolist() == pytest.approx([0, (1 - 2) / 3, 1])


def test_values_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="2 of 4 values are not numbers"):
        bootstrap(np.array([1.0, np.nan, 2.0, np.inf]), mean, **RESAMPLING)
    with pytest.raises(ValueError, match="n_bootstrap is 0"):
        bootstrap(np.ones(4), mean, seed=0, n_bootstrap=0)


def test_below_the_minimum_no_scores_can_reject():
    n = minimum_n(0.01, tests=7)
    with pytest.raises(ValueError, match=f"{n - 1} images are too few for 7 signed-rank tests at alpha = 0.01"):
        require_size(n - 1, 0.01, 7)
    require_size(n, 0.01, 7)
    best = np.arange(1.0, n + 1)  # all differences on one side: the smallest p-value there is
    p, p_below = (signed_rank(x, "greater", alpha=0.01, seed=0, n_bootstrap=1)["p"] for x in (best, best[:-1]))
    assert 7 * p < 0.01 < 7 * p_below


def test_the_required_number_of_images_grows_as_the_effect_shrinks():
    rng = np.random.default_rng(0)
    sizes = [required_n(rng.normal(effect, 1, 400), alpha=0.01) for effect in (1.0, 0.5, 0.25, -0.5)]
    assert sizes[0] < sizes[1] < sizes[2] < sizes[3] == math.inf
