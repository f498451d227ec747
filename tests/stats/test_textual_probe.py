"""The textual probe's tests against scipy, closed forms and brute force."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from clip360.stats.textual_probe import cue_contrasts, cue_test, cue_tests, summarise_cues

GENERIC = ("photo", "image")
RESAMPLING = {"seed": 0, "n_bootstrap": 100}


def cue_measurements(n: int = 40, *, gain: float = 2.0, seed: int = 0) -> pd.DataFrame:
    """Two models, of which only the second gains from the format cue, and only on panoramas."""
    rng, rows = np.random.default_rng(seed), []
    for model in ("unaffected", "sensitive"):
        for view in ("panorama", "perspective"):
            for condition, cue in (("format_cue", "360 photo"), *(("generic_cue", word) for word in GENERIC)):
                lift = gain if (model, view, condition) == ("sensitive", "panorama", "format_cue") else 0.0
                for image in range(n):
                    row = {"model": model, "image_set": "set", "image": f"{image}.jpg", "measure": "clip_score"}
                    row |= {"condition": condition, "level": np.nan, "cue": cue, "view": view}
                    rows.append(row | {"value": 30 + lift + rng.normal()})
    return pd.DataFrame(rows)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(10, 60), lift=st.floats(-1, 1))
def test_the_cue_test_is_scipys_and_its_effect_is_the_sum_of_signed_ranks(seed, n, lift):
    rng = np.random.default_rng(seed)
    s, s_u = rng.normal(lift, 1, n).round(1), rng.normal(0, 1, n).round(1)  # rounded: ties and zeros
    test = cue_test(s, s_u, alpha=0.01, seed=0, n_bootstrap=50)
    expected = wilcoxon(s, s_u, alternative="greater", zero_method="wilcox", correction=False)
    assert (test["W"], test["p"]) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)
    difference = (s - s_u)[s != s_u]
    ranks = [sum(np.abs(difference) < abs(d)) + (sum(np.abs(difference) == abs(d)) + 1) / 2 for d in difference]
    assert test["effect"] == pytest.approx(np.dot(np.sign(difference), ranks) / sum(ranks))
    assert -1 <= test["ci_low"] <= test["ci_high"] <= 1


def test_a_common_offset_changes_nothing_and_swapping_reverses_the_effect():
    rng = np.random.default_rng(1)
    s, s_u = rng.normal(0.3, 1, 50), rng.normal(0, 1, 50)
    test = cue_test(s, s_u, alpha=0.01, **RESAMPLING)
    offset = cue_test(s + 8, s_u + 8, alpha=0.01, **RESAMPLING)
    assert offset["effect"] == pytest.approx(test["effect"]) and offset["p"] == pytest.approx(test["p"])
    assert cue_test(s_u, s, alpha=0.01, **RESAMPLING)["effect"] == pytest.approx(-test["effect"])


def test_the_interval_covers_and_the_level_is_kept():
    """300 samples without any effect: 1 % are rejected at alpha = 0.01 and 95 % of intervals contain 0, within 3 sigma."""
    rng = np.random.default_rng(2)
    pairs = [rng.normal(size=(2, 40)) for _ in range(300)]
    tests = [cue_test(s, s_u, alpha=0.01, seed=k, n_bootstrap=300) for k, (s, s_u) in enumerate(pairs)]
    assert sum(test["p"] < 0.01 for test in tests) <= 300 * 0.01 + 3 * (300 * 0.01) ** 0.5
    covered = np.mean([test["ci_low"] <= 0 <= test["ci_high"] for test in tests])
    assert 0.95 - 3 * (0.95 * 0.05 / 300) ** 0.5 - 0.02 < covered < 0.995


def test_all_tests_of_a_table_are_made_and_corrected():
    tests = cue_tests(cue_measurements(), alpha=0.01, **RESAMPLING)
    assert len(tests) == 2 * 2 * len(GENERIC)
    for _, part in tests.groupby("view"):
        ordered, largest, holm = sorted(part.p), 0.0, {}
        for k, p in enumerate(ordered):  # Holm by hand
            largest = max(largest, min(1.0, (len(ordered) - k) * p))
            holm[p] = largest
        assert part.p_holm.tolist() == pytest.approx([holm[p] for p in part.p])
    rejected = tests[tests.reject]
    assert set(zip(rejected.model, rejected["view"], strict=True)) == {("sensitive", "panorama")}


def test_the_contrast_finds_the_gain_that_only_panoramas_have():
    scores = cue_measurements()
    contrasts = cue_contrasts(scores, alpha=0.01, **RESAMPLING)
    assert contrasts.set_index("model").reject.to_dict() == {"unaffected": False, "sensitive": True}
    pivot = scores[scores.model == "sensitive"].pivot(index="image", columns=["view", "cue"], values="value")
    gain = {view: pivot[view, "360 photo"] - pivot[view, "image"] for view in ("panorama", "perspective")}
    row = contrasts[(contrasts.model == "sensitive") & (contrasts.generic_cue == "image")].iloc[0]
    assert row["median"] == pytest.approx((gain["panorama"] - gain["perspective"]).median())
    assert row.p == pytest.approx(wilcoxon(gain["panorama"], gain["perspective"], correction=False).pvalue)
    summary = summarise_cues(cue_tests(scores, alpha=0.01, **RESAMPLING), contrasts).set_index("model")
    assert summary.rejected.to_dict() == {"unaffected": "0 of 2", "sensitive": "2 of 2"}


def test_pairs_are_made_by_name_not_by_order():
    scores = cue_measurements()
    shuffled = scores.sample(frac=1, random_state=0)
    keys = ["model", "image_set", "view", "generic_cue"]
    one, other = (
        cue_tests(table, alpha=0.01, seed=0, n_bootstrap=50).set_index(keys).sort_index()
        for table in (scores, shuffled)
    )
    pd.testing.assert_series_equal(one.p, other.p)


def test_only_clip_scores_are_paired():
    scores = cue_measurements()
    ranks = scores.assign(measure="image_to_text_rank", value=1.0)
    both = pd.concat([ranks, scores], ignore_index=True)
    pd.testing.assert_frame_equal(
        cue_tests(both, alpha=0.01, **RESAMPLING), cue_tests(scores, alpha=0.01, **RESAMPLING)
    )


def test_unusable_scores_are_refused():
    scores, test = cue_measurements(), {"alpha": 0.01, "seed": 0, "n_bootstrap": 9}
    with pytest.raises(ValueError, match=r"3\.jpg has a score under one cue but not"):
        cue_tests(scores[~((scores.image == "3.jpg") & (scores.condition == "format_cue"))], **test)
    with pytest.raises(ValueError, match="has two scores under one condition"):
        cue_tests(pd.concat([scores, scores.head(1)]), **test)
    with pytest.raises(ValueError, match="pairs of scores are not numbers"):
        cue_tests(scores.assign(value=np.nan), **test)
    with pytest.raises(
        ValueError, match="every score with the format cue equals that with the generic cue: check the cues"
    ):
        cue_tests(scores.assign(value=1.0), **test)
    with pytest.raises(ValueError, match="6 images are too few"):
        cue_tests(cue_measurements(6), **test)


def test_a_gain_that_the_control_shares_is_not_called_equal_scores():
    scores = cue_measurements()
    panoramas = scores[scores["view"] == "panorama"]
    both = pd.concat([panoramas, panoramas.assign(view="perspective")])
    with pytest.raises(ValueError, match="gains as much on the panoramas as on their perspective views"):
        cue_contrasts(both, alpha=0.01, **RESAMPLING)
