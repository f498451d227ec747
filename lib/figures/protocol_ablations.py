"""What each detail of the protocol does to the scores."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from clip360.figures.style import COLUMN, image_set_label
from clip360.names import BASELINE

EXACT = 1e-6  # points; smaller changes are drawn here


def ablation_changes(table: pd.DataFrame) -> Figure:
    """Mean absolute change of the score by each ablation, interval, logarithmic, with the bound β of the baseline.

    ``table`` is that of ``stats.protocol_ablations.ablation_table`` for one model; one colour and marker for each image set.
    """
    changed = table[table.ablation != BASELINE]
    names = changed.groupby("ablation").score_change.mean().sort_values().index.tolist()
    figure, axis = plt.subplots(figsize=(COLUMN, 0.22 * len(names) + 0.8))
    for (image_set, part), marker in zip(changed.groupby("image_set", sort=False), "osD^v", strict=False):
        place = part.ablation.map(names.index).to_numpy()
        mean = part.score_change.clip(lower=EXACT)
        spread = [mean - part.score_change_low.clip(lower=EXACT), part.score_change_high.clip(lower=EXACT) - mean]
        marks = axis.errorbar(
            mean,
            place,
            xerr=[side.clip(lower=0) for side in spread],
            fmt=marker,
            markersize=3.5,
            linewidth=0.8,
            label=image_set_label(image_set),
        )
        beta = table[(table.ablation == BASELINE) & (table.image_set == image_set)].beta.iloc[0]
        axis.axvline(beta, color=marks[0].get_color(), linestyle=":", linewidth=0.9)
    axis.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axis.set(xscale="log", xlabel=r"mean change, points ($\beta$ dotted)")
    axis.grid(axis="x", color="0.92")
    axis.legend(loc="upper left", frameon=False)
    return figure
