"""β by control, and the verdicts under each, on changes whose sizes are known."""

import numpy as np
import pytest

from clip360.stats.stability_bounds import ANY_CONTROL, beta_by_control, bound_comparison, verdicts_by_control
from clip360.stats.visual_probe import stability_bound
from tests.stats.long_tables import measurements

RESAMPLING = {"seed": 0, "n_bootstrap": 100}


def test_bounds_come_from_their_controls_and_decide_the_verdicts():
    rng, n = np.random.default_rng(2), 30
    s = rng.normal(50, 5, n)
    small, large = rng.normal(0, 0.1, n), rng.normal(0, 4, n)
    changes = {("shift", 0.0): 0 * s, ("mirror", 0.0): large, ("jpeg", 95.0): small}
    changes |= {("shift", shift): rng.normal(0, 1, n) for shift in (0.25, 0.5, 0.75)}
    conditions = {("clip_score", *key): s + change for key, change in changes.items()}
    conditions |= {("image_to_text_rank", "shift", shift): np.ones(n) for shift in (0.0, 0.25)}  # to be left aside
    table = measurements(conditions, view="squash", in_window_shift=0.0)
    bounds = beta_by_control(table, ["mirror", "jpeg"], **RESAMPLING)
    beta = bounds.set_index("control").beta
    assert beta["mirror"] == pytest.approx(stability_bound(s, s + large))
    assert beta["jpeg"] == pytest.approx(stability_bound(s, s + small))
    largest = np.maximum(np.abs(small), np.abs(large))
    assert beta[ANY_CONTROL] == pytest.approx(stability_bound(largest, np.zeros(n)))
    verdicts = verdicts_by_control(table, bounds, shifts=[0.25, 0.5, 0.75], alpha=0.01, **RESAMPLING)
    assert verdicts.set_index("control").stable.to_dict() == {"mirror": 3, "jpeg": 0, ANY_CONTROL: 3}
    words = bound_comparison(verdicts).iloc[0]
    assert words["stable, mirror"] == words["stable, any control"] == "3 of 3"
