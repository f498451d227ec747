"""β by control, and the verdicts under each, on changes whose sizes are known."""

import numpy as np
import pandas as pd
import pytest

from clip360.stats.inference import Inference
from clip360.stats.stability_bounds import CROP_MIRROR, bound_comparison, control_changes, verdicts_by_control
from clip360.stats.visual_probe import stability_bound
from tests.stats.long_tables import measurements

INFERENCE = Inference(alpha=0.01, n_bootstrap=100, seed=0)
SHIFTS = [0.25, 0.5, 0.75]


def test_bounds_come_from_their_controls_and_decide_the_verdicts():
    rng, n = np.random.default_rng(2), 30
    s = rng.normal(50, 5, n)
    small, large = rng.normal(0, 0.1, n), rng.normal(0, 4, n)
    changes = {("shift", 0.0): 0 * s, ("mirror", 0.0): large, ("jpeg", 95.0): small}
    changes |= {("shift", shift): rng.normal(0, 1, n) for shift in SHIFTS}
    conditions = {("clip_score", *key): s + change for key, change in changes.items()}
    conditions |= {("image_to_text_rank", "shift", shift): np.ones(n) for shift in (0.0, 0.25)}  # to be left aside
    squashed = measurements(conditions, view="squash", in_window_shift=0.0)
    conditions["clip_score", "mirror", 0.0] = s + 0.2 * large
    cropped = measurements(conditions, view="center_crop", in_window_shift=0.0)
    table = pd.concat([squashed, cropped])
    by_control = control_changes(table, ["mirror", "jpeg", "rendered_again"])  # the last was not measured
    verdicts = verdicts_by_control(table, by_control, shifts=SHIFTS, inference=INFERENCE)
    whole = verdicts[verdicts["view"] == "squash"].set_index("control")
    assert whole.beta["mirror"] == pytest.approx(stability_bound(s, s + large))
    assert whole.beta["jpeg"] == pytest.approx(stability_bound(s, s + small))
    assert whole.beta[CROP_MIRROR] == pytest.approx(stability_bound(s, s + 0.2 * large))
    assert whole.stable.to_dict() == {"mirror": 3, "jpeg": 0, CROP_MIRROR: 3}
    assert whole.of_beta_high["mirror"] < 1 < whole.of_beta_low["jpeg"]
    assert whole.beta_to_mirror.to_dict() == pytest.approx(
        {"mirror": 1, "jpeg": whole.beta["jpeg"] / whole.beta["mirror"], CROP_MIRROR: 0.2}
    )
    assert whole.beta_to_mirror_high[CROP_MIRROR] == pytest.approx(0.2)  # the same resamples of both
    words = bound_comparison(verdicts).iloc[0]
    assert words["stable, Holm"] == words["stable, uncorrected"] == "3 of 3"
