"""Distances between sets of embeddings against closed forms, scipy and plain loops, and their intervals by simulation."""

import math
import tracemalloc

import numpy as np
import pytest
from scipy.linalg import sqrtm

from clip360.stats import resampling
from clip360.stats.inference import Inference
from clip360.stats.set_distances import cmmd, frechet_distance, mmd, set_distances

INFERENCE = Inference(alpha=0.05, n_bootstrap=200, seed=0)


def standardised(rng: np.random.Generator, n: int, dimension: int) -> np.ndarray:
    """Vectors [N, D] whose sample mean is 0 and whose sample covariance is the unit matrix."""
    x = rng.normal(size=(n, dimension))
    x -= x.mean(0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(x, rowvar=False)))).T


def unit(rng: np.random.Generator, n: int, dimension: int) -> np.ndarray:
    """Unit vectors [N, D] around a common direction."""
    x = rng.normal(size=(n, dimension)) + 2 * (np.arange(dimension) == 0)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("dimension", [1, 5])
def test_the_frechet_distance_of_diagonal_covariances_is_its_closed_form(dimension):
    """|μ_x - μ_y|² + Σ (σ_x - σ_y)²."""
    rng = np.random.default_rng(dimension)
    sd_x, sd_y, mean = rng.uniform(0.5, 2, (3, dimension))
    x, y = standardised(rng, 30, dimension) * sd_x, standardised(rng, 40, dimension) * sd_y + mean
    assert frechet_distance(x, y) == pytest.approx((mean**2).sum() + ((sd_x - sd_y) ** 2).sum(), rel=1e-10)


@pytest.mark.parametrize("n", [50, 6], ids=["regular", "singular"])
def test_the_frechet_distance_is_that_of_scipys_matrix_root(n):
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(8, 8))
    x, y = rng.normal(size=(n, 8)) @ mixing, rng.normal(size=(40, 8)) + 1
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root_x = sqrtm(cov_x + 1e-12 * np.eye(8)).real
    trace = np.trace(cov_x + cov_y - 2 * sqrtm(root_x @ cov_y @ root_x).real)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + trace
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-10)


def test_mmd_is_that_of_a_double_loop():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(5, 3)) + 1

    def kernel(a, b):
        return math.exp(-sum((a - b) ** 2) / (2 * 1.5**2))

    def mean(a, b, same):
        return np.mean([kernel(p, q) for i, p in enumerate(a) for j, q in enumerate(b) if not same or i != j])

    expected = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    assert mmd(x, y, sigma=1.5) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("block", [1, 100, 1 << 22])
def test_cmmd_and_its_interval_do_not_depend_on_blocks(monkeypatch, block):
    """Against all pairs and all resamples at once."""
    rng = np.random.default_rng(8)
    x, y = unit(rng, 13, 6), unit(rng, 9, 6)
    draw, counts = np.random.default_rng(INFERENCE.seed), []
    for n in (len(x), len(y)):
        counts.append(np.vstack([np.ones(n), draw.multinomial(n, np.full(n, 1 / n), size=INFERENCE.n_bootstrap)]))

    def pairs(a, b, of_a, of_b, same):
        kernel = np.exp(-((a[:, None] - b) ** 2).sum(-1) / 200) * (1 - same * np.eye(len(a), len(b)))
        n_pairs = of_a.sum(1) * of_b.sum(1) - same * (of_a**2).sum(1)
        return np.array([p @ kernel @ q for p, q in zip(of_a, of_b, strict=True)]) / n_pairs

    within = pairs(x, x, counts[0], counts[0], 1) + pairs(y, y, counts[1], counts[1], 1)
    values = 1000 * (within - 2 * pairs(x, y, *counts, 0))
    monkeypatch.setattr(resampling, "BLOCK", block)
    row = set_distances({"a": x}, {"a": y}, inference=INFERENCE, distances=["cmmd"]).iloc[0]
    assert row.value == pytest.approx(cmmd(x, y), rel=1e-9) == pytest.approx(values[0], rel=1e-9)
    assert (row.low, row.high) == pytest.approx(tuple(np.percentile(values[1:], [2.5, 97.5])), rel=1e-9)


def test_the_memory_of_cmmd_does_not_grow_with_pairs():
    """Of 2 x 4000 images, all pairs at once are three kernels of 128 MB."""
    rng = np.random.default_rng(9)
    x, y = unit(rng, 4000, 4), unit(rng, 4000, 4)
    tracemalloc.start()
    try:
        cmmd(x, y)
        assert tracemalloc.get_traced_memory()[1] < 4 * 8 * resampling.BLOCK
    finally:
        tracemalloc.stop()


def test_cmmd_of_one_set_and_itself_lacks_the_pairs_that_the_released_code_keeps():
    """Those of an image with itself, of kernel 1: it reports 0, the unbiased estimator -2 · 1000 (1 - mean kernel) / N."""
    x = unit(np.random.default_rng(7), 20, 8)
    kernel = np.exp(-((x[:, None] - x) ** 2).sum(-1) / 200)
    mean_kernel = kernel[~np.eye(20, dtype=bool)].mean()
    assert cmmd(x, x) == pytest.approx(-2000 * (1 - mean_kernel) / 20, rel=1e-9)


def test_cmmd_has_the_mean_0_for_one_distribution():
    rng = np.random.default_rng(2)
    values = np.array([cmmd(unit(rng, 20, 8), unit(rng, 30, 8)) for _ in range(400)])
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(len(values))
    assert 0.3 < (values < 0).mean() < 0.8


def test_intervals_cover_the_distance_that_infinite_sets_have():
    """Of 60 pairs, at the level 95 %: the value itself lies above the truth in all of them."""
    rng = np.random.default_rng(3)
    sd_x, sd_y, shift = np.ones(8), np.full(8, 1.3), 0.5 * (np.arange(8) == 0)
    truth = 0.25 + 8 * 0.3**2
    covered, above, estimates = 0, 0, []
    for _ in range(60):
        pair = {"whole": rng.normal(size=(100, 8)) * sd_x}, {"whole": rng.normal(size=(100, 8)) * sd_y + shift}
        row = set_distances(*pair, inference=INFERENCE, distances=["frechet"]).iloc[0]
        covered += row.low <= truth <= row.high
        above += row.value > truth
        estimates.append(row.estimate)
    assert covered >= 52 and above > 50
    assert abs(np.mean(estimates) - truth) < 3 * np.std(estimates) / math.sqrt(60)


def test_cmmds_interval_covers_0_for_one_distribution():
    rng = np.random.default_rng(4)
    rows = [
        set_distances({"a": unit(rng, 40, 8)}, {"a": unit(rng, 40, 8)}, inference=INFERENCE, distances=["cmmd"])
        for _ in range(40)
    ]
    assert sum(row.low <= 0 <= row.high for row in (rows.iloc[0] for rows in rows)) >= 36


def test_a_grouped_distance_is_the_mean_over_groups():
    rng = np.random.default_rng(5)
    reference = {group: unit(rng, 30, 4) for group in ("up", "down", "sides")}
    generated = {group: unit(rng, 25, 4) for group in reference}
    table = set_distances(reference, generated, inference=INFERENCE)
    assert table.group.tolist() == 2 * ["up", "down", "sides", "mean"]
    for name, distance in (("frechet", frechet_distance), ("cmmd", cmmd)):
        values = table[table.distance == name].set_index("group").value
        expected = {group: distance(reference[group], generated[group]) for group in reference}
        assert values.drop("mean").to_dict() == pytest.approx(expected)
        assert values["mean"] == pytest.approx(np.mean(list(expected.values())))
    assert (table.low <= table.estimate).all() and (table.estimate <= table.high).all() and not table.warning.any()


def test_too_few_images_for_their_dimensions_are_reported():
    rng = np.random.default_rng(6)
    table = set_distances({"a": unit(rng, 8, 8)}, {"a": unit(rng, 20, 8)}, inference=INFERENCE).set_index("distance")
    assert "8 panoramas in 8 dimensions: the covariance is singular" in table.warning.frechet
    assert np.isfinite(table.value.frechet) and np.isnan(table.low.frechet)
    assert not table.warning.cmmd and np.isfinite(table.low.cmmd)


def test_embeddings_that_cannot_be_compared_are_refused():
    for x, y, message in (
        (np.zeros((3, 2)), np.zeros((3, 4)), r"\(3, 2\) and \(3, 4\): expected"),
        (np.zeros((1, 2)), np.zeros((3, 2)), "sets of 1 and 3 images"),
        (np.full((3, 2), np.nan), np.zeros((3, 2)), "6 values of the embeddings are not numbers"),
    ):
        for distance in (frechet_distance, cmmd):
            with pytest.raises(ValueError, match=message):
                distance(x, y)
