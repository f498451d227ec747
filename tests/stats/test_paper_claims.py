"""The paper's findings: what each number is, the paper's own rule beside it, and verdicts under other rounding."""

import pandas as pd
import pytest

from clip360.stats.claims import judge
from clip360.stats.inference import Inference
from clip360.stats.paper_claims import (
    CLAIMS,
    TABLE,
    architecture_table,
    changed_verdicts,
    paper_measures,
    paper_table,
    printed_numbers,
)

INFERENCE = Inference(alpha=0.01, n_bootstrap=10, seed=0)


def interval(name: str, value: float, width: float) -> dict[str, float]:
    return {name: value, f"{name}_low": value - width, f"{name}_high": value + width}


def measures(*, contrast: float = 2.0, of_beta: float = 1.5, ratio: float = 0.5, cost: float = -1.0) -> pd.DataFrame:
    """Of one model and image set; β is 4 points."""
    keys = {"model": "m", "image_set": "set"}
    cues = pd.DataFrame([{"view": view, **keys, "p": p} for view in ("panorama", "perspective") for p in (0.005, 0.02)])
    shifts = pd.DataFrame([{**keys, "p": p} for p in (0.005, 0.02, 0.5)])
    run = {"base_model": "m", "method": "lora_attention", "lam": 0.5, "shift_range": "0-1", "role": "test"}
    run |= {"usual": True}
    run |= {
        "image_set": "set",
        "beta": 4.0,
        **interval("median_change_ratio", ratio, 0.1),
        **interval("score_change", cost, 0.4),
    }
    others = [{"method": "image_tower"}, {"role": "validation"}, {"shift_range": "0-0.25"}, {"usual": False}]
    return paper_measures(
        pd.DataFrame([{**keys, **interval("contrast", contrast, 0.1)}]),
        cues,
        pd.DataFrame([{**keys, **interval("of_beta", of_beta, 0.1)}]),
        shifts,
        pd.DataFrame([run, *(run | other for other in others)]),
        inference=INFERENCE,
    )


def test_each_finding_is_judged_by_its_number_and_the_papers_rule_counts_uncorrected_tests():
    table = measures().set_index("claim")
    assert table.value.to_dict() == {"cues": 2.0, "shifts": 1.5, "gain": 0.5, "cost": -0.25}
    assert table.loc["cues", ["paper_rule", "tests"]].tolist() == [1, 2]  # of panoramas; rejected at 0.01
    assert table.loc["shifts", ["paper_rule", "tests"]].tolist() == [2, 3]  # not rejected
    judged = judge(CLAIMS, {TABLE: [table.reset_index()]}, inference=INFERENCE)
    assert (judged.verdict == "holds").all()
    words = paper_table(judged, table.reset_index())
    assert words["by the paper's rule"].tolist() == ["1 of 2", "2 of 3", "", ""]
    assert words["this run"].iloc[3] == "-0.25 [-0.35, -0.15]" and (words["mean over replicates"] == "not run").all()


@pytest.mark.parametrize(
    ("changes", "claim", "verdict"),
    [
        ({"contrast": -1.0}, "cues", "refuted"),
        ({"of_beta": 1.05}, "shifts", "undecided"),
        ({"of_beta": 0.5}, "shifts", "refuted"),
        ({"ratio": 1.2}, "gain", "refuted"),
        ({"cost": 1.0}, "cost", "refuted"),  # a gain
        ({"cost": -6.0}, "cost", "refuted"),  # more than β
        ({"cost": -4.0}, "cost", "undecided"),
    ],
)
def test_a_finding_is_refuted_by_the_opposite(changes, claim, verdict):
    judged = judge(CLAIMS, {TABLE: [measures(**changes)]}, inference=INFERENCE).set_index("claim")
    assert judged.verdict[claim] == verdict


def test_published_models_stand_by_architecture_and_training_data():
    tables = [measures().assign(model=model) for model in ("a", "b")]
    judged = judge(CLAIMS, {TABLE: [pd.concat(tables)]}, inference=INFERENCE)
    weights = {
        "a": {"architecture": "ViT-B-32", "pretrained": "openai"},
        "b": {"architecture": "ViT-B-32", "pretrained": "laion2b_s34b"},
    }
    table = architecture_table(judged, weights)
    assert table.columns.tolist() == ["statement", "image_set", "architecture", "laion2b", "openai"]
    assert table.statement.tolist() == ["CLIP is not stable under circular shifts", "CLIP uses format cues"]
    assert table.openai.tolist() == ["1.50 [1.40, 1.60]", "2.00 [1.90, 2.10]"]
    assert architecture_table(judged, {}).empty
    weights["b"]["pretrained"] = "openai_of_my_own"  # the same first word: columns by the models' names
    assert architecture_table(judged, weights).columns.tolist() == ["statement", "image_set", "architecture", "a", "b"]


def test_printed_numbers_say_what_was_not_run():
    quantity = "stability bound β, points"
    table = printed_numbers({(quantity, "small"): 3.0}).set_index(["quantity", "model"])
    assert table.loc[quantity, "vit_b_32_laion400m"].tolist() == ["1.7919", "not run"]
    assert table.loc[quantity, "small"].tolist() == ["not printed", "3"]


def test_a_verdict_that_turns_under_other_rounding_is_counted():
    replicates = [measures(contrast=2.0 + k / 100) for k in range(5)]
    same = changed_verdicts(CLAIMS, replicates, {1: measures(contrast=2.02)}, inference=INFERENCE).set_index("claim")
    assert (same.verdicts_changed == 0).all() and same.max_abs_diff["cues"] == pytest.approx(0.01)
    turned = changed_verdicts(CLAIMS, replicates, {1: measures(contrast=-9.0)}, inference=INFERENCE).set_index("claim")
    assert turned.verdicts_changed.to_dict() == {"cues": 1, "shifts": 0, "gain": 0, "cost": 0}
    assert changed_verdicts(CLAIMS, [], {}, inference=INFERENCE).empty
