"""Percentile bootstraps of large samples, in blocks of resamples: memory does not grow with their number."""

from collections.abc import Callable, Sequence

import numpy as np

from clip360.stats.inference import Inference, percentiles

BLOCK = 1 << 22  # numbers in memory at once

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
    for block in blocks(inference.n_bootstrap, x.size):
        samples = np.take(x, rng.integers(n, size=(block.stop - block.start, n)), axis=-1)
        for values, statistic in zip(resampled, statistics, strict=True):
            values[:, block] = statistic(samples)
    return [percentiles(values, inference.alpha) for values in resampled]


def blocks(n_rows: int, n_columns: int) -> list[slice]:
    """Slices of ``n_rows`` rows with ``n_columns`` numbers each, of at most ``BLOCK`` numbers and at least one row."""
    size = max(1, BLOCK // max(n_columns, 1))
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]
