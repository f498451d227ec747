"""Claims are judged by the interval of the mean over replicates; each verdict, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from clip360.figures.findings import findings_text
from clip360.stats.claims import HOLDS, REFUTED, UNDECIDED, Claim, judge, judge_elsewhere
from clip360.stats.inference import Inference
from clip360.stats.replicates import over_replicates

INFERENCE = Inference(alpha=0.01, n_bootstrap=10, seed=0)
CLAIM = Claim("gain", "Cues gain", "tests", "gain", "points", where="view == 'panorama'", above=0)


def table(*gains: float, width: float = 0.1) -> pd.DataFrame:
    """One row for each image set, and one that the claim does not speak of."""
    rows = [
        {
            "model": "m",
            "image_set": f"set{k}",
            "view": "panorama",
            "gain": gain,
            "gain_low": gain - width,
            "gain_high": gain + width,
        }
        for k, gain in enumerate(gains)
    ]
    return pd.DataFrame([*rows, {**rows[0], "view": "perspective", "gain": -9.0}])


def verdict(*tables: pd.DataFrame, claim: Claim = CLAIM) -> str:
    return judge([claim], {"tests": tables}, inference=INFERENCE).verdict.unique().item()


def test_interval_over_replicates_excludes_a_number_where_a_t_test_rejects_it():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.normal(rng.uniform(-2, 2), 1, size=5)
        tables = [pd.DataFrame({"model": ["m"], "value": [value]}) for value in values]
        row = over_replicates(tables, ["model"], inference=INFERENCE).iloc[0]
        excluded = row.mean_low > 0 or row.mean_high < 0
        assert excluded == (ttest_1samp(values, 0).pvalue < INFERENCE.alpha)
        assert row["mean"] == pytest.approx(values.mean()) and row.spread == pytest.approx(values.std(ddof=1))


@pytest.mark.parametrize(
    ("gains", "expected"),
    [((1.0, 2.0), HOLDS), ((1.0, 0.05), UNDECIDED), ((1.0, -1.0), REFUTED), ((0.05, -1.0), REFUTED)],
)
def test_a_claim_holds_in_all_its_rows_and_one_of_them_refutes_it(gains, expected):
    assert verdict(table(*gains)) == expected


def test_replicates_decide_whatever_this_run_says():
    replicates = [table(1.0 + k / 10, 2.0 + k / 10) for k in range(5)]
    assert verdict(table(-1.0, 2.0), *replicates) == HOLDS
    assert verdict(table(1.0, 2.0), *(table(k - 2.0, 2.0) for k in range(5))) == UNDECIDED
    assert verdict(table(1.0, 2.0), *(table(-1.0 - k / 10, 2.0 + k / 10) for k in range(5))) == REFUTED


def test_a_claim_between_two_numbers_is_refuted_on_either_side():
    claim = Claim("none", "No effect", "tests", "gain", "points", where="view == 'panorama'", above=-0.5, below=0.5)
    assert verdict(table(0.1), claim=claim) == HOLDS and verdict(table(0.45), claim=claim) == UNDECIDED
    assert verdict(table(1.0), claim=claim) == REFUTED == verdict(table(-1.0), claim=claim)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"column": "loss"}, "has no column loss, loss_low, loss_high"),
        ({"where": ""}, "rows of tests differ in more than model, image_set"),
    ],
)
def test_a_claim_that_does_not_fit_its_table_is_refused(changes, message):
    claim = Claim(**{**CLAIM.__dict__, **changes})
    with pytest.raises(ValueError, match=message):
        judge([claim], {"tests": [table(1.0)]}, inference=INFERENCE)


def test_a_claim_about_other_models_is_left_out_and_one_about_replicates_alone_is_not():
    other = Claim("other", "Others gain", "tests", "gain", "points", where="model == 'other'", above=0)
    assert judge([other], {"tests": [table(1.0)]}, inference=INFERENCE).empty
    replicates = [table(1.0 + k / 10).assign(model="other", view="panorama").head(1) for k in range(5)]
    findings = judge([other], {"tests": [table(1.0), *replicates]}, inference=INFERENCE)
    assert (
        findings.verdict.tolist() == [HOLDS]
        and findings.value.isna().all()
        and "this run" not in findings_text(findings)
    )


def test_a_number_that_is_not_defined_decides_nothing_and_a_missing_row_is_refused():
    assert verdict(table(1.0, float("nan"))) == UNDECIDED
    replicates = [table(1.0 + k / 10, 2.0) for k in range(5)]
    assert verdict(table(1.0, 2.0), *replicates[:4], table(1.0, float("nan"))) == UNDECIDED
    with pytest.raises(ValueError, match="1 of 2 replicates have this row"):
        verdict(table(1.0, 2.0), table(1.0, 2.0), table(1.0))


def test_findings_are_written_with_their_numbers_and_verdicts():
    claims = [
        CLAIM,
        Claim("loss", "Cues lose", "tests", "gain", "points", where="view == 'panorama'", below=0, limit="Small sets."),
    ]
    findings = judge(claims, {"tests": [table(1.0), *(table(2.0 + k / 100) for k in range(3))]}, inference=INFERENCE)
    first, second = findings_text(findings).split("\n")
    assert first == "- **Cues gain.** Holds in the mean over 3 replicates (points): m, set0 2 [2, 2.1], this run 1."
    assert "**Refuted**" in second and second.endswith("Small sets.")


def test_claims_are_judged_over_other_runs():
    table = pd.DataFrame({"model": ["a", "b"], "value": [1.0, 1.0], "value_low": 0.9, "value_high": 1.1})
    claims = [
        Claim("positive", "Both are positive", "t", "value", "", by=("model",), above=0.0),
        Claim("small", "Both are small", "t", "value", "", by=("model",), below=5.0),
    ]
    kept = [table.assign(value=table.value + noise) for noise in (-0.01, 0.0, 0.01)]
    findings = judge(claims, {"t": [table, *kept]}, inference=INFERENCE)
    assert set(findings.verdict) == {HOLDS}
    runs = [judge(claims, {"t": [run]}, inference=INFERENCE) for run in kept]
    assert judge_elsewhere(findings, runs, inference=INFERENCE).to_dict() == {"positive": HOLDS, "small": HOLDS}
    runs[0] = runs[0].assign(value=[1.0, -9.0, 1.0, -9.0])  # another machine, where `b` is not as it was
    assert judge_elsewhere(findings, runs, inference=INFERENCE).to_dict() == {"positive": UNDECIDED, "small": UNDECIDED}
