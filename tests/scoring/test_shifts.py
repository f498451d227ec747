"""The visual probe: shifting on the tensor against files shifted on disk; its statistics against scipy and closed forms."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from scipy.stats import norm, shapiro, ttest_1samp, wilcoxon

from clip360.data.image_set import load_image_set
from clip360.scoring.clip_score import clip_score
from clip360.scoring.embedding import embed_images, embed_texts
from clip360.scoring.shifts import curve, shift_scores, shift_views
from clip360.stats.signed_rank import least_size, needed_size
from clip360.stats.test_diagnostics import equivalence_tests, normality_tests, paired_scores, verdicts
from clip360.stats.textual_probe import textual_tests
from clip360.stats.visual_probe import shift_curve, stability_bound, stability_test, summarise_shifts, visual_tests
from tests.small_clips import small_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return small_clip(tmp_path_factory.mktemp("models") / "small")


def test_scores_equal_those_of_files_shifted_on_disk(clip, tmp_path):
    """Each panorama is shifted, saved without loss, read back by PIL and passed through open_clip's transform alone.

    Scores agree within 1e-4 points: the pictures are the same to the last bit, batching changes the last digits.
    """
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    rows = []
    for k in range(3):
        low = Image.fromarray(rng.integers(0, 256, (8, 16, 3), dtype=np.uint8))
        low.resize((128, 64), Image.Resampling.BICUBIC).save(tmp_path / "images" / f"{k}.png")
        rows.append({"image": f"{k}.png", "caption": f"thing {k}", "cue": "360 photo"})
    pd.DataFrame(rows).to_csv(tmp_path / "captions.csv", index=False)
    pictures = load_image_set(tmp_path)
    views = shift_views(curve(8))
    texts = embed_texts(clip, pictures.texts)
    scores = shift_scores(
        clip, pictures.table, embed_images(clip, pictures.batches(2), views, total=3), texts, image_set="set"
    )
    assert len(scores) == 3 * (1 + 7 + 1)
    for row in scores.itertuples():
        original = Image.open(tmp_path / "images" / row.image)
        if row.condition == "mirror":
            changed = ImageOps.mirror(original)
        else:
            changed = Image.fromarray(np.roll(np.array(original), round(row.value * 128), axis=1))
        changed.save(tmp_path / "changed.png")
        with torch.no_grad():
            image = clip.network.encode_image(
                clip.preprocess(Image.open(tmp_path / "changed.png"))[None], normalize=True
            )
            text = clip.network.encode_text(
                clip.tokenize([f"This is a 360 photo of thing {row.image[0]}"]), normalize=True
            )
        assert row.score == pytest.approx(max(100 * float((image * text).sum()), 0), abs=1e-4)


def score_table(changes: dict[str, np.ndarray], *, shifts=(0.25, 0.5), flip: float = 4.0, n: int = 60) -> pd.DataFrame:
    """Scores of models whose shifts change the score by given amounts [N], the first shift half as much as the second."""
    rng, parts = np.random.default_rng(3), []
    for model, change in changes.items():
        s = rng.normal(50, 5, n)
        columns = {("shift", 0.0): s, ("mirror", 0.0): s + flip * rng.normal(size=n)}
        columns |= {("shift", shift): s + change * shift / shifts[-1] for shift in shifts}
        for (condition, value), score in columns.items():
            labels = {"model": model, "image_set": "set", "image": [f"{k}.jpg" for k in range(n)]}
            parts.append(
                pd.DataFrame(labels | {"condition": condition, "value": value, "view": "center_crop", "score": score})
            )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def scores() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    return score_table({"calm": rng.normal(0, 1, 60), "wild": rng.normal(0, 40, 60)})


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(12, 80), scale=st.floats(0.2, 5), beta=st.floats(0.5, 4))
def test_the_stability_test_is_scipys(seed, n, scale, beta):
    rng = np.random.default_rng(seed)
    s, s_shift = rng.normal(60, 5, n), rng.normal(60, 5, n)
    s_shift = s + scale * (s_shift - s) / 5
    test = stability_test(s, s_shift, beta=beta, alpha=0.01, seed=0, draws=40)
    expected = wilcoxon(np.abs(s - s_shift) - beta, alternative="less", zero_method="wilcox", correction=False)
    assert (test["W"], test["p"]) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)
    assert test["median_abs_diff"] == pytest.approx(np.median(np.abs(s - s_shift)))
    assert test["median_low"] <= test["median_abs_diff"] <= test["median_high"]
    below = np.abs(s - s_shift) < beta
    assert test["p_sign"] == pytest.approx(sum(math.comb(n, k) for k in range(below.sum(), n + 1)) / 2**n)
    assert (test["effect"] > 0) == (expected.statistic < n * (n + 1) / 4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=4, max_size=60), st.floats(0.1, 10))
def test_the_bound_is_tukeys_fence_and_scales(changes, factor):
    s, zero = np.array(changes), np.zeros(len(changes))
    if not s.any():
        return
    ordered = np.sort(s)

    def quartile(q: float) -> float:  # by linear interpolation between order statistics
        place = q * (len(ordered) - 1)
        low = math.floor(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])

    expected = quartile(0.75) + 1.5 * (quartile(0.75) - quartile(0.25))
    assert stability_bound(s, zero) == pytest.approx(expected)
    assert stability_bound(factor * s, zero) == pytest.approx(factor * expected)


def test_a_calm_model_is_stable_and_a_wild_one_is_not(scores):
    tests = visual_tests(scores, shifts=[0.25, 0.5], alpha=0.01, seed=0, draws=100)
    assert tests.set_index(["model", "shift"]).stable.to_dict() == {
        ("calm", 0.25): True,
        ("calm", 0.5): True,
        ("wild", 0.25): False,
        ("wild", 0.5): False,
    }
    own = scores[scores.model == "wild"].pivot(index="image", columns=["condition", "value"], values="score")
    beta = tests[tests.model == "wild"].beta.iloc[0]
    assert beta == pytest.approx(stability_bound(own["shift", 0.0], own["mirror", 0.0]))
    given_bound = pd.Series({(model, "set", "center_crop"): 1000.0 for model in ("calm", "wild")})
    assert visual_tests(scores, shifts=[0.5], alpha=0.01, seed=0, draws=50, bounds=given_bound).stable.all()
    summary = summarise_shifts(tests).set_index("model")
    assert summary.stable.to_dict() == {"calm": "2 of 2", "wild": "0 of 2"}
    assert summary.worst_shift.tolist() == [0.5, 0.5]
    line = shift_curve(scores).set_index(["model", "shift"])
    assert line.loc[("wild", 0.0), ["low", "median", "high"]].tolist() == [0, 0, 0]
    assert line.loc[("wild", 0.5), "median"] == pytest.approx(np.median(np.abs(own["shift", 0.0] - own["shift", 0.5])))


def test_the_signed_rank_test_asks_for_more_than_the_sign_test_where_changes_are_skewed():
    """At a true median of 0.9 β and 500 images, of exponential changes."""
    rng, rejected = np.random.default_rng(5), {"p": 0, "p_sign": 0}
    for _ in range(100):
        change = rng.exponential(0.9 / math.log(2), 500)
        test = stability_test(change, np.zeros(500), beta=1.0, alpha=0.01, seed=0, draws=2)
        rejected = {name: rejected[name] + (test[name] < 0.01) for name in rejected}
    assert rejected["p"] < 10 < 20 < rejected["p_sign"]


def test_the_needed_size_gives_the_power_asked_for():
    """Noether's formula against its definition by brute force, and against simulated tests of that size."""
    rng = np.random.default_rng(6)
    sample = rng.normal(0.4, 1, 400)
    sums = sample[:, None] + sample[None]
    q = (sums > 0)[~np.eye(400, dtype=bool)].mean()
    expected = math.ceil((norm.ppf(0.99) + norm.ppf(0.8)) ** 2 / (3 * (q - 0.5) ** 2))
    n = needed_size(sample, alpha=0.01)
    assert n == expected
    found = [wilcoxon(rng.normal(0.4, 1, int(n)), alternative="greater").pvalue < 0.01 for _ in range(400)]
    assert 0.68 < np.mean(found) < 0.9
    assert needed_size(-sample, alpha=0.01) == math.inf
    assert needed_size(np.ones(30), alpha=0.01) >= least_size(0.01)


def test_below_the_least_size_nothing_can_be_rejected():
    for alpha, tests in ((0.01, 1), (0.01, 7), (0.05, 42)):
        n = least_size(alpha, tests)
        assert wilcoxon(np.arange(1, n + 1), alternative="greater").pvalue * tests < alpha
        assert wilcoxon(np.arange(1, n), alternative="greater").pvalue * tests >= alpha


def test_evidence_is_scipys_and_rules_differ_where_they_should(scores):
    rng, rows = np.random.default_rng(7), []
    for condition, value, lift in (("cue", "360 photo", 3.0), ("generic", "photo", 0.0)):
        for model in ("calm", "wild"):
            for k in range(60):
                row = {"model": model, "image_set": "set", "image": f"{k}.jpg", "condition": condition, "value": value}
                rows.append(row | {"view": "panorama", "score": 50 + lift + rng.normal()})
    textual_scores = pd.DataFrame(rows)
    pairs = paired_scores(textual_scores, scores, shifts=[0.25, 0.5])
    assert len(pairs) == 60 * (2 + 4)

    normality = normality_tests(pairs, alpha=0.01)
    one = pairs[(pairs.model == "wild") & (pairs.compared == "0.5")]
    row = normality[(normality.model == "wild") & (normality.compared == "0.5")].iloc[0]
    assert (row.W, row.p) == pytest.approx(tuple(shapiro(np.abs(one.x - one.y))))

    tests = visual_tests(scores, shifts=[0.25, 0.5], alpha=0.01, seed=0, draws=100)
    bounds = tests.groupby(["model", "image_set"]).beta.first()
    equivalence = equivalence_tests(pairs, bounds, alpha=0.01)
    row = equivalence[(equivalence.model == "calm") & (equivalence.compared == "0.5")].iloc[0]
    one = pairs[(pairs.model == "calm") & (pairs.compared == "0.5")]
    upper = ttest_1samp(one.x - one.y, row.margin, alternative="less").pvalue
    lower = ttest_1samp(one.x - one.y, -row.margin, alternative="greater").pvalue
    assert row.p == pytest.approx(max(upper, lower))

    table = verdicts(textual_tests(textual_scores, alpha=0.01, seed=0, draws=100), tests, equivalence, alpha=0.01)
    assert len(table) == 6 and table.paper.sum() == 4  # both cues, the calm model's shifts
    assert set(table[~table.paper].model) == {"wild"}


def test_scores_that_cannot_be_tested_are_refused(scores):
    def run(table):
        return visual_tests(table, shifts=[0.25, 0.5], alpha=0.01, seed=0, draws=9)

    with pytest.raises(ValueError, match="calm, set, center_crop: 3.jpg lacks a score"):
        run(scores.drop(scores.index[(scores.image == "3.jpg") & (scores.value == 0.5)]))
    with pytest.raises(ValueError, match="calm, set, center_crop: 0.jpg has two scores under shift 0.0"):
        run(pd.concat([scores, scores.head(1)]))
    with pytest.raises(ValueError, match="lacks a score under some shift, or it is not a number"):
        run(scores.assign(score=scores.score.where(scores.image != "7.jpg")))
    with pytest.raises(ValueError, match="all pairs of scores are equal"):
        run(scores.assign(score=1.0))
    few = scores[scores.image.isin([f"{k}.jpg" for k in range(7)])]
    with pytest.raises(
        ValueError, match="7 images are too few for 4 signed-rank tests at alpha = 0.01: expected at least 9"
    ):
        run(few)
    for fault, changes in (("alpha is 2: expected", {"alpha": 2}), ("draws is 0: expected at least 1", {"draws": 0})):
        with pytest.raises(ValueError, match=fault):
            visual_tests(scores, **{"shifts": [0.25, 0.5], "alpha": 0.01, "seed": 0, "draws": 9} | changes)


def test_a_score_that_no_shift_moves_is_stable(scores):
    """As of an encoder that averages over shifts, which is exactly invariant."""
    first = scores[(scores.condition == "shift") & (scores.value == 0)].set_index(["model", "image"]).score
    unmoved = [first[row.model, row.image] if row.condition == "shift" else row.score for row in scores.itertuples()]
    tests = visual_tests(scores.assign(score=unmoved), shifts=[0.25, 0.5], alpha=0.01, seed=0, draws=9)
    assert tests.stable.all() and (tests.median_abs_diff == 0).all() and (tests.effect == 1).all()


def test_another_number_of_threads_moves_no_score_visibly(tmp_path):
    """It stands for another machine: sums of floats in another order. Scores have two digits before the point."""
    clip = small_clip(tmp_path / "clip", width=256, head_width=64, layers=4)
    pictures = torch.randint(256, (48, 3, 64, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    views, threads, scores = shift_views(curve(4)), torch.get_num_threads(), []
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            seen = embed_images(clip, pictures.split(16), views, total=len(pictures))
            read = embed_texts(clip, [f"a text, number {k}" for k in range(len(pictures))])
            scores.append(torch.stack([clip_score(images, read, floor=False) for images in seen.values()]))
    finally:
        torch.set_num_threads(threads)
    assert max((other - scores[0]).abs().max().item() for other in scores[1:]) < 1e-3
