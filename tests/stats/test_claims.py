"""Verdicts on the paper's claims, from effects on both sides of their thresholds."""

import numpy as np
import pandas as pd
import pytest

from clip360.stats.claims import (
    FAILS,
    HOLDS,
    OPEN,
    PAPER,
    claims_table,
    compare_machines,
    compare_replicates,
    readme_claims,
)

MODELS = ("yes", "no", "maybe")


def probe_tests(column: str, view: str) -> pd.DataFrame:
    effects = {"yes": (0.5, 0.4, 0.6), "no": (-0.5, -0.6, -0.4), "maybe": (0.1, -0.1, 0.3)}
    return pd.DataFrame(
        [
            {"model": model, "image_set": "set", column: 0.5, "effect": effect, "ci_low": low, "ci_high": high}
            | {"reject": low > 0, "stable": low > 0, "view": view}
            for model, (effect, low, high) in effects.items()
        ]
    )


def tradeoff() -> pd.DataFrame:
    run = {"method": "lora_attention", "lam": 0.5, "shift_range": "0-1", "image_set": "set", "role": "test"}
    run |= {"stable_fraction": 1.0, "stable_fraction_frozen": 0.5, "beta": 3.0}
    intervals = {
        "relative_instability": {"yes": (0.4, 0.3, 0.5), "no": (1.4, 1.2, 1.5), "maybe": (0.9, 0.7, 1.1)},
        "score_change": {"yes": (-1.0, -1.5, -0.5), "no": (-9.0, -9.5, -8.0), "maybe": (-0.2, -0.6, 0.1)},
    }
    rows = []
    for model in MODELS:
        row = run | {"base_model": model, "model": f"{model}_finetuned"}
        for name, by_model in intervals.items():
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), by_model[model], strict=True))
        rows.append(row)
    others = {"role": "training"}, {"method": "image_tower"}, {"shift_range": "0-0.25"}  # of which no claim speaks
    return pd.DataFrame([*rows, *(rows[0] | other for other in others)])


@pytest.fixture
def table() -> pd.DataFrame:
    return claims_table(probe_tests("generic_cue", "panorama"), probe_tests("shift", "center_crop"), tradeoff())


def test_claims_hold_fail_or_stay_open(table):
    assert len(table) == 12
    verdicts = table.set_index(["claim", "model"]).verdict.to_dict()
    for claim in ("cues", "gain", "cost"):
        assert [verdicts[claim, model] for model in MODELS] == [HOLDS, FAILS, OPEN]
    # Not stable: the effect of staying below the bound is negative.
    assert [verdicts["shifts", model] for model in MODELS] == [FAILS, HOLDS, OPEN]
    assert set(table[table.claim == "gain"].finetuning) == {"lora_attention, λ = 0.5"}


def test_a_value_that_is_not_a_number_is_refused():
    visual = probe_tests("shift", "center_crop")
    with pytest.raises(ValueError, match="gain, yes, set: the value or its interval is not a number"):
        broken = tradeoff().assign(relative_instability_low=np.nan)
        claims_table(probe_tests("generic_cue", "panorama"), visual, broken)


def test_replicates_are_counted_by_their_verdict(table):
    other = table.assign(value=table.value + 1, verdict=HOLDS)
    compared = compare_replicates(table, [other, table[table.claim == "cues"]])
    row = compared[(compared.claim == "cues") & (compared.model == "no")].iloc[0]
    assert (row.replicates, row.same_verdict, row.minimum, row.maximum) == (3, 2, -0.5, 0.5)
    words = readme_claims(compared)  # of the claims that all three runs measured
    assert len(words) == 3 and words["set"].iloc[1] == "-0.50 [-0.60, -0.40], does not hold (2 of 3)"


def test_machines_are_compared_claim_by_claim(table):
    rounded = table.assign(value=table.value + [0.1, -0.3, 0.2] * 4)
    other = table.assign(value=table.value + 1, verdict=HOLDS)
    machines = compare_machines(table, [rounded, other])
    assert list(machines.paper) == list(PAPER.values()) and (machines.n_values == 6).all()
    assert (machines.max_abs_diff == 1).all() and np.allclose(machines.median_abs_diff, (0.3 + 1) / 2)
    cues = machines.iloc[0]
    assert cues.verdicts_changed == 2 and np.isclose(cues.median_half_width, 0.1)  # one holds in both
    assert compare_machines(table, []).empty
