"""Figures of views with long names of image sets, few views, and ratios far from 1."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from clip360.figures.crop_or_model import ratios_by_control, variance_bars
from clip360.figures.style import set_style

SETS = ["poly_haven_outdoors_2k", "commons_rooms_and_halls"]


@pytest.fixture(autouse=True)
def style():
    set_style()


@pytest.mark.parametrize("n_views", [2, 5])
def test_names_of_image_sets_cover_neither_each_other_nor_names_of_views(n_views):
    rows = pd.MultiIndex.from_product([["vit_b_32_openai"], SETS, [f"view {k}" for k in range(n_views)]])
    table = rows.to_frame(index=False, name=["model", "image_set", "view"])
    table = table.assign(sd=2.0, sd_low=1.0, sd_high=3.0, content_sd=1.0, position_sd=1.5)
    figure = variance_bars(table, interval="")
    figure.canvas.draw()
    names = [axis.yaxis.label for axis in figure.axes] + figure.axes[0].get_yticklabels()
    boxes = [name.get_window_extent() for name in names]
    assert [name.get_text().replace("\n", " ") for name in names[:2]] == [name.replace("_", " ") for name in SETS]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(box.x0 >= 0 and box.y0 >= 0 for box in boxes) and boxes[0].y1 <= figure.bbox.height


@pytest.mark.parametrize("ratios", [[1.0, 2.0], [0.02, 90.0], [0.0, 1.0], [0.05, np.inf], [1e300, 3.0]])
def test_every_mark_lies_on_the_axis(ratios):
    table = pd.DataFrame({"model": "small", "image_set": SETS, "control": "mirror", "of_beta": ratios})
    table = table.assign(of_beta_low=0.5 * table.of_beta, of_beta_high=2 * table.of_beta)
    figure = ratios_by_control(table, interval="")
    (axis,) = figure.axes
    low, high = axis.get_xlim()
    marks = [line for line in axis.lines if line.get_marker() not in ("", "None")]
    for mark, ratio in zip(marks, ratios, strict=True):
        (x,) = mark.get_xdata()
        assert low <= x <= high
        if low <= ratio <= high:
            assert x == ratio and mark.get_marker() not in "<>"
        else:
            assert mark.get_marker() == ("<" if ratio < 1 else ">") and x == (low if ratio < 1 else high)
    assert ("arrows" in figure.get_supxlabel()) == any(not low <= ratio <= high for ratio in ratios)
