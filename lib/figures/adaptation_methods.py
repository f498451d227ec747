"""Every road to invariance on one plane."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from clip360.figures.style import PAGE
from clip360.stats.adaptation_methods import FAMILIES
from clip360.stats.tradeoff import pareto

LINEAR = 0.05  # below, the axis is linear
MARKERS = ("X", "o", "s", "^", "D", "*")


def roads_plane(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """What is left of the frozen model's instability against what is lost, one panel for each loss; the line is the front.

    ``table`` is that of ``stats.roads.over_worlds``; bars reach from the least to the most of any world. ``panels`` maps
    columns to labels. Larger marks take more passes; the frozen model stands at (1, 0).
    """
    figure, axes = plt.subplots(1, len(panels), squeeze=False, figsize=(PAGE, 3.4))
    styles = dict(zip(FAMILIES, zip(MARKERS, sns.color_palette("colorblind"), strict=False), strict=True))
    for axis, (column, label) in zip(axes[0], panels.items(), strict=True):
        front = table[pareto(table, lower="ratio", higher=column)].sort_values("ratio")
        axis.plot(front.ratio, front[column], color="0.6", linewidth=1, zorder=1)
        axis.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        axis.axvline(1, color="0.85", linewidth=0.8, zorder=0)
        for number, row in enumerate(table.itertuples(), 1):
            marker, colour = styles[row.family]
            value = getattr(row, column)
            axis.errorbar(
                row.ratio,
                value,
                xerr=[[row.ratio - row.ratio_low], [row.ratio_high - row.ratio]],
                yerr=[[value - getattr(row, f"{column}_low")], [getattr(row, f"{column}_high") - value]],
                fmt=marker,
                color=colour,
                markersize=5 * row.passes**0.25,
                linewidth=0.6,
                zorder=2,
            )
            axis.annotate(str(number), (row.ratio, value), xytext=(3, 3), textcoords="offset points", fontsize=6)
        axis.set_xscale("symlog", linthresh=LINEAR, linscale=0.4)  # for roads that are exactly invariant
        axis.set(xlabel="change under shifts, of the frozen model's", ylabel=label, xticks=[0, 0.1, 1], xlim=(-0.015, None))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    handles = [
        plt.Line2D([], [], color=colour, marker=marker, linestyle="", markersize=5, label=name)
        for name, (marker, colour) in styles.items()
        if name in set(table.family)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure
