"""The statistics against scipy, closed forms and brute force."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from clip360.stats.textual_probe import control_contrast, keyword_test, summarise_cues, textual_tests

GENERIC = ("photo", "image")


def score_table(n: int = 40, *, gain: float = 2.0, seed: int = 0) -> pd.DataFrame:
    """Two models, of which only the second gains from the format cue, and only on panoramas."""
    rng, rows = np.random.default_rng(seed), []
    for model in ("deaf", "keen"):
        for view in ("panorama", "perspective"):
            for condition, value in (("cue", "360 photo"), *(("generic", word) for word in GENERIC)):
                lift = gain if (model, view, condition) == ("keen", "panorama", "cue") else 0.0
                for image in range(n):
                    row = {"model": model, "image_set": "set", "image": f"{image}.jpg", "condition": condition}
                    rows.append(row | {"value": value, "view": view, "score": 30 + lift + rng.normal()})
    return pd.DataFrame(rows)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(10, 60), lift=st.floats(-1, 1))
def test_the_keyword_test_is_scipys_and_its_effect_is_the_sum_of_signed_ranks(seed, n, lift):
    rng = np.random.default_rng(seed)
    s, s_u = rng.normal(lift, 1, n).round(1), rng.normal(0, 1, n).round(1)  # rounded: ties and zeros
    test = keyword_test(s, s_u, alpha=0.01, seed=0, draws=50)
    expected = wilcoxon(s, s_u, alternative="greater", zero_method="wilcox", correction=False)
    assert (test["W"], test["p"]) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)
    difference = (s - s_u)[s != s_u]
    ranks = [sum(np.abs(difference) < abs(d)) + (sum(np.abs(difference) == abs(d)) + 1) / 2 for d in difference]
    assert test["effect"] == pytest.approx(np.dot(np.sign(difference), ranks) / sum(ranks))
    assert -1 <= test["ci_low"] <= test["ci_high"] <= 1


def test_a_common_shift_changes_nothing_and_swapping_turns_the_effect():
    rng = np.random.default_rng(1)
    s, s_u = rng.normal(0.3, 1, 50), rng.normal(0, 1, 50)
    test = keyword_test(s, s_u, alpha=0.01, seed=0, draws=100)
    moved = keyword_test(s + 8, s_u + 8, alpha=0.01, seed=0, draws=100)
    assert moved["effect"] == pytest.approx(test["effect"]) and moved["p"] == pytest.approx(test["p"])
    assert keyword_test(s_u, s, alpha=0.01, seed=0, draws=100)["effect"] == pytest.approx(-test["effect"])


def test_the_interval_covers_and_the_null_is_kept():
    """300 samples without any effect: 1 % are rejected at alpha = 0.01 and 95 % of intervals hold 0, within 3 sigma."""
    rng = np.random.default_rng(2)
    tests = [keyword_test(rng.normal(size=40), rng.normal(size=40), alpha=0.01, seed=k, draws=300) for k in range(300)]
    assert sum(test["p"] < 0.01 for test in tests) <= 300 * 0.01 + 3 * (300 * 0.01) ** 0.5
    covered = np.mean([test["ci_low"] <= 0 <= test["ci_high"] for test in tests])
    assert 0.95 - 3 * (0.95 * 0.05 / 300) ** 0.5 - 0.02 < covered < 0.995


def test_all_tests_of_a_table_are_made_and_corrected():
    tests = textual_tests(score_table(), alpha=0.01, seed=0, draws=100)
    assert len(tests) == 2 * 2 * len(GENERIC)
    for _, part in tests.groupby("view"):
        ordered, largest, holm = sorted(part.p), 0.0, {}
        for k, p in enumerate(ordered):  # Holm by hand
            largest = max(largest, min(1.0, (len(ordered) - k) * p))
            holm[p] = largest
        assert part.p_holm.tolist() == pytest.approx([holm[p] for p in part.p])
    rejected = tests[tests.reject]
    assert set(zip(rejected.model, rejected["view"], strict=True)) == {("keen", "panorama")}


def test_the_contrast_finds_the_gain_that_only_panoramas_have():
    scores = score_table()
    contrasts = control_contrast(scores, alpha=0.01, seed=0, draws=100)
    assert contrasts.set_index("model").reject.to_dict() == {"deaf": False, "keen": True}
    pivot = scores[scores.model == "keen"].pivot(index=["image"], columns=["view", "value"], values="score")
    gain = {view: pivot[view, "360 photo"] - pivot[view, "image"] for view in ("panorama", "perspective")}
    row = contrasts[(contrasts.model == "keen") & (contrasts.generic == "image")].iloc[0]
    assert row["median"] == pytest.approx((gain["panorama"] - gain["perspective"]).median())
    assert row.p == pytest.approx(wilcoxon(gain["panorama"], gain["perspective"], correction=False).pvalue)
    summary = summarise_cues(textual_tests(scores, alpha=0.01, seed=0, draws=100), contrasts).set_index("model")
    assert summary.rejected.to_dict() == {"deaf": "0 of 2", "keen": "2 of 2"}


def test_pairs_are_made_by_name_not_by_order():
    scores = score_table()
    shuffled = scores.sample(frac=1, random_state=0)
    keys = ["model", "image_set", "view", "generic"]
    one, other = (
        textual_tests(table, alpha=0.01, seed=0, draws=50).set_index(keys).sort_index() for table in (scores, shuffled)
    )
    pd.testing.assert_series_equal(one.p, other.p)


def test_unusable_scores_are_refused():
    scores = score_table()
    with pytest.raises(ValueError, match="3.jpg has a score under one cue but not"):
        textual_tests(
            scores.drop(scores.index[(scores.image == "3.jpg") & (scores.condition == "cue")]),
            alpha=0.01,
            seed=0,
            draws=9,
        )
    with pytest.raises(ValueError, match="has two scores under one condition"):
        textual_tests(pd.concat([scores, scores.head(1)]), alpha=0.01, seed=0, draws=9)
    with pytest.raises(ValueError, match="pairs of scores are not numbers"):
        textual_tests(scores.assign(score=np.nan), alpha=0.01, seed=0, draws=9)
    with pytest.raises(ValueError, match="all pairs of scores are equal"):
        textual_tests(scores.assign(score=1.0), alpha=0.01, seed=0, draws=9)
    with pytest.raises(ValueError, match="6 images are too few"):
        textual_tests(score_table(6), alpha=0.01, seed=0, draws=9)
