"""What a detail of the protocol does, on scores whose answer is known."""

import numpy as np
import pandas as pd
import pytest

from clip360.stats.protocol_ablations import BASELINE, hazards, tuning_hazards
from clip360.stats.tradeoff import tuned_tests

SHIFTS, N = [0.25, 0.5], 40
BOOTSTRAP = {"seed": 0, "draws": 100}


def scores(*, move: float = 0.0, wobble: float = 1.0, gain: float = 2.0) -> pd.DataFrame:
    """Scores of both probes: moved by ``move``, changing under shifts by ``wobble`` times fixed draws."""
    rng = np.random.default_rng(5)
    s, changes, noise = rng.normal(50, 4, N) + move, rng.normal(0, 1, (2, N)), rng.normal(0, 0.1, N)
    columns = {("shift", 0.0): s, ("mirror", 0.0): s + rng.normal(0, 4, N)}
    columns |= {("shift", shift): s + wobble * change for shift, change in zip(SHIFTS, changes, strict=True)}
    columns |= {("cue", "360 photo"): s, ("generic", "photo"): s - gain + noise}
    labels = {"model": "m", "image_set": "set", "image": [f"{k}.jpg" for k in range(N)]}
    parts = [
        labels
        | {"condition": condition, "value": str(value), "score": score}
        | {"view": "panorama" if condition in ("cue", "generic") else "center_crop"}
        for (condition, value), score in columns.items()
    ]
    return pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)


def test_changes_and_turned_verdicts_are_those_put_in():
    made = {BASELINE: scores(), "raised": scores(move=3.0), "shaky": scores(wobble=20.0), "deaf": scores(gain=-2.0)}
    table = pd.concat([part.assign(hazard=name) for name, part in made.items()])
    found = hazards(table, shifts=SHIFTS, alpha=0.01, **BOOTSTRAP).set_index("hazard")
    assert found.cues.tolist() == ["1 of 1", "1 of 1", "1 of 1", "0 of 1"]
    assert found.stable.tolist() == ["2 of 2", "2 of 2", "0 of 2", "2 of 2"]
    assert found.verdicts_changed.tolist() == [0, 0, 2, 1]
    assert found.score_change[[BASELINE, "raised", "deaf"]].tolist() == pytest.approx([0, 3, 0])
    shifted = scores().query("condition == 'shift' and value != '0.0'").score.to_numpy().reshape(2, N)
    change = np.abs(shifted - scores().query("value == '0.0' and condition == 'shift'").score.to_numpy())
    assert found.instability[BASELINE] == pytest.approx(change.mean())
    # Of the four conditions (as it is, mirrored, two shifts) only the shifts differ, by 19 times the baseline's change.
    assert found.score_change["shaky"] == pytest.approx(19 * change.mean() / 2)
    assert found.score_change_low["shaky"] < found.score_change["shaky"] < found.score_change_high["shaky"]


def test_runs_that_differ_in_one_detail_are_compared():
    run = {"model": "m", "strategy": "attention", "weight": 1.0, "shifts": [0.0, 1.0]}
    runs = {"a100": run, "r100": run | {"strategy": "released"}, "r050": run | {"strategy": "released", "weight": 0.5}}
    moves = {"a100": 1.0, "r100": 5.0, "r050": 2.0}
    probe = scores()[lambda table: table.condition.isin(["shift", "mirror"])].astype({"value": float})
    tuned = pd.concat([probe.assign(model=name, score=probe.score + move) for name, move in moves.items()])
    tests = tuned_tests(probe, tuned, runs, shifts=SHIFTS, alpha=0.01, **BOOTSTRAP)
    found = tuning_hazards(tuned, tests, runs, shifts=SHIFTS, **BOOTSTRAP)
    assert found.hazard.tolist() == ["lora_targets (r100)", "lambda_1 (r100)"]
    assert found.score_change.tolist() == pytest.approx([4.0, 3.0]) and found.verdicts_changed.tolist() == [0, 0]
    assert tuning_hazards(tuned, tests, {"r100": runs["r100"]}, shifts=SHIFTS, **BOOTSTRAP).empty
