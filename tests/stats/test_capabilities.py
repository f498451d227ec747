"""Summaries of the capability evaluation against scikit-learn, guesses and hand-made numbers."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2
from sklearn.metrics import recall_score, top_k_accuracy_score

from clip360.stats.capabilities import (
    attribute_table,
    beats_chance,
    calibration_error,
    capability_changes,
    chance_rank,
    changed,
    matching_table,
    per_class,
    probe_table,
    retrieval_table,
    view_costs,
    viewpoint_table,
    zero_shot_table,
)
from clip360.stats.inference import Inference

POLICY = Inference(alpha=0.01, n_bootstrap=100, seed=0)
N_FALSE = {"hard": 4, "colour": 2}


def test_accuracy_by_class_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    scores, labels = rng.random((200, 12)), rng.integers(12, size=200)
    rank = (scores >= scores[np.arange(200), labels][:, None]).sum(1)
    table = per_class(pd.DataFrame({"class": labels, "rank": rank, "confidence": 0.5}))
    assert table.top1.tolist() == pytest.approx(recall_score(labels, scores.argmax(1), average=None).tolist())
    assert (table.top5 * table.n).sum() / 200 == pytest.approx(top_k_accuracy_score(labels, scores, k=5))


def test_the_calibration_error_by_hand():
    confidence = np.array([0.95] * 4 + [0.5, 0.5])
    correct = np.array([True] * 4 + [True, True])
    assert calibration_error(confidence, correct) == pytest.approx((4 * 0.05 + 2 * 0.5) / 6)
    assert calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0


def test_answers_worse_than_guesses_do_not_beat_chance():
    assert beats_chance([False] * 20, 0.5) == 1 and beats_chance([True] * 5, 0.5) == pytest.approx(2**-5)


def test_guessed_ranks_have_the_mean_of_chance():
    rng = np.random.default_rng(1)
    ranks = rng.integers(1, 12, size=20_000)  # 1 true caption among 10 false ones
    assert ranks.mean() == pytest.approx(chance_rank(10), abs=0.1)


def rows(
    model: str, task: str, measure: str, values, *, label="", view: str = "panorama", level=np.nan
) -> pd.DataFrame:
    columns = {
        "model": model,
        "image_set": "set",
        "image": [f"{k}.jpg" for k in range(len(values))],
        "measure": measure,
    }
    columns |= {"condition": "unshifted", "level": level, "view": view, "value": np.asarray(values, dtype=float)}
    return pd.DataFrame(columns | {"task": task, "label": label})


def test_tables_take_only_their_measures():
    table = pd.concat(
        [
            rows("m", "colour", "rank", [1, 2, 6, 1], label=["red", "red", "blue", "blue"]),
            rows("m", "colour", "rank_single", [1, 1, 1, 1], label=["red", "red", "blue", "blue"]),
            rows("m", "colour", "confidence", [0.9, 0.9, 0.9, 0.9], label=["red", "red", "blue", "blue"]),
            rows("m", "image_to_text", "rank", [1, 3, 11, 2]),
            rows("m", "shift_consistency", "cosine", [1, 1, 1, 1], level=90.0),
        ]
    )
    row = zero_shot_table(table, {"colour": 12}, inference=POLICY).iloc[0]
    assert (row.top1, row.top1_single, row.top5, row.chance) == (0.5, 1.0, 0.75, 1 / 12)
    assert row.calibration_error == pytest.approx(0.4) and row.times_chance == pytest.approx(6.0)
    assert row.p == pytest.approx(1 - (11 / 12) ** 4 - 4 * (1 / 12) * (11 / 12) ** 3)  # 2 or more of 4 by guessing
    (found,) = retrieval_table(table, inference=POLICY).to_dict("records")
    assert (found["direction"], found["R@1"], found["R@5"], found["median_rank"]) == ("image_to_text", 0.25, 0.75, 2.5)


def test_the_advantage_is_zero_at_chance_and_one_where_the_true_caption_is_first():
    table = pd.concat(
        [
            rows("m", "attributes", "rank", [1, 1, 1], label="hard"),
            rows("m", "attributes", "rank", [1, 2, 3], label="colour"),
            rows("m", "image_to_text", "rank", [1, 2, 2]),
        ]
    )
    advantage = attribute_table(table, N_FALSE, inference=POLICY).set_index("subset").advantage
    assert advantage.to_dict() == {"hard": 1.0, "colour": 0.0}


def test_heads_and_probes_are_compared_with_the_cosine_on_the_same_images():
    table = pd.concat(
        [
            rows("m", "attributes", "cosine", [1, 1, 5], label="hard"),
            rows("m", "attributes", "mlp", [1, 3, 1], label="hard").iloc[::-1],
            rows("m", "image_to_text", "cosine", [1, 2, 2]),
            rows("m", "text_to_image", "cosine", [1, 1, 2]),
            rows("m", "image_to_text", "mlp", [2, 2, 2]),
            rows("m", "text_to_image", "mlp", [2, 2, 2]),
            rows("m", "colour", "linear probe", [1, 0, 1], label=["red", "blue", "blue"]),
            rows("m", "shape", "linear probe", [1, 0, 1], label=["cube", "cone", "cube"]),
        ]
    )
    heads = matching_table(table, N_FALSE, inference=POLICY).set_index(["task", "measure"])
    assert heads.gain.to_dict() == pytest.approx(
        {("attributes", "cosine"): 0, ("attributes", "mlp"): (0 - 1 + 2) / 3}
        | {("retrieval", "cosine"): 0, ("retrieval", "mlp"): -0.5}
    )
    assert heads.p.isna().tolist() == [True, False, True, False]
    frozen = rows("m", "colour", "rank", [1, 2, 3], label=["red", "blue", "blue"], view="crop").iloc[[2, 0, 1]]
    probes = probe_table(table, frozen, inference=POLICY).set_index("task")
    assert probes.gain["colour"] == pytest.approx(1 / 3) and np.isnan(probes.gain["shape"])
    assert probes.gain_low["colour"] == 0  # on no image is the probe worse


def two_models() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measurements of a frozen model and of a run: 40 images, of which the run recognises 30 fewer scene categories."""
    run = [1] * 5 + [2] * 35
    frozen = pd.concat(
        [
            rows("m", "scene_category", "rank", [1] * 35 + [2] * 5),
            rows("m", "shape", "rank", [1, 2] * 20, view="crop"),
            rows("m", "shift_consistency", "scene_rank", [1] * 40, level=0.0),
            rows("m", "shift_consistency", "scene_rank", [1, 9] * 20, level=90.0),
            rows("m", "shift_consistency", "scene_rank", [9, 9] * 20, level=180.0),
            rows("m", "shift_consistency", "cosine", [0.2] * 40, level=90.0),
            rows("m", "shift_consistency", "rank", [1] * 40, level=90.0),
        ]
    )
    finetuned = frozen.assign(model="run").iloc[::-1]
    finetuned.loc[finetuned.task == "scene_category", "value"] = run
    finetuned.loc[finetuned.measure == "cosine", "value"] = 0.9  # more similar, as if all images were
    return frozen, finetuned


def test_changes_are_those_put_in_and_decided_within_the_family_of_a_run():
    frozen, finetuned = two_models()
    run = {"model": "m", "method": "lora_attention", "lam": 0.5, "shift_range": [0.0, 1.0]}
    table = capability_changes(frozen, finetuned, {"run": run}, N_FALSE, inference=POLICY).set_index("task")
    assert table.frozen.to_dict() == pytest.approx({"scene_category": 7 / 8, "shape": 0.5, "shift_consistency": 0.25})
    assert table.change.to_dict() == pytest.approx({"scene_category": -6 / 8, "shape": 0, "shift_consistency": 0})
    assert table.decided.to_dict() == {"scene_category": True, "shape": False, "shift_consistency": False}
    assert table.p_holm["scene_category"] == pytest.approx(3 * table.p["scene_category"])
    assert table.change_low["scene_category"] < -6 / 8 < table.change_high["scene_category"] < 0


def test_a_run_with_a_view_of_its_own_is_compared_with_the_frozen_model_in_that_view():
    frozen, finetuned = two_models()
    reference = finetuned.assign(model="m, squash")  # the view alone does what the run does
    run = {"model": "m", "method": "distilled", "view": "squash", "lam": 0.5, "shift_range": [0.0, 1.0]}
    measured = pd.concat([finetuned, reference, reference])  # two runs of that view measured it
    table = capability_changes(frozen, measured, {"run": run}, N_FALSE, inference=POLICY)
    assert table.model.unique() == ["run"] and table.reference.unique() == ["m, squash"]
    assert not table.change.any() and not table.decided.any()


def test_costs_of_panoramas_are_changes_from_the_other_view():
    table = pd.concat(
        [
            rows("m", "colour", "rank", [1] * 30 + [2] * 10, view="crop"),
            rows("m", "colour", "rank", [2] * 30 + [1] * 10, view="panorama"),
            rows("m", "presence", "auc", [0.5] * 40, view="panorama"),
        ]
    )
    (row,) = view_costs(table, N_FALSE, inference=POLICY).to_dict("records")
    assert (row["task"], row["other"], row["change"], row["decided"]) == ("colour", "crop", -0.5, True)


def test_viewpoints_are_told_apart_by_level():
    table = viewpoint_table(two_models()[0], inference=POLICY).set_index("level")
    assert table.same_scene.to_dict() == {0.0: 1.0, 90.0: 0.5, 180.0: 0.0}
    assert table.cosine[90.0] == pytest.approx(0.2) and table.scene_category[90.0] == 1


def test_changes_of_one_size_are_ties_whatever_their_rounding():
    """Thirds up and down in equal number: no change, even where 1/3 and 1 - 2/3 differ in their last bit."""
    change = np.array([1 / 3, 2 / 3 - 1] * 30)
    assert len(set(np.abs(change))) == 2 and changed(change) == 1.0
    assert changed(np.zeros(5)) == 1.0
    signs = np.array([1.0] * 20 + [-1.0] * 4 + [0.0] * 9)
    assert changed(signs) == pytest.approx(chi2.sf((20 - 4) ** 2 / (20 + 4), 1))  # McNemar


def test_a_change_that_is_not_a_number_is_refused():
    run = {"model": "m", "method": "lora_attention", "lam": 0.5, "shift_range": [0.0, 1.0]}
    frozen = rows("m", "presence", "auc", [0.5, 0.6, 0.7])
    finetuned = rows("run", "presence", "auc", [0.5, np.nan, 0.7])
    with pytest.raises(ValueError, match="1 of 3 values are not numbers"):
        capability_changes(frozen, finetuned, {"run": run}, N_FALSE, inference=POLICY)
