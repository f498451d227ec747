"""Models that differ in one respect: which pairs are compared, their paired differences, and the trend over replicates."""

import numpy as np
import pandas as pd
import pytest

from clip360.stats.inference import Inference
from clip360.stats.panorama_fraction import comparisons, difference_table, measure_table, trends
from clip360.stats.pretraining import pretraining_table, task_differences

POLICY = Inference(alpha=0.01, n_bootstrap=400, seed=0)
MODELS = {
    "none": {"panorama_fraction": 0.0},
    "few": {"panorama_fraction": 0.1},
    "many": {"panorama_fraction": 0.3},
    "none_fewer": {"panorama_fraction": 0.0, "n_images": 70},
    "many_mixed": {"panorama_fraction": 0.3, "cue_reliability": 0.75},
}


def test_compared_models_differ_in_one_respect():
    assert comparisons(MODELS, 100) == [
        ("panoramas replace views", "few", "none"),
        ("panoramas replace views", "many", "none"),
        ("panoramas added", "many", "none_fewer"),
        ("fewer views", "none_fewer", "none"),
        ("next fraction", "few", "none"),
        ("next fraction", "many", "few"),
        ("cues less reliable", "many_mixed", "many"),
    ]


def test_a_difference_is_paired_by_image():
    """Images vary a hundred times as much as the difference does: only pairs can tell it from 0."""
    rng = np.random.default_rng(0)
    images = rng.normal(0, 10, 60)
    values = {("contrast", "set"): {"none": images[None], "many": (images + 1 + rng.normal(0, 0.1, 60))[None]}}
    row = difference_table(values, [("replaced", "many", "none")], inference=POLICY).iloc[0]
    expected = np.median(values["contrast", "set"]["many"]) - np.median(images)
    assert row.difference == pytest.approx(expected) and row.difference_low > 0
    assert difference_table(values, [("added", "many", "none_fewer")], inference=POLICY).empty


def test_ratio_and_root_mean_of_a_measure():
    position, content = np.array([1.0, 3.0]), np.array([2.0, 2.0])
    values = {
        ("position_fraction", "set"): {"none": np.stack([position, content])},
        ("sd_crop", "set"): {"none": np.array([[9.0, 16.0]])},
    }
    table = measure_table(values, MODELS, n_images=100, inference=POLICY).set_index("measure")
    assert table.value["position_fraction"] == 0.5 and table.value["sd_crop"] == pytest.approx(12.5**0.5)
    assert table.n_images.tolist() == [100, 100]


def sweep(rng, slope: float) -> pd.DataFrame:
    rows = [
        {"model": m, "panorama_fraction": f, "n_images": 100, "cue_reliability": 1.0}
        for m, f in zip("abc", (0, 0.1, 0.3), strict=True)
    ]
    rows.append({"model": "fewer", "panorama_fraction": 0, "n_images": 70, "cue_reliability": 1.0})  # left out
    values = [slope * k + rng.normal(0, 0.01) for k in range(3)] + [99.0]
    return pd.DataFrame(rows).assign(image_set="set", measure="contrast", value=values)


def test_a_trend_in_every_replicate_has_the_smallest_p_value():
    """Page's exact p-value for R replicates of 3 fractions in perfect order is 6^-R, here doubled."""
    rng = np.random.default_rng(1)
    for slope in (1.0, -1.0):
        row = trends([sweep(rng, slope) for _ in range(5)]).iloc[0]
        assert row.p == pytest.approx(2 * 6**-5) and row.rho == pytest.approx(slope)
        assert row.replicates == 5 and row.maximum - row.minimum == pytest.approx(2 * slope, abs=0.05)
    assert trends([]).empty and trends([sweep(rng, 1.0)]).empty


def test_scores_are_means_of_hits_and_multiples_of_chance():
    hits = pd.DataFrame(
        {
            "model": ["a"] * 4 + ["b"] * 4,
            "task": "t",
            "image": [*range(4)] * 2,
            "hit": [1, 1, 1, 0, 1, 0, 0, 0],
            "chance": 0.25,
        }
    )
    table = pretraining_table(hits, inference=POLICY).set_index("model")
    assert table.score.to_dict() == {"a": 0.75, "b": 0.25} and table.times_chance.to_dict() == {"a": 3.0, "b": 1.0}
    row = task_differences(hits.sample(frac=1, random_state=0), [("x", "a", "b")], inference=POLICY).iloc[0]
    assert row.difference == 0.5 and row.difference_low >= 0  # no image is hit by b alone
