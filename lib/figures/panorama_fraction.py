"""Measures against the fraction of panoramas in the pretraining images."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from clip360.figures.style import PAGE, image_set_label


def fraction_sweep(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Measures against the fraction of panoramas: a thin line for each replicate, their mean thick, a colour for each set.

    ``table`` is that of ``stats.panorama_fraction.fraction_table``; ``panels`` maps its columns to the titles of panels.
    """
    fractions = sorted(table.panorama_fraction.unique())
    figure, axes = plt.subplots(1, len(panels), squeeze=False, figsize=(PAGE, 2.4))
    for axis, (column, title) in zip(axes[0], panels.items(), strict=True):
        for colour, (image_set, part) in zip(
            sns.color_palette("colorblind"), table.groupby("image_set", sort=False), strict=False
        ):
            for _, replicate in part.groupby("replicate"):
                places = [fractions.index(fraction) for fraction in replicate.panorama_fraction]
                axis.plot(places, replicate[column], color=colour, linewidth=0.6)
            mean = part.groupby("panorama_fraction")[column].mean()[fractions]
            label = image_set_label(image_set)
            axis.plot(range(len(fractions)), mean, "o-", color=colour, linewidth=1.8, markersize=4, label=label)
        axis.set_xticks(range(len(fractions)), [f"{100 * fraction:g}" for fraction in fractions])
        axis.set(xlabel="panoramas, %", title=title)
        axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure
