"""Averaging and recommendation on scores whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest

from clip360.stats.view_comparison import compare_views, recommend_views
from tests.stats.long_tables import measurements

RESAMPLING = {"seed": 0, "n_bootstrap": 100}


def test_averaging_removes_what_varies_with_the_direction_and_keeps_the_rest():
    n = 20
    base = np.random.default_rng(5).normal(50, 5, n)
    conditions = {}
    for shift in np.arange(8) / 8:
        conditions["clip_score", "shift", shift] = base + np.cos(2 * np.pi * shift)
        conditions["image_to_text_rank", "shift", shift] = np.full(n, 1.0 if shift < 0.5 else 2.0)
    conditions |= {("image_to_text_rank", "averaged", count): np.ones(n) for count in (2.0, 4.0)}
    table = compare_views(measurements(conditions, view="wide"), {"wide": 2.0}, **RESAMPLING)
    table = table.set_index("n_shifts_averaged")
    assert table.sd.tolist() == pytest.approx([math.sqrt(0.5), 0, 0], abs=1e-9)
    assert table.recall.tolist() == [0.5, 1, 1] and table.passes.tolist() == [2, 4, 8]
    assert table.relative_sd[1] == pytest.approx(math.sqrt(0.5) / base.std())


def test_the_recommended_view_is_the_most_stable_that_loses_no_recall():
    views = [
        ("center_crop", 1, 1, 0.9, 0.5),
        ("squash", 1, 1, 0.4, 0.5),
        ("letterbox", 1, 1, 0.1, 0.2),
        ("wide", 2, 4, 0.3, 0.6),
    ]
    table = pd.DataFrame(views, columns=["view", "n_shifts_averaged", "passes", "relative_sd", "recall"])
    table = table.assign(model="m", image_set="set", recall_high=table.recall + 0.05)
    assert recommend_views(table, [1, 2, 4])["view"].tolist() == ["squash", "squash", "wide"]
