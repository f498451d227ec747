"""The textual probe's tests against scipy, closed forms and brute force."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from clip360.stats.inference import Inference
from clip360.stats.textual_probe import (
    contrast_table,
    cue_contrasts,
    cue_gains,
    cue_test,
    cue_tests,
    extreme_images,
    summarise_cues,
)

GENERIC = ("photo", "image")
POLICY = Inference(alpha=0.01, n_bootstrap=100, seed=0)


def cue_measurements(n: int = 40, *, gain: float = 2.0, seed: int = 0) -> pd.DataFrame:
    """Two models, of which only the second gains from the format cue, and only on panoramas."""
    rng, rows = np.random.default_rng(seed), []
    for model in ("unaffected", "sensitive"):
        for view in ("panorama", "perspective"):
            for condition, cue in (("format_cue", "360 photo"), *(("generic_cue", word) for word in GENERIC)):
                lift = gain if (model, view, condition) == ("sensitive", "panorama", "format_cue") else 0.0
                for image in range(n):
                    row = {"model": model, "image_set": "set", "image": f"{image}.jpg", "measure": "clip_score"}
                    row |= {"condition": condition, "level": np.nan, "cue": cue, "view": view, "template": "usual"}
                    rows.append(row | {"value": 30 + lift + rng.normal()})
    return pd.DataFrame(rows)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(10, 60), lift=st.floats(-1, 1))
def test_the_cue_test_is_scipys_and_its_effect_is_the_sum_of_signed_ranks(seed, n, lift):
    rng = np.random.default_rng(seed)
    s, s_u = rng.normal(lift, 1, n).round(1), rng.normal(0, 1, n).round(1)  # rounded: ties and zeros
    test = cue_test(s, s_u, inference=POLICY)
    expected = wilcoxon(s, s_u, alternative="greater", zero_method="wilcox", correction=False)
    assert (test["W"], test["p"]) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)
    difference = (s - s_u)[s != s_u]
    ranks = [sum(np.abs(difference) < abs(d)) + (sum(np.abs(difference) == abs(d)) + 1) / 2 for d in difference]
    assert test["effect"] == pytest.approx(np.dot(np.sign(difference), ranks) / sum(ranks))
    assert -1 <= test["effect_low"] <= test["effect_high"] <= 1


def test_a_common_offset_changes_nothing_and_swapping_reverses_the_effect():
    rng = np.random.default_rng(1)
    s, s_u = rng.normal(0.3, 1, 50), rng.normal(0, 1, 50)
    test = cue_test(s, s_u, inference=POLICY)
    offset = cue_test(s + 8, s_u + 8, inference=POLICY)
    assert offset["effect"] == pytest.approx(test["effect"]) and offset["p"] == pytest.approx(test["p"])
    assert cue_test(s_u, s, inference=POLICY)["effect"] == pytest.approx(-test["effect"])


def test_the_interval_covers_and_the_level_is_kept():
    """300 samples without any effect: 1 % are rejected at alpha = 0.01 and 99 % of intervals contain 0, within 3 sigma."""
    rng = np.random.default_rng(2)
    pairs = [rng.normal(size=(2, 40)) for _ in range(300)]
    tests = [cue_test(s, s_u, inference=Inference(0.01, 300, k)) for k, (s, s_u) in enumerate(pairs)]
    assert sum(test["p"] < 0.01 for test in tests) <= 300 * 0.01 + 3 * (300 * 0.01) ** 0.5
    covered = np.mean([test["effect_low"] <= 0 <= test["effect_high"] for test in tests])
    assert covered > 0.99 - 3 * (0.99 * 0.01 / 300) ** 0.5 - 0.02


def test_all_tests_of_a_table_are_made_and_corrected():
    tests = cue_tests(cue_measurements(), inference=POLICY)
    assert len(tests) == 2 * 2 * len(GENERIC)
    for _, part in tests.groupby(["model", "image_set", "view"]):
        ordered, largest, holm = sorted(part.p), 0.0, {}
        for k, p in enumerate(ordered):  # Holm by hand
            largest = max(largest, min(1.0, (len(ordered) - k) * p))
            holm[p] = largest
        assert part.p_holm.tolist() == pytest.approx([holm[p] for p in part.p])
    rejected = tests[tests.reject]
    assert set(zip(rejected.model, rejected["view"], strict=True)) == {("sensitive", "panorama")}


def test_the_contrast_finds_the_gain_that_only_panoramas_have():
    scores = cue_measurements()
    contrasts = cue_contrasts(scores, inference=POLICY)
    assert contrasts.set_index("model").reject.to_dict() == {"unaffected": False, "sensitive": True}
    pivot = scores[scores.model == "sensitive"].pivot(index="image", columns=["view", "cue"], values="value")
    gain = {view: pivot[view, "360 photo"] - pivot[view, "image"] for view in ("panorama", "perspective")}
    row = contrasts[(contrasts.model == "sensitive") & (contrasts.generic_cue == "image")].iloc[0]
    assert row["contrast"] == pytest.approx((gain["panorama"] - gain["perspective"]).median())
    assert row.p == pytest.approx(wilcoxon(gain["panorama"], gain["perspective"], correction=False).pvalue)
    kinds = contrast_table(cue_gains(scores), ["model", "image_set", "kind"], inference=POLICY)
    summary = summarise_cues(cue_tests(scores, inference=POLICY), contrasts, kinds).set_index("model")
    assert summary.above_control.to_dict() == {"unaffected": "0 of 2", "sensitive": "2 of 2"}
    assert summary.rejected.to_dict() == {"unaffected": "0 of 2", "sensitive": "2 of 2"}


def test_pairs_are_made_by_name_not_by_order():
    scores = cue_measurements()
    shuffled = scores.sample(frac=1, random_state=0)
    keys = ["model", "image_set", "view", "generic_cue"]
    one, other = (cue_tests(table, inference=POLICY).set_index(keys).sort_index() for table in (scores, shuffled))
    pd.testing.assert_series_equal(one.p, other.p)


def test_only_clip_scores_are_paired():
    scores = cue_measurements()
    ranks = scores.assign(measure="image_to_text_rank", value=1.0)
    both = pd.concat([ranks, scores], ignore_index=True)
    pd.testing.assert_frame_equal(cue_tests(both, inference=POLICY), cue_tests(scores, inference=POLICY))


def test_unusable_scores_are_refused():
    scores, test = cue_measurements(), {"inference": POLICY}
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
        cue_contrasts(both, inference=POLICY)


def held_out_measurements(n: int = 30) -> pd.DataFrame:
    """One model with format cues, two parts of them, and two other templates, each text with a score of its own."""
    rng, rows = np.random.default_rng(3), []
    texts = [("format_cue", "360 photo", "usual"), *(("generic_cue", word, "usual") for word in GENERIC)]
    texts += [("parts", word, "usual") for word in ("360", "panorama")]
    for template in ("first", "second"):
        texts.append(("paraphrase", "360 photo", template))
        texts += [("paraphrase_generic", word, template) for word in GENERIC]
    for k, (condition, cue, template) in enumerate(texts):
        for view in ("panorama", "perspective"):
            for image in range(n):
                row = {"model": "m", "image_set": "set", "image": f"{image:02d}.jpg", "measure": "clip_score"}
                row |= {"condition": condition, "level": np.nan, "cue": cue, "view": view, "template": template}
                lift = 9 if condition == "format_cue" and view == "panorama" else 0
                rows.append(row | {"value": 30 + k + lift + rng.normal()})
    return pd.DataFrame(rows)


def test_held_out_cues_are_compared_with_the_generic_cues_of_their_own_template():
    scores = held_out_measurements().sample(frac=1, random_state=0)
    s = scores.set_index(["condition", "cue", "template", "view", "image"]).value
    gains = cue_gains(scores).set_index(["kind", "cue", "image"])

    def gain(condition: str, cue: str, template: str, generic: str, image: str) -> float:
        panorama, perspective = (
            s[condition, cue, template, view, image] - np.mean([s[generic, g, template, view, image] for g in GENERIC])
            for view in ("panorama", "perspective")
        )
        return panorama - perspective

    for image in ("00.jpg", "17.jpg"):
        for word in ("360", "panorama"):
            expected = gain("parts", word, "usual", "generic_cue", image)
            assert gains.excess["parts", word, image] == pytest.approx(expected)
        for template in ("first", "second"):
            expected = gain("paraphrase", "360 photo", template, "paraphrase_generic", image)
            assert gains.excess["paraphrase", template, image] == pytest.approx(expected)


def test_contrast_of_a_kind_is_the_median_over_images_and_relative_to_that_of_the_format_cues():
    gains = cue_gains(held_out_measurements())
    kinds = contrast_table(gains, ["model", "image_set", "kind"], inference=POLICY).set_index("kind")
    parts = gains[gains.kind == "parts"].groupby("image").excess.mean()
    own = gains[gains.kind == "format"].set_index("image").excess
    assert kinds.contrast["parts"] == pytest.approx(parts.median())
    assert kinds.relative["parts"] == pytest.approx(parts.median() / own.median())
    assert kinds.relative["format"] == kinds.relative_low["format"] == 1
    without_effect = gains.assign(excess=np.where(gains.kind == "format", gains.excess - 9, gains.excess))
    assert contrast_table(without_effect, ["model", "image_set", "kind"], inference=POLICY).relative.isna().all()
    extremes = extreme_images(gains, "m", "set", count=2)
    ordered = gains[gains.kind == "format"].sort_values("panorama").panorama.tolist()
    assert extremes.panorama.tolist() == [ordered[-1], ordered[-2], ordered[1], ordered[0]]


def test_an_image_without_its_control_is_refused():
    scores = held_out_measurements()
    lacking = scores[~((scores["view"] == "perspective") & (scores.image == "03.jpg") & (scores.condition == "parts"))]
    with pytest.raises(ValueError, match=r"03\.jpg lacks a score under 360"):
        cue_gains(lacking)
