"""What each detail of the protocol does to the scores."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from clip360.figures.layout import add_note, add_set_legend, draw_estimates, panels
from clip360.figures.style import COLUMN, MARKERS, set_colours
from clip360.names import BASELINE

NAMES = {
    "other_activation": "QuickGELU instead of GELU",
    "no_floor": "no clamp at 0",
    "four_decimals": "four decimals",
    "copies_jpeg_95": "shifted copies as JPEG, quality 95",
    "copies_jpeg_75": "shifted copies as JPEG, quality 75",
    "tensor_resize": "resized as tensors",
    "by_order": "paired by order",
    "multi_view": "view: four perspective views",
    "squash": "view: squash",
    "letterbox": "view: letterbox",
    "wide": "view: wide input",
}
ROW = 0.2  # inches


def ablation_changes(table: pd.DataFrame, *, interval: str) -> Figure:
    """Mean absolute change of the score by each ablation over the baseline's bound β, with intervals; logarithmic.

    ``table`` is that of ``stats.protocol_ablations.ablation_table`` for one model; one colour and marker for each image set. Ablations that
    change no score stand below a line, without a mark. Filled marks: the interval lies on one side of β. ``interval`` says in words what it is.
    """
    changed = table[table.ablation != BASELINE]
    largest = changed.groupby("ablation").score_change_of_beta.max().sort_values(kind="stable")
    names = [*largest[largest == 0].index, *largest[largest > 0].index]
    n_unchanged = int((largest == 0).sum())
    sets, size = list(changed.image_set.unique()), {"left": 1.75, "top": 0.3, "bottom": 0.6, "width": COLUMN + 1.4}
    figure, ((axis,),) = panels(1, 1, heights=[ROW * max(len(names), 1)], **size)
    colours = set_colours(sets)
    axis.axvspan(1, 1e3, color="0.95", linewidth=0, zorder=0)
    for k, (image_set, marker) in enumerate(zip(sets, MARKERS, strict=False)):
        part = changed[(changed.image_set == image_set) & (changed.score_change_of_beta > 0)]
        for row in part.itertuples():
            middle, low, high = (getattr(row, f"score_change_of_beta{end}") for end in ("", "_low", "_high"))
            place = names.index(row.ablation) - 0.34 * (k - (len(sets) - 1) / 2)
            style = {"decided": not low <= 1 <= high, "marker": marker}
            draw_estimates(axis, middle, place, (low, high), colours[image_set], **style)
    end = 2 * changed.score_change_of_beta_high.max()
    axis.set(xscale="log", xlabel=r"mean change of a score over the bound $\beta$", ylim=(-0.6, len(names) - 0.4))
    axis.set_xlim(right=np.nanmax([end, 2]))  # there may be no ablation
    for place in range(n_unchanged):
        axis.text(0.02, place, "no score changes", transform=axis.get_yaxis_transform(), va="center", fontsize=7)
    if n_unchanged:
        axis.axhline(n_unchanged - 0.5, color="0.6", linewidth=0.6)
    axis.axvline(1, color="black", linestyle="--", linewidth=0.8)
    axis.set_yticks(range(len(names)), [NAMES.get(name, name.replace("_", " ")) for name in names])
    axis.xaxis.set_major_locator(LogLocator(numticks=9))
    axis.xaxis.set_minor_locator(NullLocator())
    add_set_legend(figure, sets, x=0.65)
    add_note(figure, r"filled: the interval lies on one side of $\beta$", interval)
    return figure
