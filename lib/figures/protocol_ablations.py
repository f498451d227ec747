"""What each detail of the protocol does to the scores."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clip360.figures.style import COLUMN, image_set_label
from clip360.names import BASELINE

NAMES = {
    "other_activation": "QuickGELU instead of GELU",
    "no_floor": "no clamp at 0",
    "four_decimals": "four decimals",
    "copies_jpeg_95": "shifted copies as JPEG, quality 95",
    "copies_jpeg_75": "shifted copies as JPEG, quality 75",
    "tensor_resize": "resized as tensors",
    "by_order": "paired by order",
    "multi_view": "four perspective views",
    "squash": "view: squash",
    "letterbox": "view: letterbox",
    "wide": "view: wide input",
}


def ablation_changes(table: pd.DataFrame) -> Figure:
    """Mean absolute change of the score by each ablation over the baseline's bound β, with intervals; logarithmic.

    ``table`` is that of ``stats.protocol_ablations.ablation_table`` for one model; one colour and marker for each image set. Ablations that
    change no score stand below a line, without a mark.
    """
    changed = table[table.ablation != BASELINE]
    largest = changed.groupby("ablation").score_change_of_beta.max().sort_values()
    names = [*largest[largest == 0].index, *largest[largest > 0].index]
    n_unchanged = int((largest == 0).sum())
    figure, axis = plt.subplots(figsize=(COLUMN + 1.2, 0.22 * len(names) + 0.9))
    sets = list(changed.groupby("image_set", sort=False))
    for offset, (image_set, part), marker in zip(np.linspace(0.15, -0.15, len(sets)), sets, "osD^v", strict=False):
        part = part[part.score_change_of_beta > 0]
        place = part.ablation.map(names.index).to_numpy() + offset
        middle = part.score_change_of_beta
        spread = [middle - part.score_change_of_beta_low, part.score_change_of_beta_high - middle]
        label = image_set_label(image_set)
        axis.errorbar(middle, place, xerr=spread, fmt=marker, markersize=3.5, linewidth=0.8, label=label)
    axis.set(xscale="log", xlabel=r"mean change of a score over $\beta$", ylim=(-0.6, len(names) - 0.4))
    for place in range(n_unchanged):
        axis.text(0.02, place, "no score changes", transform=axis.get_yaxis_transform(), va="center", fontsize=7)
    if n_unchanged:
        axis.axhline(n_unchanged - 0.5, color="0.6", linewidth=0.6)
    axis.axvline(1, color="0.3", linestyle=":", linewidth=0.9)
    axis.set_yticks(range(len(names)), [NAMES.get(name, name.replace("_", " ")) for name in names])
    axis.grid(axis="x", color="0.92")
    axis.legend(loc="upper left", frameon=False)
    return figure
