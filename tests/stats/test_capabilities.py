"""Summaries of the capability evaluation against scikit-learn, guesses and hand-made numbers."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score, top_k_accuracy_score

from clip360.stats.capabilities import (
    attribute_table,
    calibration_error,
    capability_changes,
    chance_rank,
    matching_table,
    per_class,
    retrieval_summary,
    retrieval_table,
    zero_shot_table,
)

RESAMPLING = {"seed": 0, "n_bootstrap": 100}
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


def test_guessed_ranks_have_the_mean_of_chance():
    rng = np.random.default_rng(1)
    ranks = rng.integers(1, 12, size=20_000)  # 1 true caption among 10 false ones
    assert ranks.mean() == pytest.approx(chance_rank(10), abs=0.1)


def test_retrieval_by_hand():
    summary = retrieval_summary(np.array([1, 1, 3, 12]))
    assert summary == {"R@1": 0.5, "R@5": 0.75, "R@10": 0.75, "median_rank": 2.0}


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
    row = zero_shot_table(table, {"colour": 12}).iloc[0]
    assert (row.top1, row.top1_single, row.top5, row.chance) == (0.5, 1.0, 0.75, 1 / 12)
    assert row.calibration_error == pytest.approx(0.4)
    (found,) = retrieval_table(table).to_dict("records")
    assert (found["direction"], found["R@1"], found["R@5"], found["median_rank"]) == ("image_to_text", 0.25, 0.75, 2.5)


def test_the_advantage_is_zero_at_chance_and_one_where_the_true_caption_is_first():
    table = pd.concat(
        [
            rows("m", "attributes", "rank", [1, 1, 1], label="hard"),
            rows("m", "attributes", "rank", [1, 2, 3], label="colour"),
            rows("m", "image_to_text", "rank", [1, 2, 2]),
        ]
    )
    advantage = attribute_table(table, N_FALSE, **RESAMPLING).set_index("subset").advantage
    assert advantage.to_dict() == {"hard": 1.0, "colour": 0.0}
    row = matching_table(table).iloc[0]
    assert (row.hard, row.colour, row["sum"], row.image_to_text) == (1, 2, 3, pytest.approx(1 / 3))


def test_changes_are_those_put_in_and_pairs_are_made_by_name():
    run = {"model": "m", "method": "lora_attention", "lam": 0.5, "shift_range": [0.0, 1.0]}
    frozen = pd.concat(
        [
            rows("m", "scene_category", "rank", [1, 1, 2, 2]),
            rows("m", "shift_consistency", "cosine", [1, 1, 1, 1], level=0.0),
            rows("m", "shift_consistency", "cosine", [0.2, 0.4, 0.6, 0.8], level=90.0),
            rows("m", "shift_consistency", "rank", [1, 1, 1, 1], level=90.0),
        ]
    )
    finetuned = frozen.assign(model="run").iloc[::-1]
    consistency = finetuned.measure.eq("cosine") & (finetuned.level > 0)
    finetuned["value"] = np.where(consistency, finetuned.value + 0.1, finetuned.value)
    table = capability_changes(frozen, finetuned, {"run": run}, N_FALSE, **RESAMPLING).set_index("task")
    assert table.frozen.to_dict() == pytest.approx({"scene_category": 0.5, "shift_consistency": 0.5})
    assert table.change.to_dict() == pytest.approx({"scene_category": 0.0, "shift_consistency": 0.1})
    assert table.lam.tolist() == [0.5, 0.5] and table.method.tolist() == ["lora_attention"] * 2


def test_a_change_that_is_not_a_number_is_refused():
    run = {"model": "m", "method": "lora_attention", "lam": 0.5, "shift_range": [0.0, 1.0]}
    frozen = rows("m", "presence", "auc", [0.5, 0.6, 0.7])
    finetuned = rows("run", "presence", "auc", [0.5, np.nan, 0.7])
    with pytest.raises(ValueError, match="1 of 3 values are not numbers"):
        capability_changes(frozen, finetuned, {"run": run}, N_FALSE, **RESAMPLING)
