"""The statistics of the probes against scipy, closed forms and brute force."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pingouin as pg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, shapiro, skew, ttest_1samp, wilcoxon

from clip360.stats.inference import Inference
from clip360.stats.signed_rank import minimum_n, required_n
from clip360.stats.stability_ratio import worst_ratios
from clip360.stats.test_diagnostics import (
    decide,
    equivalence_tests,
    normality_tests,
    paired_scores,
    rule_fractions,
    skewness,
    verdicts,
)
from clip360.stats.textual_probe import cue_tests
from clip360.stats.visual_probe import shift_curve, shift_tests, stability_bound, stability_test, summarise_shifts

INFERENCE = Inference(alpha=0.01, n_bootstrap=100, seed=0)
TEST = {"inference": INFERENCE}


def measurements(changes: dict[str, np.ndarray], *, shifts=(0.25, 0.5), flip: float = 4.0, n: int = 60) -> pd.DataFrame:
    """CLIP scores of models whose shifts change the score by given amounts [N], the first shift half as much as the second."""
    rng, parts = np.random.default_rng(3), []
    for model, change in changes.items():
        s = rng.normal(50, 5, n)
        columns = {("shift", 0.0): s, ("mirror", 0.0): s + flip * rng.normal(size=n)}
        columns |= {("shift", shift): s + change * shift / shifts[-1] for shift in shifts}
        for (condition, level), value in columns.items():
            labels = {"model": model, "image_set": "set", "image": [f"{k}.jpg" for k in range(n)]}
            labels |= {"measure": "clip_score", "condition": condition, "level": level, "view": "center_crop"}
            parts.append(pd.DataFrame(labels | {"value": value}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def scores() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    return measurements({"calm": rng.normal(0, 1, 60), "wild": rng.normal(0, 40, 60)})


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(12, 80), scale=st.floats(0.2, 5), beta=st.floats(0.5, 4))
def test_the_stability_test_is_scipys(seed, n, scale, beta):
    rng = np.random.default_rng(seed)
    s, s_shift = rng.normal(60, 5, n), rng.normal(60, 5, n)
    s_shift = s + scale * (s_shift - s) / 5
    test = stability_test(s, s_shift, beta=beta, **TEST)
    expected = wilcoxon(np.abs(s - s_shift) - beta, alternative="less", zero_method="wilcox", correction=False)
    assert (test["W"], test["p"]) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)
    assert test["median_abs_diff"] == pytest.approx(np.median(np.abs(s - s_shift)))
    assert test["median_abs_diff_low"] <= test["median_abs_diff"] <= test["median_abs_diff_high"]
    below = np.abs(s - s_shift) < beta
    assert test["p_sign"] == pytest.approx(sum(math.comb(n, k) for k in range(below.sum(), n + 1)) / 2**n)
    assert (test["effect"] > 0) == (expected.statistic < n * (n + 1) / 4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 100, allow_subnormal=False), min_size=4, max_size=60), st.floats(0.1, 10))
def test_the_bound_is_tukeys_fence_and_scales(changes, factor):
    s, zero = np.array(changes), np.zeros(len(changes))
    if not s.any():
        return
    ordered = np.sort(s)

    def quartile(q: float) -> float:  # by linear interpolation between order statistics
        position = q * (len(ordered) - 1)
        low = math.floor(position)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (position - low) * (ordered[high] - ordered[low])

    expected = quartile(0.75) + 1.5 * (quartile(0.75) - quartile(0.25))
    assert stability_bound(s, zero) == pytest.approx(expected)
    assert stability_bound(factor * s, zero) == pytest.approx(factor * expected)


def test_a_calm_model_is_stable_and_a_wild_one_is_not(scores):
    tests = shift_tests(scores, shifts=[0.25, 0.5], **TEST)
    assert tests.set_index(["model", "shift"]).stable.to_dict() == {
        ("calm", 0.25): True,
        ("calm", 0.5): True,
        ("wild", 0.25): False,
        ("wild", 0.5): False,
    }
    own = scores[scores.model == "wild"].pivot(index="image", columns=["condition", "level"], values="value")
    beta = tests[tests.model == "wild"].beta.iloc[0]
    assert beta == pytest.approx(stability_bound(own["shift", 0.0], own["mirror", 0.0]))
    given_bounds = pd.Series({(model, "set", "center_crop"): 1000.0 for model in ("calm", "wild")})
    assert shift_tests(scores, shifts=[0.5], **TEST, bounds=given_bounds).stable.all()
    ratios = worst_ratios(scores, shifts=[0.25, 0.5], **TEST)
    summary = summarise_shifts(tests, ratios).set_index("model")
    assert summary.stable.to_dict() == {"calm": "2 of 2", "wild": "0 of 2"}
    assert summary.worst_shift.tolist() == [0.5, 0.5]
    curve = shift_curve(scores).set_index(["model", "shift"])
    assert curve.loc[("wild", 0.0), ["low", "median", "high"]].tolist() == [0, 0, 0]
    assert curve.loc[("wild", 0.5), "median"] == pytest.approx(np.median(np.abs(own["shift", 0.0] - own["shift", 0.5])))


def test_the_signed_rank_test_asks_for_more_than_the_sign_test_where_changes_are_skewed():
    """At a true median of 0.9 β and 500 images, of exponential changes."""
    rng, rejected = np.random.default_rng(5), {"p": 0, "p_sign": 0}
    for _ in range(100):
        change = rng.exponential(0.9 / math.log(2), 500)
        test = stability_test(change, np.zeros(500), beta=1.0, inference=replace(INFERENCE, n_bootstrap=2))
        rejected = {name: rejected[name] + (test[name] < 0.01) for name in rejected}
    assert rejected["p"] < 10 < 20 < rejected["p_sign"]


def test_the_required_n_gives_the_power_asked_for():
    """Noether's formula against its definition by brute force, and against simulated tests of that size."""
    rng = np.random.default_rng(6)
    sample = rng.normal(0.4, 1, 400)
    sums = sample[:, None] + sample[None]
    q = (sums > 0)[~np.eye(400, dtype=bool)].mean()
    expected = math.ceil((norm.ppf(0.99) + norm.ppf(0.8)) ** 2 / (3 * (q - 0.5) ** 2))
    n = required_n(sample, alpha=0.01)
    assert n == expected
    found = [wilcoxon(rng.normal(0.4, 1, int(n)), alternative="greater").pvalue < 0.01 for _ in range(400)]
    assert 0.68 < np.mean(found) < 0.9
    assert required_n(-sample, alpha=0.01) == math.inf
    assert required_n(np.ones(30), alpha=0.01) >= minimum_n(0.01)


def test_below_the_minimum_n_nothing_can_be_rejected():
    for alpha, tests in ((0.01, 1), (0.01, 7), (0.05, 42)):
        n = minimum_n(alpha, tests)
        assert wilcoxon(np.arange(1, n + 1), alternative="greater").pvalue * tests < alpha
        assert wilcoxon(np.arange(1, n), alternative="greater").pvalue * tests >= alpha


def test_the_diagnostics_are_scipys_and_rules_differ_where_they_should(scores):
    rng, rows = np.random.default_rng(7), []
    for condition, cue, gain in (("format_cue", "360 photo", 3.0), ("generic_cue", "photo", 0.0)):
        for model in ("calm", "wild"):
            for k in range(60):
                row = {"model": model, "image_set": "set", "image": f"{k}.jpg", "measure": "clip_score"}
                row |= {"condition": condition, "level": math.nan, "view": "panorama"}
                rows.append(row | {"value": 50 + gain + rng.normal(), "cue": cue})
    textual = pd.DataFrame(rows)
    pairs = paired_scores(textual, scores, shifts=[0.25, 0.5])
    assert len(pairs) == 60 * (2 + 4)

    normality = normality_tests(pairs, alpha=0.01)
    one = pairs[(pairs.model == "wild") & (pairs.compared == "0.5")]
    row = normality[(normality.model == "wild") & (normality.compared == "0.5")].iloc[0]
    assert (row.W, row.p) == pytest.approx(tuple(shapiro(np.abs(one.x - one.y))))

    tests = shift_tests(scores, shifts=[0.25, 0.5], **TEST)
    bounds = tests.groupby(["model", "image_set"]).beta.first()
    equivalence = equivalence_tests(pairs, bounds, alpha=0.01)
    row = equivalence[(equivalence.model == "calm") & (equivalence.compared == "0.5")].iloc[0]
    one = pairs[(pairs.model == "calm") & (pairs.compared == "0.5")]
    upper = ttest_1samp(one.x - one.y, row.margin, alternative="less").pvalue
    lower = ttest_1samp(one.x - one.y, -row.margin, alternative="greater").pvalue
    assert row.p == pytest.approx(max(upper, lower))

    same = pairs.assign(y=pairs.y.where(pairs.compared != "0.5", pairs.x))
    for diagnose in (lambda: normality_tests(same, alpha=0.01), lambda: equivalence_tests(same, bounds, alpha=0.01)):
        with pytest.raises(ValueError, match="calm, set: a shift by 0.5 of the width changes no score"):
            diagnose()
    same = pairs.assign(y=pairs.y.where(pairs.compared != "photo", pairs.x))
    with pytest.raises(ValueError, match="calm, set: the cue 'photo' changes no score"):
        normality_tests(same, alpha=0.01)

    table = verdicts(cue_tests(textual, **TEST), tests, equivalence, alpha=0.01)
    assert len(table) == 6 and table.paper.sum() == 4  # both cues, the calm model's shifts
    assert set(table[~table.paper].model) == {"wild"}

    fractions = rule_fractions(table, pairs, bounds, **TEST).set_index(["experiment", "model", "rule"])
    for name, rule in (("rejected", "sign"), ("agrees", "sign"), ("excess", "equivalent")):
        of_calm, of_wild = (fractions.loc[("visual", model, rule)] for model in ("calm", "wild"))
        assert of_calm[name] == {"rejected": 1, "agrees": 1, "excess": 0}[name]
        assert (of_wild[f"{name}_low"] <= of_wild[name]) and (of_wild[name] <= of_wild[f"{name}_high"])
    of_group = skewness(pairs, **TEST).set_index(["experiment", "model"]).loc[("visual", "calm")]
    by_test = [
        skew(np.abs(part.x - part.y))
        for _, part in pairs[(pairs.experiment == "visual") & (pairs.model == "calm")].groupby("compared")
    ]
    assert of_group.skewness == pytest.approx(np.mean(by_test))


@pytest.mark.parametrize("experiment", ["textual", "visual"])
def test_the_rules_of_many_resamples_at_once_are_those_of_scipy_and_pingouin(experiment):
    """Differences with ties and zeros, as in resamples; families of 5 tests."""
    difference = np.random.default_rng(8).normal(0.5, 2, (5, 40, 30)).round()
    decided = decide(difference, experiment, margin=2.0, alpha=0.05)
    for k in range(40):
        family = difference[:, k]
        toward = family if experiment == "textual" else 2 - np.abs(family)
        p = [wilcoxon(x[x != 0], alternative="greater", method="asymptotic", correction=False).pvalue for x in toward]
        p_sign = [binomtest((x > 0).sum(), (x != 0).sum(), alternative="greater").pvalue for x in toward]
        p_tost = [pg.tost(x, 0 * x, bound=2.0, paired=True).pval.iloc[0] for x in family]
        assert decided["paper"][:, k].tolist() == [one < 0.05 for one in p]
        assert decided["sign"][:, k].tolist() == [one < 0.05 for one in p_sign]
        assert decided["holm"][:, k].tolist() == (pg.multicomp(p, method="holm")[1] < 0.05).tolist()
        assert decided["equivalent"][:, k].tolist() == (pg.multicomp(p_tost, method="holm")[1] < 0.05).tolist()


def test_scores_that_cannot_be_tested_are_refused(scores):
    def run(table):
        return shift_tests(table, shifts=[0.25, 0.5], **TEST)

    with pytest.raises(ValueError, match="calm, set, center_crop: 3.jpg lacks a score"):
        run(scores.drop(scores.index[(scores.image == "3.jpg") & (scores.level == 0.5)]))
    with pytest.raises(ValueError, match="calm, set, center_crop: 0.jpg has two scores under shift 0.0"):
        run(pd.concat([scores, scores.head(1)]))
    with pytest.raises(ValueError, match="lacks a score under one shift, or it is not a number"):
        run(scores.assign(value=scores.value.where(scores.image != "7.jpg")))
    with pytest.raises(ValueError, match="every mirrored image has the score of its original"):
        run(scores.assign(value=1.0))
    few = scores[scores.image.isin([f"{k}.jpg" for k in range(7)])]
    with pytest.raises(
        ValueError, match="7 images are too few for 2 signed-rank tests at alpha = 0.01: expected at least 8"
    ):
        run(few)


def test_a_score_that_no_shift_changes_is_stable(scores):
    """As of an encoder that averages over shifts, which is exactly invariant."""
    unshifted = scores[(scores.condition == "shift") & (scores.level == 0)].set_index(["model", "image"]).value
    unchanged = [
        unshifted[row.model, row.image] if row.condition == "shift" else row.value for row in scores.itertuples()
    ]
    tests = shift_tests(scores.assign(value=unchanged), shifts=[0.25, 0.5], **TEST)
    assert tests.stable.all() and (tests.median_abs_diff == 0).all() and (tests.effect == 1).all()
