"""The bootstrap against draws by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from clip360.stats.inference import (
    Inference,
    bootstrap,
    median,
    percentiles,
    pooled_median,
    pooled_median_ratio,
    resampled_images,
    resampled_medians,
)

POLICY = Inference(alpha=0.1, n_bootstrap=30, seed=1)
VALUES = arrays(
    float, array_shapes(min_dims=1, max_dims=2, max_side=9), elements=st.integers(-4, 4).map(lambda k: k / 7)
)


@given(VALUES)
def test_counted_medians_are_those_of_the_values_drawn(x):
    """Ties, single images and even numbers of values included; equal to the last bit."""
    drawn = [np.median(x[..., images]) for images in resampled_images(x.shape[-1], POLICY)]
    assert resampled_medians(x, POLICY).tolist() == drawn


def test_intervals_of_medians_are_those_of_the_statistics():
    x = np.random.default_rng(0).exponential(size=(4, 25))
    for values, statistic in ((x[0], median), (x, pooled_median), (x, pooled_median_ratio)):
        drawn = statistic(values[..., resampled_images(25, POLICY)])
        assert bootstrap(values, statistic, inference=POLICY) == tuple(percentiles(drawn, POLICY.alpha))
