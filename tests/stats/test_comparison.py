"""Comparisons of generators: against scipy and plain counts, with known winners, and their power by simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clip360.figures.tables import write_table
from clip360.stats.comparison import UNDECIDED, compare, paired_tables
from clip360.stats.inference import Inference
from clip360.stats.two_samples import detectable_difference, rank_test

INFERENCE = Inference(alpha=0.05, n_bootstrap=200, seed=0)


def table(scores, captions=None, images=None, **columns) -> pd.DataFrame:
    """A table of scores, one row for each image."""
    n = len(scores)
    captions = [f"caption {k}" for k in range(n)] if captions is None else captions
    images = [f"{k}.png" for k in range(n)] if images is None else images
    return pd.DataFrame({"image": images, "caption": captions, "score": scores} | columns)


@pytest.fixture
def scores():
    """Three generators: b is better than a by half of what captions differ by, c draws other captions."""
    rng = np.random.default_rng(0)
    difficulty = rng.normal(25, 4, 40)
    a, b = difficulty + rng.normal(0, 1, 40), difficulty + 2 + rng.normal(0, 1, 40)
    c = rng.normal(25, 4, 30)
    return {
        "a": table(a, seam=rng.uniform(3, 4, 40)),
        "b": table(b, seam=rng.uniform(0, 1, 40)).sample(frac=1, random_state=1),
        "c": table(c, captions=[f"other {k}" for k in range(30)], seam=rng.uniform(0, 1, 30)),
    }


def test_pairs_are_found_by_caption_in_any_order(scores):
    result = compare(scores, ["score"], inference=INFERENCE).set_index(["a", "b"])
    assert result.pairing.to_dict() == {("a", "b"): "caption", ("a", "c"): "unpaired", ("b", "c"): "unpaired"}
    a, b, c = (x.set_index("caption").score for x in scores.values())
    row, difference = result.loc["a", "b"], a - b
    assert row.difference == pytest.approx(difference.mean())
    assert row.median_difference == pytest.approx(difference.median())
    assert row.win_rate == (difference > 0).mean()
    assert row.p == pytest.approx(stats.wilcoxon(difference, method="exact").pvalue, rel=0.2)
    assert row.verdict == "b" and row.difference_high < 0 and row.win_rate_high < 0.5
    row = result.loc["a", "c"]
    assert row.difference == pytest.approx(a.mean() - c.mean()) and (row.n_a, row.n_b) == (40, 30)
    assert row.win_rate == pytest.approx(np.mean([x > y for x in a for y in c]))
    assert row.p == pytest.approx(stats.mannwhitneyu(a, c).pvalue)
    assert row.difference_low < row.difference < row.difference_high
    assert row.verdict == UNDECIDED and abs(row.difference) < row.detectable


def test_where_lower_is_better_the_lower_one_wins(scores):
    result = compare(scores, ["seam"], inference=INFERENCE).set_index(["a", "b"])
    assert result.verdict.to_dict() == {("a", "b"): "b", ("a", "c"): "c", ("b", "c"): UNDECIDED}
    assert result.win_rate["a", "b"] == 0 and result.difference["a", "b"] > 0


def test_the_order_of_generators_changes_signs_only(scores):
    forward = compare({name: scores[name] for name in "ac"}, ["score", "seam"], inference=INFERENCE)
    backward = compare({name: scores[name] for name in "ca"}, ["score", "seam"], inference=INFERENCE)
    for column, expected in (("difference", -forward.difference), ("win_rate", 1 - forward.win_rate)):
        assert backward[column].tolist() == pytest.approx(expected.tolist())
    assert backward.verdict.tolist() == forward.verdict.tolist()
    assert backward.p_holm.tolist() == pytest.approx(forward.p_holm.tolist())


def test_holms_correction_covers_all_rows():
    """0.02, 0.02 and 1 become 0.06, 0.06 and 1."""
    x = np.arange(1.0, 8)  # seven positive differences: exact p = 2 / 2^7
    metrics = {"robust": x, "worst": np.zeros(7)}
    generators = {"a": table(x, **metrics), "b": table(np.zeros(7), robust=np.zeros(7), worst=np.zeros(7))}
    result = compare(generators, ["score", "robust", "worst"], inference=INFERENCE)
    assert result.p.tolist() == pytest.approx([2 / 2**7, 2 / 2**7, 1])
    assert result.p_holm.tolist() == pytest.approx([6 / 2**7, 6 / 2**7, 1])
    assert result.verdict.tolist() == ["a", "a", UNDECIDED]


def test_ranks_and_mean_that_disagree_decide_nothing():
    difference = np.r_[np.full(38, 1.0) + np.arange(38) / 100, [-60.0, -60.0]]
    result = compare({"a": table(difference), "b": table(np.zeros(40))}, ["score"], inference=INFERENCE).iloc[0]
    assert result.p_holm < 0.05 and result.difference < 0 < result.rank_effect
    assert result.verdict == UNDECIDED


@pytest.mark.parametrize("paired", [True, False])
def test_the_detectable_difference_is_found_with_80_percent_power(paired):
    rng = np.random.default_rng(1)
    n, m = 30, (30 if paired else 50)
    # Samples with the standard deviations that are drawn from: of single scores, and of their paired differences.
    known_x, known_y = stats.zscore(np.arange(n), ddof=1), stats.zscore(np.arange(m), ddof=1)
    known = (math.sqrt(2) * known_x, np.zeros(n)) if paired else (known_x, known_y)
    difference = detectable_difference(*known, paired=paired, alpha=0.05)
    p = [rank_test(rng.normal(difference, 1, n), rng.normal(0, 1, m), paired=paired)[0] for _ in range(400)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.8, abs=0.06)  # three standard errors


def test_samples_that_are_too_small_to_reject_can_show_no_difference():
    x, y = np.arange(5.0), np.zeros(5)
    assert detectable_difference(x, y, paired=True, alpha=0.05) == math.inf  # the smallest p-value is 2 / 2^5
    assert detectable_difference(np.arange(6.0), np.zeros(6), paired=True, alpha=0.05) < math.inf
    assert math.isnan(detectable_difference(x + 1, x, paired=True, alpha=0.1))  # nothing shows how much they vary
    assert detectable_difference(x[:3], y[:3], paired=False, alpha=0.05) == math.inf  # 2 / 20


def test_what_is_paired():
    captions = ["sea", "sea", "hill", "wood"]
    several = table(range(4), captions=captions)
    assert paired_tables(several, several)[0] == "caption", "each file name has one caption"
    assert paired_tables(several, several.assign(image=list("wxyz")))[0] == "unpaired"
    one = table(range(4))
    assert paired_tables(one, one.assign(image=list("wxyz")))[0] == "caption", "file names may differ"
    pairing, a, b = paired_tables(one, one[1:].assign(score=5))
    assert (pairing, len(a), len(b)) == ("caption", 3, 3) and a.caption.tolist() == b.caption.tolist()
    assert paired_tables(one, one.assign(caption=["caption 0", "x", "y", "z"]))[0] == "unpaired"


def test_tables_that_cannot_be_compared_are_refused():
    good = table([1.0, 2.0])
    for scores, message in (
        ({"a": good}, "1 generators: expected at least 2"),
        ({"a": good, "b": good.drop(columns="score")}, "the scores of b have no column score"),
        ({"a": good, "b": good[:1]}, "b has 1 panoramas"),
        ({"a": good, "b": good.assign(score=np.nan)}, "2 values of score of b are not numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            compare(scores, ["score"], inference=INFERENCE)


def test_the_table_is_written_for_readers(scores, tmp_path):
    write_table(compare(scores, ["score", "seam"], inference=INFERENCE), tmp_path / "comparison")
    text = (tmp_path / "comparison.tex").read_text()
    assert "cannot be decided" in text and (tmp_path / "comparison.md").read_text().count("\n") == 8
