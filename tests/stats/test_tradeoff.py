"""The trade-off on measurements whose answer is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip360.names import POOLED
from clip360.stats.inference import Inference
from clip360.stats.tradeoff import (
    distance_over_replicates,
    distance_trend,
    finetuned_shift_tests,
    outcomes_by_set,
    pareto,
    references,
    relative_sd_ratio,
    tradeoff_table,
    unseen_table,
)
from tests.stats.long_tables import measurements

SHIFTS = [0.25, 0.5]
RUNS = {
    "base": {"model": "base", "method": "single_pass"},
    "half": {"model": "base", "method": "lora_attention", "lam": 0.5, "shift_range": [0.0, 1.0]},
    "near": {"model": "base", "method": "lora_attention", "lam": 0.5, "shift_range": [0.0, 0.5]},
    "free": {"model": "base", "method": "average_2"},
    "shrunk": {"model": "base", "method": "linear_head", "lam": 0.5, "shift_range": [0.0, 1.0]},
}
POLICY = Inference(alpha=0.01, n_bootstrap=200, seed=0)


def model_measurements(
    model: str, image_set: str, *, scale: float, loss: float, recall: float, shrink: float = 1.0
) -> pd.DataFrame:
    """40 images whose score changes under shifts by ``scale`` times fixed draws; a fraction ``recall`` finds its text.

    ``shrink`` multiplies all scores.
    """
    rng = np.random.default_rng(8)
    s, change = rng.normal(60, 3, 40), rng.normal(0, 2, (2, 40))
    scores = {("shift", 0.0): s, ("mirror", 0.0): s + rng.normal(0, 1, 40)}
    scores |= {("shift", shift): s + scale * change[k] for k, shift in enumerate(SHIFTS)}
    scores["shift", 0.125] = s + 3 * scale  # between those tested
    labels = {"model": model, "image_set": image_set}
    scores = {("clip_score", *key): shrink * (score - loss) for key, score in scores.items()}
    parts = [measurements(scores, view="center_crop")]
    rank = np.where(np.arange(40) < 40 * recall, 1, 5)
    unshifted = {"image_to_text_rank": rank, "text_to_image_rank": rank, "zero_shot_hit": rank == 1}
    for view in ("panorama", "perspective"):
        rows = {(name, "unshifted", np.nan): values for name, values in unshifted.items()}
        parts.append(measurements(rows, view=view))
    parts.append(measurements({("inter_image_cosine", "unshifted", np.nan): np.full(40, 1 - scale)}, view="panorama"))
    return pd.concat(parts, ignore_index=True).assign(**labels)


@pytest.fixture(scope="module")
def measured_models() -> pd.DataFrame:
    changes = dict.fromkeys(RUNS, {"scale": 0.5, "loss": 0.25, "recall": 0.5})
    changes["base"] = {"scale": 1.0, "loss": 0.0, "recall": 0.75}
    changes["shrunk"] = {"scale": 1.0, "loss": 0.0, "recall": 0.75, "shrink": 0.1}
    parts = [model_measurements(run, name, **changes[run]) for run in RUNS for name in ("probe", "second", "training")]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def tables(measured_models) -> tuple[pd.DataFrame, pd.DataFrame]:
    frozen = references(measured_models, RUNS)
    tests = finetuned_shift_tests(measured_models, RUNS, shifts=SHIFTS, inference=POLICY)
    measured = outcomes_by_set(measured_models, training_set="training", shifts=SHIFTS)
    return tests, tradeoff_table(measured, tests, RUNS, frozen, training_set="training", inference=POLICY)


def test_gains_and_costs_are_those_put_in(tables):
    tests, table = tables
    assert tests.groupby("image_set").beta.nunique().eq(1).all()  # the frozen model's, for all
    assert sorted(table.image_set.unique()) == sorted(["probe", "second", "training", POOLED])
    adapted = table[table.model.isin(["half", "near", "free"])]
    expected = {"median_change_ratio": 0.5, "score_change": -0.25, "recall_change": -0.25}
    expected |= {"zero_shot_change_perspective": -0.25, "inter_image_cosine_change": 0.5}
    for column, value in expected.items():
        assert np.allclose(adapted[column], value), column
    # All images change by 3 * scale at the shift in between: sd over shifts 3 * scale / sqrt(2), in units of that of s.
    s = np.random.default_rng(8).normal(60, 3, 40)
    assert np.allclose(adapted.instability, 1.5 / np.sqrt(2) / s.std())
    assert np.allclose(adapted[["instability_ratio", "instability_ratio_low", "instability_ratio_high"]], 0.5)
    medians = tests[tests.model == "half"].groupby("image_set", sort=False).median_abs_diff.max()
    rows = table[(table.model == "half") & (table.image_set != POOLED)].set_index("image_set")
    beta = tests[tests.model == "half"].groupby("image_set").beta.first()
    assert np.allclose(rows.worst_of_beta, (medians / beta)[rows.index])
    assert (table[table.model == "base"].instability_ratio == 1).all()


def test_shrinking_all_scores_stabilises_nothing(tables):
    _, table = tables
    rows = table[table.model == "shrunk"]
    assert np.allclose(rows.median_change_ratio, 0.1) and np.allclose(rows.instability_ratio, 1)
    assert np.allclose(rows.worst_of_beta_own, 10 * rows.worst_of_beta) and np.allclose(rows.beta_ratio, 0.1)


def test_pooled_sets_differ_in_level_without_effect(measured_models):
    """A set whose scores all lie 100 points higher leaves the pooled instability as it is."""
    raised = measured_models.value + 100 * (
        (measured_models.image_set == "second") & (measured_models.measure == "clip_score")
    )
    pools = [
        outcomes_by_set(table, training_set="training", shifts=SHIFTS)["base", POOLED]
        for table in (measured_models, measured_models.assign(value=raised))
    ]
    numbers = np.stack([pool[name] for pool in pools for name in ("variance", "level")])
    assert relative_sd_ratio(numbers) == pytest.approx(1) and numbers.shape == (4, 80)


def test_a_view_that_was_not_measured_frozen_is_reported(measured_models):
    squashed = measured_models.assign(view=measured_models["view"].where(measured_models.model != "half", "squash"))
    with pytest.raises(ValueError, match="half shows panoramas by squash: .* needs an entry with method: single_pass"):
        references(squashed, RUNS)


def test_runs_are_labelled_by_their_specification(tables):
    tests, table = tables
    rows = table[table.image_set == "probe"].set_index("model")
    assert rows.role.eq("test").all() and (table.role[table.image_set == "training"] == "training").all()
    assert rows.shift_range.to_dict()["near"] == "0-0.5" and rows.shift_range["free"] == "none"
    assert rows.lam[["half", "near"]].tolist() == [0.5, 0.5] and np.isnan(rows.lam["free"])
    drawn = tests[tests.image_set == "probe"].set_index(["model", "shift"]).drawn
    assert drawn[drawn].index.tolist() == [
        ("half", 0.25),
        ("half", 0.5),
        ("near", 0.25),
        ("shrunk", 0.25),
        ("shrunk", 0.5),
    ]


def test_shifts_outside_training_are_those_outside_its_range(measured_models):
    measured = outcomes_by_set(measured_models, training_set="training", shifts=SHIFTS)
    frozen = references(measured_models, RUNS)
    table = unseen_table(measured, RUNS, frozen, shifts=SHIFTS, inference=POLICY)
    assert set(table.model) == {"near"} and (table.shifts == 1).all() and np.allclose(table.change_ratio, 0.5)


def test_the_trend_is_spearmans_over_runs():
    runs = pd.DataFrame({"lr": [1.0, 1, 2, 2, 3], "distance": [1.0, 2, 3, 4, 5]}, index=list("abcde"))
    cosines = dict(zip("abcde", [0.1, 0.3, 0.2, 0.5, 0.9], strict=True))
    measured = {(name, POOLED): {"inter_image_cosine": np.full(10, x)} for name, x in cosines.items()}
    trend = distance_trend(measured, runs, inference=replace(POLICY, n_bootstrap=20)).set_index("follows")
    expected = [pd.Series(cosines).corr(runs[column], method="spearman") for column in ("distance", "lr")]
    assert trend.rank_correlation.tolist() == pytest.approx(expected)
    assert trend.rank_correlation_low.tolist() == pytest.approx(expected)
    assert distance_trend(measured, runs[:3], inference=POLICY).empty


def test_distances_are_averaged_by_rate_and_epochs():
    """Two replicates that list their runs in another order, and a run that this run lacks."""

    def table(distances: list[float], cosines: list[float], epochs: list[int]) -> pd.DataFrame:
        numbers = {f"cosine{end}": cosines for end in ("", "_low", "_high")}
        return pd.DataFrame({"model": "x", **numbers, "lr": 0.1, "epochs": epochs, "distance": distances})

    kept = [table([1.0, 2.0], [0.2, 0.6], [3, 9]), table([3.0, 4.0], [0.8, 0.4], [9, 3])]
    means = distance_over_replicates([table([5.0], [0.9], [9]), *kept], inference=POLICY)
    assert means.epochs.tolist() == [3, 9] or means.epochs.tolist() == [9, 3]
    means = means.set_index("epochs")
    assert means.distance.to_dict() == {3: 2.5, 9: 2.5} and means.cosine.to_dict() == pytest.approx({3: 0.3, 9: 0.7})
    assert means.cosine_low[3] == pytest.approx(0.3 - 63.6567 * 0.1, rel=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_the_front_is_what_no_other_dominates(points):
    frame = pd.DataFrame(points, columns=["x", "y"])
    expected = [
        not any(a <= x and b >= y and (a, b) != (x, y) for a, b in points) for x, y in points
    ]  # brute force: as good in both, and not the same point
    assert pareto(frame, lower="x", higher="y").tolist() == expected
