"""The choice of runs and the comparison of adaptation methods, on tables made by hand."""

import numpy as np
import pandas as pd
import pytest

from clip360.names import POOLED
from clip360.stats.adaptation_methods import (
    INSTABILITY,
    OWN_VIEW,
    choose_runs,
    comparison_table,
    dominance_table,
    methods_table,
    other_frozen,
    over_replicates,
    readme_methods,
)
from clip360.stats.inference import Inference

POLICY = Inference(alpha=0.01, n_bootstrap=200, seed=0)
RUNS = (  # model, method, instability, change of recall against the own view, recall under validation
    ("m", "single_pass", 1.0, 0.0, 0.3),
    ("s", "single_pass, squash", 0.5, 0.0, 0.4),
    ("a1", "lora_attention", 0.5, -0.01, 0.29),
    ("a2", "lora_attention", 0.1, -0.30, 0.0),
    ("b1", "image_tower", 0.6, -0.20, 0.1),
    ("b2", "image_tower", 0.7, -0.10, 0.2),
    ("d1", "distilled, squash", 0.2, -0.03, 0.37),
    ("d2", "distilled, squash", 0.3, 0.0, 0.4),
)


def tradeoff_rows() -> pd.DataFrame:
    """Methods whose most stable run on test sets is not the one that validation chooses."""
    rows = []
    for model, method, instability, change, recall in RUNS:
        for image_set, role, sign in (("validation", "validation", 1), (POOLED, POOLED, -1)):
            rows.append(
                {"model": model, "base_model": "m", "method": method, "lam": 0.5, "shift_range": "0-1", "role": role}
                | {"image_set": image_set, "usual": True, "reference": "s" if "squash" in method else "m"}
                | {"instability": sign * instability, "recall": recall, "recall_perspective": recall}
                | {"recall_change": change, "recall_change_perspective": change}
            )
    return pd.DataFrame(rows)


def outcome(noise: float, recall: float) -> dict[str, np.ndarray]:
    level = np.random.default_rng(1).normal(size=50)
    hits = (np.arange(50) < 50 * recall).astype(float)
    numbers = {"variance": np.full(50, noise**2), "level": level, "score": level, "inter_image_cosine": level}
    numbers["changes"] = np.full((2, 50), noise)
    return numbers | {f"{name}{ending}": hits for name in ("recall", "zero_shot") for ending in ("", "_perspective")}


@pytest.fixture
def compared() -> pd.DataFrame:
    costs = pd.DataFrame({"passes": 1}, index=[run[0] for run in RUNS])
    methods = methods_table(tradeoff_rows(), costs, base_model="m", recall_tolerance=0.02)
    measured = {(model, POOLED): outcome(noise, recall) for model, _, noise, _, recall in RUNS}
    return comparison_table(measured, methods, other_frozen(methods, "m"), inference=POLICY)


def test_validation_alone_chooses_runs_and_methods():
    table = tradeoff_rows()
    chosen = choose_runs(table, base_model="m", recall_tolerance=0.02)
    expected = {"single_pass": "m", "single_pass, squash": "s", "lora_attention": "a1", "image_tower": "b2"}
    assert chosen.to_dict() == expected | {"distilled, squash": "d2"}  # d1 loses recall against its own view
    with pytest.raises(ValueError, match="no validation panoramas to choose runs by"):
        choose_runs(table[table.role != "validation"], base_model="m", recall_tolerance=0.02)


def test_methods_are_compared_with_the_frozen_model_under_their_own_view_and_others(compared):
    ratios = compared[compared.measure == INSTABILITY].set_index(["method", "versus"]).value
    assert ratios["distilled, squash", OWN_VIEW] == pytest.approx(0.3 / 0.5)
    assert ratios["distilled, squash", "protocol view"] == pytest.approx(0.3)
    assert ratios["lora_attention", "squashed view"] == pytest.approx(1.0)
    assert ("single_pass, squash", OWN_VIEW) not in ratios.index  # it is its own reference
    recall = compared[compared.measure == "R@1 of panoramas"].set_index(["method", "versus"]).value
    assert recall["lora_attention", "squashed view"] == pytest.approx(14 / 50 - 0.4, abs=0.021)


def test_replicates_give_means_and_the_best_of_a_family_may_change(compared):
    other = compared.assign(value=compared.value + 0.2)
    means = over_replicates([compared, compared, other], inference=POLICY).set_index(["method", "versus", "measure"])
    key = ("distilled, squash", OWN_VIEW, INSTABILITY)
    assert means["mean"][key] == pytest.approx(0.7) and means.value[key] == pytest.approx(0.6)
    assert means.mean_low[key] == pytest.approx(0.7 - 63.6567 * 0.1, rel=1e-4)  # Student's t with one degree of freedom
    fewer = compared[compared.method != "distilled, squash"]
    means = over_replicates([fewer, compared, other], inference=POLICY).set_index(["method", "versus", "measure"])
    assert means["mean"][key] == pytest.approx(0.7) and np.isnan(means.value[key])  # this run lacks the method
    renamed = compared.assign(method=compared.method.replace("distilled, squash", "distilled"))
    families = over_replicates([compared, compared, renamed], inference=POLICY, by="method_family")
    assert set(families[families.method_family == "distilled mean"].methods) == {"distilled, squash; distilled"}
    words = readme_methods(families).set_index("method family")
    assert words.loc["distilled mean", INSTABILITY] == "0.60 [0.60, 0.60]"


def test_dominance_needs_every_interval(compared):
    def verdict(table: pd.DataFrame) -> bool:
        dominance = dominance_table(over_replicates([table], inference=POLICY), tolerance=0.02)
        return dominance.set_index(["method", "versus"]).dominates["distilled, squash", "squashed view"]

    assert verdict(compared)
    of_one = (compared.method == "distilled, squash") & (compared.measure == "zero-shot of perspective views")
    assert not verdict(compared.assign(value_low=compared.value_low.mask(of_one, -0.03)))
    unstable = (compared.method == "distilled, squash") & (compared.measure == INSTABILITY)
    assert not verdict(compared.assign(value_high=compared.value_high.mask(unstable, 1.01)))
    assert dominance_table(over_replicates([compared.assign(passes=2)], inference=POLICY), tolerance=0.02).empty
