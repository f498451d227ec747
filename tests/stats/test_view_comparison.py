"""Averaging and recommendation on scores whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest

from clip360.stats.inference import Inference
from clip360.stats.view_comparison import compare_views
from tests.stats.long_tables import measurements

RESAMPLING = {"inference": Inference(alpha=0.01, n_bootstrap=100, seed=0)}


def test_averaging_removes_what_varies_with_the_direction_and_keeps_the_rest():
    """The same scores under two views, whose variation differs by a factor of 2 and whose recall by 1 / 4."""
    n = 20
    base = np.random.default_rng(5).normal(50, 5, n)

    def of_view(view: str, amplitude: float, last_hit: float) -> pd.DataFrame:
        conditions = {}
        for shift in np.arange(8) / 8:
            conditions["clip_score", "shift", shift] = base + amplitude * np.cos(2 * np.pi * shift)
            conditions["image_to_text_rank", "shift", shift] = np.full(n, 1.0 if shift < last_hit else 2.0)
        conditions |= {("image_to_text_rank", "averaged", count): np.ones(n) for count in (2.0, 4.0)}
        return measurements(conditions, view=view)

    both = pd.concat([of_view("center_crop", 2, 0.25), of_view("wide", 1, 0.5)])
    table = compare_views(both, {"wide": 2.0, "center_crop": 1.0}, **RESAMPLING)
    table = table[table["view"] == "wide"].set_index("n_shifts_averaged")
    assert table.sd.tolist() == pytest.approx([math.sqrt(0.5), 0, 0], abs=1e-9)
    assert table.recall.tolist() == [0.5, 1, 1] and table.passes.tolist() == [2, 4, 8]
    assert table.relative_sd[1] == pytest.approx(math.sqrt(0.5) / base.std())
    for column in ("sd_to_crop", "relative_sd_to_crop"):
        assert table.loc[1, [column, f"{column}_low", f"{column}_high"]].tolist() == pytest.approx([0.5] * 3)
    assert table.recall_gain.tolist() == [0.25, 0.75, 0.75]
    with pytest.raises(ValueError, match="views are wide: expected center_crop"):
        compare_views(of_view("wide", 1, 0.5), {"wide": 2.0}, **RESAMPLING)
