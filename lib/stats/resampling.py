"""Percentile bootstraps of large samples, in blocks of resamples: memory does not grow with their number."""

from collections.abc import Callable, Sequence

import numpy as np

from clip360.stats.inference import Inference, percentiles

BLOCK = 1 << 22  # resampled values in memory at once

Statistic = Callable[[np.ndarray], np.ndarray]  # [..., N] -> [...]


def bootstrap_intervals(x: np.ndarray, statistics: Sequence[Statistic], *, inference: Inference) -> list[np.ndarray]:
    """Percentile intervals of several statistics of samples [K, N], resampled together: for each statistic [2, K], low and high.

    The resamples, and so the intervals, are those of ``inference.bootstrap``. Raises ValueError for values that are not finite.

    >>> (interval,) = bootstrap_intervals(np.ones((1, 3)), [lambda x: x.mean(-1)], inference=Inference(0.05, 10, 0))
    >>> interval.tolist()
    [[1.0], [1.0]]
    """
    if n_bad := int((~np.isfinite(x)).sum()):
        raise ValueError(f"{n_bad} of {x.size} values are not numbers: expected a value for every image")
    n, rng = x.shape[-1], np.random.default_rng(inference.seed)
    resampled = [np.empty((len(x), inference.n_bootstrap)) for _ in statistics]
    for block in _blocks(inference.n_bootstrap, x.size):
        samples = x[:, rng.integers(n, size=(block.stop - block.start, n))]
        for values, statistic in zip(resampled, statistics, strict=True):
            values[:, block] = statistic(samples)
    return [percentiles(values, inference.alpha) for values in resampled]


def _blocks(n_resamples: int, n_values: int) -> list[slice]:
    """Slices of the resamples of ``n_values`` values each, of at most ``BLOCK`` values and at least one resample."""
    size = max(1, BLOCK // max(n_values, 1))
    return [slice(start, min(start + size, n_resamples)) for start in range(0, n_resamples, size)]
