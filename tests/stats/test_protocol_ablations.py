"""What a detail of the protocol does, on scores whose answer is known."""

import numpy as np
import pandas as pd
import pytest

from clip360.names import BASELINE
from clip360.stats.inference import Inference
from clip360.stats.protocol_ablations import ablation_table, finetuning_ablations
from clip360.stats.tradeoff import finetuned_shift_tests
from clip360.stats.visual_probe import stability_bound
from tests.stats.long_tables import measurements

SHIFTS, N = [0.25, 0.5], 40
POLICY = Inference(alpha=0.01, n_bootstrap=100, seed=0)


def both_probes(
    *, offset: float = 0.0, instability: float = 1.0, gain: float = 2.0, mirror: float = 1.0
) -> pd.DataFrame:
    """Scores of both probes: all raised by ``offset``, changing under shifts and mirrors by ``instability`` and ``mirror`` times fixed draws."""
    rng = np.random.default_rng(5)
    s, changes, noise = rng.normal(50, 4, N) + offset, rng.normal(0, 1, (2, N)), rng.normal(0, 0.1, N)
    visual = {("clip_score", "shift", 0.0): s, ("clip_score", "mirror", 0.0): s + mirror * rng.normal(0, 4, N)}
    for shift, change in zip(SHIFTS, changes, strict=True):
        visual["clip_score", "shift", shift] = s + instability * change
    parts = [
        measurements(visual, view="center_crop", cue=""),
        measurements({("clip_score", "format_cue", np.nan): s}, view="panorama", cue="360 photo"),
        measurements({("clip_score", "generic_cue", np.nan): s - gain + noise}, view="panorama", cue="photo"),
    ]
    return pd.concat(parts, ignore_index=True)


def values(table: pd.DataFrame, condition: str, level: float) -> np.ndarray:
    return table[(table.condition == condition) & (table.level == level)].value.to_numpy()


def test_changes_of_scores_and_verdicts_are_those_put_in():
    protocols = {
        BASELINE: both_probes(),
        "raised": both_probes(offset=3.0),
        "unstable": both_probes(instability=20.0),
        "no_gain": both_probes(gain=-2.0),
    }
    table = pd.concat([part.assign(ablation=name) for name, part in protocols.items()])
    rows = ablation_table(table, shifts=SHIFTS, inference=POLICY).set_index("ablation")
    assert rows.cue_tests_rejected.tolist() == ["1 of 1", "1 of 1", "1 of 1", "0 of 1"]
    assert rows.shifts_stable.tolist() == ["2 of 2", "2 of 2", "0 of 2", "2 of 2"]
    assert rows.verdicts_changed.tolist() == [0, 0, 2, 1]
    assert rows.score_change[[BASELINE, "raised", "no_gain"]].tolist() == pytest.approx([0, 3, 0])
    base = both_probes()
    s = values(base, "shift", 0.0)
    change = np.abs(np.stack([values(base, "shift", shift) for shift in SHIFTS]) - s)
    assert rows.instability[BASELINE] == pytest.approx(change.mean())
    # Of the four conditions (unshifted, mirrored, two shifts) only the shifts differ, by 19 times the baseline's change.
    assert rows.score_change["unstable"] == pytest.approx(19 * change.mean() / 2)
    assert rows.score_change_low["unstable"] < rows.score_change["unstable"] < rows.score_change_high["unstable"]
    bound = stability_bound(s, values(base, "mirror", 0.0))
    assert rows.beta.tolist() == pytest.approx([bound] * 4)
    assert rows.score_change_of_beta["raised"] == pytest.approx(3 / bound)
    # The change is the same for all images: what its ratio varies by is the error of β.
    beta_of = {end: 3 / rows[f"score_change_of_beta_{end}"]["raised"] for end in ("low", "high")}
    assert beta_of["high"] == pytest.approx(rows.beta_low["raised"], rel=1e-3)
    assert beta_of["low"] == pytest.approx(rows.beta_high["raised"], rel=1e-3)
    assert rows.instability_of_beta[BASELINE] == pytest.approx(change.mean() / bound)


def test_a_change_is_measured_by_the_bound_of_the_baseline_and_an_instability_by_its_own():
    table = pd.concat([both_probes().assign(ablation=BASELINE), both_probes(mirror=2.0).assign(ablation="other")])
    rows = ablation_table(table, shifts=SHIFTS, inference=POLICY).set_index("ablation")
    assert rows.beta["other"] == pytest.approx(2 * rows.beta[BASELINE])
    assert rows.score_change_of_beta["other"] == pytest.approx(rows.score_change["other"] / rows.beta[BASELINE])
    assert rows.instability_of_beta["other"] == pytest.approx(rows.instability["other"] / rows.beta["other"])


def test_verdicts_are_compared_by_both_rules():
    """Two generic cues, each with 0.005 < p < 0.01 under the ablation: the paper's rule rejects both, Holm's correction neither."""
    both = pd.concat([both_probes(), both_probes().query("condition == 'generic_cue'").assign(cue="image")])
    s = values(both, "shift", 0.0)
    weak = s - np.r_[np.ones(28), -np.ones(12)]  # p = 0.0057
    ablated = both.copy()
    ablated.loc[ablated.condition == "generic_cue", "value"] = np.tile(weak, 2)
    table = pd.concat([both.assign(ablation=BASELINE), ablated.assign(ablation="weaker")])
    rows = ablation_table(table, shifts=SHIFTS, inference=POLICY).set_index("ablation")
    assert rows.cue_tests_rejected.tolist() == ["2 of 2", "0 of 2"]
    assert (rows.verdicts_changed["weaker"], rows.verdicts_changed_paper["weaker"]) == (2, 0)


def test_runs_that_differ_in_one_detail_are_compared():
    run = {"model": "m", "method": "lora_attention", "lam": 1.0, "shift_range": [0.0, 1.0], "trainable_parameters": 9}
    released = run | {"method": "lora_as_released", "trainable_parameters": 4}  # fewer, because of the method
    runs = {"a100": run, "r100": released, "r050": released | {"lam": 0.5}}
    offsets = {"a100": 1.0, "r100": 5.0, "r050": 2.0}
    frozen = both_probes()[lambda table: table.condition.isin(["shift", "mirror"])]
    finetuned = pd.concat([frozen.assign(model=name, value=frozen.value + offset) for name, offset in offsets.items()])
    specs = {"m": {"model": "m", "method": "single_pass"}} | runs
    tests = finetuned_shift_tests(pd.concat([frozen, finetuned]), specs, shifts=SHIFTS, inference=POLICY)
    rows = finetuning_ablations(frozen, finetuned, tests, runs, shifts=SHIFTS, inference=POLICY)
    assert rows.ablation.tolist() == ["lora_targets (r100)", "lambda_1 (r100)"]
    assert rows.score_change.tolist() == pytest.approx([4.0, 3.0]) and rows.verdicts_changed.tolist() == [0, 0]
    bound = stability_bound(values(frozen, "shift", 0.0), values(frozen, "mirror", 0.0))
    assert rows.beta.tolist() == pytest.approx([bound, bound])
    assert finetuning_ablations(frozen, finetuned, tests, {"r100": released}, shifts=SHIFTS, inference=POLICY).empty
