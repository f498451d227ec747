"""The choice of runs and the comparison of adaptation methods, on a trade-off table made by hand."""

import pandas as pd
import pytest

from clip360.stats.adaptation_methods import (
    best_of_families,
    choose_runs,
    dominates,
    methods_table,
    over_replicates,
    readme_methods,
)


def tradeoff_rows() -> pd.DataFrame:
    """Two methods with two runs each, where the more stable run of the first loses its recall; and a third, best method."""
    rows = []
    for model, method, instability, recall in (
        ("a1", "lora_attention", 0.5, -0.01),
        ("a2", "lora_attention", 0.1, -0.30),
        ("b1", "image_tower", 0.6, -0.20),
        ("b2", "image_tower", 0.7, -0.10),
        ("d", "distilled", 0.2, 0.0),
    ):
        for role, added in (("validation", 0.0), ("test", 0.1), ("test", 0.3), ("training", 9.0)):
            rows.append(
                {"model": model, "base_model": "m", "method": method, "lam": 0.5, "shift_range": "0-1", "role": role}
                | {"relative_instability": instability + added, "score_change": 0.0, "stable_fraction": 1.0}
                | {"recall_change": recall, "recall_change_perspective": recall}
                | {"inter_image_cosine": 0.5, "inter_image_cosine_frozen": 0.25}
            )
    return pd.DataFrame(rows)


def test_runs_are_chosen_by_validation_alone_and_methods_averaged_over_replicates():
    table = tradeoff_rows()
    chosen = {"lora_attention": "a1", "image_tower": "b2", "distilled": "d"}
    assert choose_runs(table, recall_tolerance=0.02).to_dict() == chosen
    costs = pd.DataFrame({"passes": 1, "trainable_parameters": 10}, index=["a1", "a2", "b1", "b2", "d"])
    first = methods_table(table, costs, base_model="m", recall_tolerance=0.02)
    assert len(first) == 10 and first.chosen.sum() == 6 and first.method_family.iloc[-1] == "distilled mean"
    second = first.assign(relative_instability=first.relative_instability + 0.2)
    means = over_replicates([first, second]).set_index("method")
    interval = means.loc["lora_attention", [f"relative_instability{end}" for end in ("_low", "", "_high")]]
    assert interval.tolist() == pytest.approx([0.7, 0.8, 0.9])
    assert means.inter_image_cosine_change.tolist() == pytest.approx([0.25] * 3)
    assert means.replicates.tolist() == [2, 2, 2]
    signs = {"relative_instability": -1, "recall_change": 1}
    dominated = dominates(means.reset_index(), "distilled", ["lora_attention", "image_tower"], signs)
    assert dominated.to_dict() == {"lora_attention": True, "image_tower": True}
    assert not dominates(means.reset_index(), "lora_attention", ["distilled"], signs).any()
    with pytest.raises(ValueError, match="no validation panoramas to choose runs by"):
        choose_runs(table[table.role == "test"], recall_tolerance=0.02)


def test_the_best_of_a_family_keeps_its_recall_if_any_does():
    rows = [
        ("LoRA", "a", 0.1, -0.10, -0.10),
        ("LoRA", "b", 0.5, -0.01, 0.00),
        ("LoRA", "c", 0.4, 0.10, -0.13),
        ("heads", "d", 0.2, -0.30, -0.10),
        ("heads", "e", 0.9, -0.10, -0.10),
    ]
    measures = ["relative_instability", "recall_change", "recall_change_perspective"]
    table = pd.DataFrame(rows, columns=["method_family", "method", *measures])
    best = best_of_families(table, recall_tolerance=0.02)
    assert best.method.tolist() == ["c", "e"]
    ends = {f"{name}{end}": best[name] for name in measures for end in ("_low", "_high")}
    words = readme_methods(best.assign(lambdas="0.5", passes=1.0, **ends))
    assert words["R@1, panoramas"].tolist() == ["+0.10 [+0.10, +0.10]", "-0.10 [-0.10, -0.10]"]
