"""The ratio of the change at the worst shift to the bound: its interval holds the true one, and its parts are what they say."""

import numpy as np
import pytest
from scipy.stats import halfnorm

from clip360.stats.inference import Inference, largest
from clip360.stats.stability_ratio import (
    changes_by_control,
    ratios_to_bound,
    shift_profile,
    shift_ratios,
    worst_ratios,
)
from tests.stats.long_tables import measurements

INFERENCE = Inference(alpha=0.05, n_bootstrap=400, seed=0)
SCALES = {  # of the changes at seven shifts, in units of the control's
    "equal": [1.5] * 7,
    "one worst": [0.5, 0.7, 1.0, 1.5, 1.0, 0.7, 0.5],
}


@pytest.mark.parametrize("scales", SCALES.values(), ids=list(SCALES))
def test_the_interval_of_the_worst_ratio_holds_the_true_one(scales):
    """In 95 % of 150 samples of 48 images, give or take three standard errors; the percentile interval of the maximum does not."""
    rng = np.random.default_rng(0)
    first, third = halfnorm.ppf([0.25, 0.75])
    truth = max(scales) * halfnorm.median() / (third + 1.5 * (third - first))
    covered = {"largest": 0, "percentiles": 0}
    for _ in range(150):
        common = rng.normal(size=48)
        changes = np.abs(np.array(scales)[:, None] * (common + rng.normal(size=(7, 48))) / np.sqrt(2))
        ratios, resampled = ratios_to_bound(changes, np.abs(rng.normal(size=48)), inference=INFERENCE)
        for name, (low, high) in {
            "largest": list(largest("ratio", ratios, resampled, alpha=INFERENCE.alpha).values())[1:],
            "percentiles": np.percentile(resampled.max(0), [2.5, 97.5]),
        }.items():
            covered[name] += low <= truth <= high
    assert covered["largest"] / 150 > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 150)
    if len(set(scales)) == 1:
        assert covered["percentiles"] / 150 < 0.8


def test_ratios_are_medians_over_the_fence_and_the_interval_knows_that_the_fence_varies():
    rng, n = np.random.default_rng(1), 40
    s, mirror = rng.normal(50, 5, n), rng.normal(0, 3, n)
    steady = np.resize([1.0, -1.0], n)  # its median change is 1 in every resample
    conditions = {("clip_score", "shift", 0.0): s, ("clip_score", "mirror", 0.0): s + mirror}
    conditions |= {("clip_score", "shift", shift): s + shift * 4 * steady for shift in (0.125, 0.5, 0.75)}
    table = measurements(conditions, view="squash")
    ratios = shift_ratios(table, shifts=[0.125, 0.5, 0.75], inference=INFERENCE).set_index("shift")
    fence = np.percentile(np.abs(mirror), 75) * 2.5 - np.percentile(np.abs(mirror), 25) * 1.5
    assert ratios.of_beta.tolist() == pytest.approx([0.5 / fence, 2 / fence, 3 / fence])
    assert (ratios.of_beta_low < 0.9 * ratios.of_beta).all() and (1.1 * ratios.of_beta < ratios.of_beta_high).all()
    row = worst_ratios(table, shifts=[0.125, 0.5, 0.75], inference=INFERENCE).iloc[0]
    assert (row.worst_shift, row.of_beta, row.of_beta_mean) == pytest.approx((0.75, 3 / fence, 5.5 / 3 / fence))
    assert row.of_beta_low < ratios.of_beta_low[0.75] and row.of_beta_high == pytest.approx(ratios.of_beta_high[0.75])
    profile = shift_profile(table, shifts=[0.125, 0.5, 0.75], inference=INFERENCE).iloc[0]
    assert profile.half_to_smallest == profile.half_to_smallest_low == pytest.approx(4)
    changes = changes_by_control(table, 0.5).groupby("compared").change
    assert changes.median().to_dict() == pytest.approx({"mirror": np.median(np.abs(mirror)), "shift": 2})


def test_shifts_between_quarter_turns_are_told_from_quarter_turns():
    s = np.random.default_rng(2).normal(50, 5, 30)
    conditions = {("clip_score", "shift", 0.0): s, ("clip_score", "mirror", 0.0): s + 1}
    conditions |= {("clip_score", "shift", k / 8): s + (3 if k % 2 else 2) for k in range(1, 8)}
    table = measurements(conditions, view="center_crop")
    profile = shift_profile(table, shifts=[k / 8 for k in range(1, 8)], inference=INFERENCE).iloc[0]
    assert profile.between_to_quarters == pytest.approx(1.5) and profile.half_to_smallest == pytest.approx(2 / 3)


def test_a_control_that_changes_nothing_is_refused():
    with pytest.raises(ValueError, match="the control changes no score"):
        ratios_to_bound(np.ones((2, 5)), np.zeros(5), inference=INFERENCE)
