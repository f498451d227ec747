"""Distances between two sets of images, computed from their embeddings, with intervals.

``frechet``  Fréchet distance of the Gaussians fitted to both sets. With features of Inception it is FID (arXiv 1706.08500).
``cmmd``     squared maximum mean discrepancy with a Gaussian kernel, times 1000, of unit embeddings of CLIP (arXiv 2401.09603).

A grouped distance is the mean of the distances of groups of views, as OmniFID is (arXiv 2407.18207).

**Independence.** Both sets must be drawn independently. Of a set and changed copies of its own images, estimates are too low,
and below 0 for exact copies: the noise that is subtracted is the same in both sets and cancels by itself. Fréchet's
``value`` is 0 then.

**Bias.** A finite sample makes the Fréchet distance too large, by an amount that shrinks as 1/N and differs between generators
(arXiv 1911.07023). A bootstrap resample has this bias a second time, so that its percentile interval lies above the truth:
of 60 pairs of sets of 100 Gaussian vectors in 16 dimensions, no 95 % interval covered it. The grouped jackknife estimates
the distance of infinite sets and its standard error; its intervals covered it in all of these pairs. It needs more images
than dimensions: of 100 images in 512, it removes about half the bias. CMMD is unbiased here, and so are its resamples, because
no image is paired with its own copy. Where both sets have one distribution its bootstrap interval is too wide, never too narrow.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import t

from clip360.stats.inference import Inference
from clip360.stats.resampling import blocks

SIGMA = 10.0  # bandwidth of CMMD's kernel (arXiv 2401.09603 and its code)
SCALE = 1000.0  # by which they multiply MMD²
N_LEFT_OUT = 20  # parts of the jackknife
N_SPLITS = 10  # random halves of the reference set, for the floor
MEAN = "mean"  # the row of a grouped distance


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """|μ_x - μ_y|² + tr Σ_x + tr Σ_y - 2 tr (Σ_x Σ_y)^½ of embeddings x [N, D] and y [M, D] (Dowson and Landau, 1982).

    With Σ = RᵀR, the trace of the root is the sum of the singular values of R_x R_yᵀ: these are the roots of the eigenvalues
    of the symmetric R_x Σ_y R_xᵀ, but none of them is the root of a rounding error, and none can be negative. Singular
    covariances (N <= D) need no exception. Raises ValueError as ``require_embeddings`` does.

    >>> frechet_distance(np.array([[0.0], [2.0]]), np.array([[3.0], [7.0]])).__round__(6)  # (5 - 1)² + (√8 - √2)²
    18.0
    """
    require_embeddings(x, y)
    mean_difference = x.mean(0) - y.mean(0)
    root_x, root_y = covariance_root(x), covariance_root(y)
    trace_of_root = np.linalg.svd(root_x @ root_y.T, compute_uv=False).sum()
    return float((mean_difference**2).sum() + (root_x**2).sum() + (root_y**2).sum() - 2 * trace_of_root)


def covariance_root(x: np.ndarray) -> np.ndarray:
    """R [min(N, D), D] with RᵀR = Σ, the unbiased covariance of x [N, D]."""
    return np.linalg.qr((x - x.mean(0)) / np.sqrt(len(x) - 1), mode="r")


def mmd(x: np.ndarray, y: np.ndarray, *, sigma: float = SIGMA) -> float:
    """Unbiased MMD² of x [N, D] and y [M, D] with the kernel exp(-|a - b|² / (2 σ²)) (Gretton et al., JMLR 13, 2012, eq. 3).

    Its expected value is 0 where both sets have the same distribution, so that it is negative about as often as positive.
    """
    require_embeddings(x, y)
    once = (np.ones((1, len(embeds)), dtype=np.uint8) for embeds in (x, y))
    return float(_mmd_of_resamples(x, y, *once, sigma=sigma)[0])


def cmmd(x: np.ndarray, y: np.ndarray) -> float:
    """CMMD of unit embeddings x [N, D] and y [M, D]: 1000 MMD² with σ = 10 (arXiv 2401.09603).

    The released code keeps the pairs of an image with itself, which adds 1000 (1 - mean kernel) (1/N + 1/M); this estimator
    leaves them out. Unit embeddings are at most 2 apart, where the kernel is almost 1 - |a - b|² / 200: CMMD is almost
    10 |μ_x - μ_y|², the distance of the means.
    """
    return SCALE * mmd(x, y, sigma=SIGMA)


def _mmd_of_resamples(
    x: np.ndarray, y: np.ndarray, counts_x: np.ndarray, counts_y: np.ndarray, *, sigma: float
) -> np.ndarray:
    """MMD² [B] of B resamples in which x [N, D] and y [M, D] occur ``counts_x`` [B, N] and ``counts_y`` [B, M] times.

    Pairs of an image with itself or with its copy are left out.
    """
    n, m = (counts.sum(1, dtype=float) for counts in (counts_x, counts_y))
    between = _kernel_sums(x, y, counts_x, counts_y, sigma) / (n * m)
    return _mean_of_pairs(x, counts_x, sigma) + _mean_of_pairs(y, counts_y, sigma) - 2 * between


def _mean_of_pairs(x: np.ndarray, counts: np.ndarray, sigma: float) -> np.ndarray:
    """Mean kernel [B] over the pairs of different images in each resample of x [N, D]."""
    n_pairs = counts.sum(1, dtype=float) ** 2 - np.square(counts, dtype=float).sum(1)
    return _kernel_sums(x, x, counts, counts, sigma, is_one_set=True) / n_pairs


def _kernel_sums(
    x: np.ndarray, y: np.ndarray, counts_x: np.ndarray, counts_y: np.ndarray, sigma: float, *, is_one_set: bool = False
) -> np.ndarray:
    """Sum [B] of the kernel over all pairs of each resample of x [N, D] and y [M, D]; of one set without pairs (i, i).

    The kernel is computed in blocks of rows and applied to blocks of resamples: memory does not grow with N · M or B · M.
    """
    sums = np.zeros(len(counts_x))
    resamples = blocks(len(sums), len(y))
    for rows in blocks(len(x), len(y)):
        kernel = gaussian_kernel(x[rows], y, sigma)
        if is_one_set:
            kernel[np.arange(len(kernel)), np.arange(rows.start, rows.stop)] = 0
        for block in resamples:
            by_row = counts_y[block].astype(float) @ kernel.T
            sums[block] += np.einsum("bn,bn->b", counts_x[block, rows].astype(float), by_row)
    return sums


def gaussian_kernel(x: np.ndarray, y: np.ndarray, sigma: float) -> np.ndarray:
    """exp(-|x_i - y_j|² / (2 σ²)), [N, M], of x [N, D] and y [M, D]."""
    squared_distance = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    return np.exp(-squared_distance.clip(min=0) / (2 * sigma**2))


def set_distances(
    reference: Mapping[str, np.ndarray],
    generated: Mapping[str, np.ndarray],
    *,
    inference: Inference,
    distances: Sequence[str] = ("frechet", "cmmd"),
) -> pd.DataFrame:
    """Distances of two sets of panoramas, one row for each distance and group, and one for the mean over several groups.

    ``reference`` and ``generated`` map the name of a group of views to embeddings [N, D] and [M, D], in the same order of
    panoramas in all groups: what is left out or resampled is a panorama with all its views. The same names in both.

    distance, group         ``frechet`` or ``cmmd``; a group, or ``mean``
    value                   the distance as published: Fréchet's with its bias
    estimate                without bias: Fréchet's of infinite sets, by the grouped jackknife; CMMD's is its value
    low, high               interval of ``estimate`` at the level 1 - α: Student's with the jackknife's standard error, for
                            CMMD the percentile bootstrap over panoramas of both sets. Estimate and interval of Fréchet's
                            distance are NaN where a set has no more panoramas than dimensions
    floor                   mean ``value`` between random halves of the reference set: distances below it are noise. Halves have
                            half the panoramas, so that Fréchet's floor is higher than for the whole set
    n_reference, n_generated, dimension   N, M and D
    warning                 empty, or why the row should not be relied on
    """
    frechet = {"values": _frechet_left_out, "summary": _jackknife, "distance": frechet_distance}
    kernel = {"values": _cmmd_resampled, "summary": _percentiles, "distance": cmmd}
    methods = {"frechet": frechet, "cmmd": kernel}
    rows = []
    for distance in distances:
        method = methods[distance]
        values = {g: method["values"](reference[g], generated[g], inference) for g in reference}
        floors = {g: half_distance(reference[g], method["distance"], seed=inference.seed) for g in reference}
        if len(reference) > 1:
            values[MEAN] = np.mean(list(values.values()), axis=0)
            floors[MEAN] = np.mean(list(floors.values()))
        x, y = (next(iter(embeds.values())) for embeds in (reference, generated))
        sizes = {"n_reference": len(x), "n_generated": len(y), "dimension": x.shape[1]}
        warning = _singular(*sizes.values()) if distance == "frechet" else ""
        for group, resampled in values.items():
            summary = method["summary"](resampled, inference.alpha)
            if warning:
                summary = dict.fromkeys(summary, np.nan)
            labels = {"distance": distance, "group": group, "value": resampled[0]}
            rows.append(labels | summary | {"floor": floors[group]} | sizes | {"warning": warning})
    return pd.DataFrame(rows)


def half_distance(x: np.ndarray, distance: Callable[[np.ndarray, np.ndarray], float], *, seed: int) -> float:
    """Mean distance between two random halves of x [N, D], over ``N_SPLITS`` splits; NaN for fewer than 4 images."""
    if len(x) < 4:
        return np.nan
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(x)) for _ in range(N_SPLITS)]
    return float(np.mean([distance(x[order[: len(x) // 2]], x[order[len(x) // 2 :]]) for order in orders]))


def _frechet_left_out(x: np.ndarray, y: np.ndarray, inference: Inference) -> np.ndarray:
    """The Fréchet distance of both sets, then that without each part of both: [1 + parts]."""
    n_parts = min(N_LEFT_OUT, len(x), len(y))
    rng = np.random.default_rng(inference.seed)
    parts_x, parts_y = (rng.permutation(len(embeds)) % n_parts for embeds in (x, y))
    left_out = [frechet_distance(x[parts_x != k], y[parts_y != k]) for k in range(n_parts)]
    return np.array([frechet_distance(x, y), *left_out])


def _jackknife(values: np.ndarray, alpha: float) -> dict[str, float]:
    """Estimate and Student's interval of the grouped jackknife (Efron and Tibshirani, 1993, chapter 11).

    The bias of a statistic of n images is c / n, that of one without a G-th of them c / n · G / (G - 1).
    """
    value, left_out = values[0], values[1:]
    n_parts = len(left_out)
    estimate = n_parts * value - (n_parts - 1) * left_out.mean()
    error = np.sqrt((n_parts - 1) * left_out.var())
    half_width = t.isf(alpha / 2, n_parts - 1) * error
    return {"estimate": estimate, "low": estimate - half_width, "high": estimate + half_width}


def _cmmd_resampled(x: np.ndarray, y: np.ndarray, inference: Inference) -> np.ndarray:
    """CMMD of both sets, then of resamples of both: [1 + n_bootstrap]."""
    require_embeddings(x, y)
    rng = np.random.default_rng(inference.seed)
    counts = [_resampled_counts(len(embeds), inference.n_bootstrap, rng) for embeds in (x, y)]
    return SCALE * _mmd_of_resamples(x, y, *counts, sigma=SIGMA)


def _resampled_counts(n: int, n_bootstrap: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of n images occurs: once in the first row, then in each resample: [1 + n_bootstrap, n], a byte each.

    n images drawn from n occur 256 times with a probability below 1e-500.
    """
    counts = np.ones((1 + n_bootstrap, n), dtype=np.uint8)
    for rows in blocks(n_bootstrap, n):
        counts[1:][rows] = rng.multinomial(n, np.full(n, 1 / n), size=rows.stop - rows.start)
    return counts


def _percentiles(values: np.ndarray, alpha: float) -> dict[str, float]:
    low, high = np.nanpercentile(values[1:], [50 * alpha, 100 - 50 * alpha])
    return {"estimate": values[0], "low": low, "high": high}


def _singular(n_reference: int, n_generated: int, dimension: int) -> str:
    smaller = min(n_reference, n_generated)
    if smaller > dimension:
        return ""
    problem = "the covariance is singular and the bias unknown"
    return f"{smaller} panoramas in {dimension} dimensions: {problem}, use cmmd or more panoramas"


def require_embeddings(x: np.ndarray, y: np.ndarray) -> None:
    """ValueError unless x [N, D] and y [M, D] are finite, have at least two rows each and the same D."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"embeddings of shapes {x.shape} and {y.shape}: expected [N, D] and [M, D] of one model")
    if min(len(x), len(y)) < 2:
        raise ValueError(f"sets of {len(x)} and {len(y)} images: expected at least 2 in each")
    if n_bad := int((~np.isfinite(x)).sum() + (~np.isfinite(y)).sum()):
        raise ValueError(f"{n_bad} values of the embeddings are not numbers: check the weights, or use float32")
