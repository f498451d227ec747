"""Each refusal of the stability test says what is equal, and what to check; other measures are left aside."""

import numpy as np
import pandas as pd
import pytest

from clip360.stats.inference import Inference
from clip360.stats.visual_probe import shift_pivot, shift_tests, stability_bound, stability_test
from tests.stats.long_tables import measurements

TEST = {"inference": Inference(alpha=0.01, n_bootstrap=20, seed=0)}
SCORES = np.linspace(40, 60, 20)
SHIFT, MIRROR = ("clip_score", "shift", 0.5), ("clip_score", "mirror", 0.0)
UNSHIFTED = ("clip_score", "shift", 0.0)


def test_changes_that_all_equal_the_bound_are_told_from_equal_scores():
    with pytest.raises(ValueError, match=r"every change \|s - s\^δ\| equals the bound β = 2"):
        stability_test(SCORES, SCORES + 2, beta=2.0, **TEST)
    with pytest.raises(ValueError, match="every mirrored image has the score of its original"):
        stability_bound(SCORES, SCORES)


def test_an_invariant_encoder_is_stable():
    test = stability_test(SCORES, SCORES, beta=2.0, **TEST)
    assert test["median_abs_diff"] == 0 and test["effect"] == 1 and test["p"] < 0.001


def test_scores_that_are_not_numbers_are_refused():
    missing = np.where(np.arange(20) == 3, np.nan, SCORES)
    with pytest.raises(ValueError, match="1 of 20 pairs of scores are not numbers"):
        stability_test(SCORES, missing, beta=2.0, **TEST)
    table = measurements({UNSHIFTED: SCORES, SHIFT: missing, MIRROR: SCORES + 1}, view="squash")
    with pytest.raises(ValueError, match=r"m, set, squash: 003\.jpg lacks a score under one shift"):
        shift_pivot(table)
    twice = pd.concat([table, table.head(1)])
    with pytest.raises(ValueError, match=r"000\.jpg has two scores under shift 0\.0"):
        shift_pivot(twice)


def test_other_measures_of_the_table_are_left_aside():
    rng = np.random.default_rng(0)
    scores = {UNSHIFTED: SCORES, SHIFT: SCORES + rng.normal(0, 1, 20), MIRROR: SCORES + rng.normal(0, 3, 20)}
    ranks = {("image_to_text_rank", "shift", level): np.ones(20) for level in (0.0, 0.5)}
    one, both = (
        shift_tests(measurements(conditions, view="squash"), shifts=[0.5], **TEST)
        for conditions in (scores, ranks | scores)
    )
    assert one.equals(both)
