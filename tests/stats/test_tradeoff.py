"""The trade-off on measurements whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip360.stats.tradeoff import finetuned_shift_tests, frozen_bounds, pareto, tradeoff_table
from tests.stats.long_tables import measurements

SHIFTS = [0.25, 0.5]
RUNS = {
    "half": {"model": "base", "method": "lora_attention", "lam": 0.5, "shift_range": [0.0, 1.0]},
    "near": {"model": "base", "method": "lora_attention", "lam": 0.5, "shift_range": [0.0, 0.5]},
    "free": {"model": "base", "method": "single_pass", "view": "squash"},
}
RESAMPLING = {"seed": 0, "n_bootstrap": 200}


def model_measurements(model: str, image_set: str, *, scale: float, loss: float, recall: float) -> pd.DataFrame:
    """40 images whose score changes under shifts by ``scale`` times fixed draws; a fraction ``recall`` finds its text."""
    rng = np.random.default_rng(8)
    s, change = rng.normal(60, 3, 40), rng.normal(0, 2, (2, 40))
    scores = {("shift", 0.0): s, ("mirror", 0.0): s + rng.normal(0, 1, 40)}
    scores |= {("shift", shift): s + scale * change[k] for k, shift in enumerate(SHIFTS)}
    scores["shift", 0.125] = s + 3 * scale  # between those tested
    labels = {"model": model, "image_set": image_set}
    parts = [measurements({("clip_score", *key): score - loss for key, score in scores.items()}, view="center_crop")]
    rank = np.where(np.arange(40) < 40 * recall, 1, 5)
    unshifted = {"image_to_text_rank": rank, "text_to_image_rank": rank, "zero_shot_hit": rank == 1}
    for view in ("panorama", "perspective"):
        rows = {(name, "unshifted", np.nan): values for name, values in unshifted.items()}
        parts.append(measurements(rows, view=view))
    parts.append(measurements({("inter_image_cosine", "unshifted", np.nan): np.full(40, 1 - scale)}, view="panorama"))
    return pd.concat(parts, ignore_index=True).assign(**labels)


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    sets = ("probe", "training")
    frozen = pd.concat([model_measurements("base", name, scale=1.0, loss=0.0, recall=0.75) for name in sets])
    adapted = pd.concat(
        [model_measurements(run, name, scale=0.5, loss=0.25, recall=0.5) for run in RUNS for name in sets]
    )
    tests = finetuned_shift_tests(frozen, adapted, RUNS, shifts=SHIFTS, alpha=0.01, **RESAMPLING)
    table = tradeoff_table(frozen, adapted, tests, RUNS, training_set="training", shifts=SHIFTS, **RESAMPLING)
    assert tests.groupby("image_set").beta.nunique().eq(1).all()  # the frozen model's, for all
    assert frozen_bounds(frozen)["base", "probe"] == tests.beta.iloc[0]
    return tests, table


def test_gains_and_costs_are_those_put_in(tables):
    tests, table = tables
    assert len(table) == 6
    expected = {"relative_instability": 0.5, "score_change": -0.25, "recall_change": -0.25, "between_instability": 1.5}
    expected |= {"zero_shot_change_perspective": -0.25, "recall_change_perspective": -0.25}
    for column, value in expected.items():
        assert table[column].tolist() == pytest.approx([value] * 6), column
    ratios = table[["relative_instability_low", "relative_instability_high"]]
    assert np.allclose(ratios, 0.5)  # the same for every image
    assert (table.recall_change_perspective_low <= -0.25).all() and (table.recall_change_perspective_high < 0).all()
    assert (table.inter_image_cosine - table.inter_image_cosine_frozen).tolist() == pytest.approx([0.5] * 6)
    medians = tests[tests.model.isin(RUNS)].groupby(["model", "image_set"], sort=False).median_abs_diff.max()
    assert table.worst_instability.tolist() == pytest.approx(medians.tolist())
    assert (table.stable_fraction >= table.stable_fraction_frozen).all()


def test_runs_are_labelled_by_their_specification(tables):
    tests, table = tables
    assert table.role.tolist() == ["test", "training"] * 3
    rows = table[table.role == "test"].set_index("model")
    assert rows.method.to_dict() == {"half": "lora_attention", "near": "lora_attention", "free": "single_pass, squash"}
    assert rows.shift_range.to_dict() == {"half": "0-1", "near": "0-0.5", "free": "none"}
    assert rows.lam[["half", "near"]].tolist() == [0.5, 0.5] and np.isnan(rows.lam["free"])
    drawn = tests[tests.image_set == "probe"].set_index(["model", "shift"]).drawn
    assert drawn[drawn].index.tolist() == [("half", 0.25), ("half", 0.5), ("near", 0.25)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_the_front_is_what_no_other_dominates(points):
    frame = pd.DataFrame(points, columns=["x", "y"])
    expected = [
        not any(a <= x and b >= y and (a, b) != (x, y) for a, b in points) for x, y in points
    ]  # brute force: as good in both, and not the same point
    assert pareto(frame, lower="x", higher="y").tolist() == expected
