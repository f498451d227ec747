"""Every adaptation method on one plane."""

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


def methods_plane(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """The remaining instability, relative to the frozen model's, against a loss; one panel for each loss.

    ``table`` is that of ``stats.adaptation_methods.over_replicates``; bars reach from the smallest to the largest mean of
    any replicate, the line is the Pareto front, a mark's number is its row. ``panels`` maps columns to labels. Larger
    marks take more passes; the frozen model lies at (1, 0).
    """
    figure, axes = plt.subplots(1, len(panels), squeeze=False, figsize=(PAGE, 3.4))
    styles = dict(zip(FAMILIES, zip(MARKERS, sns.color_palette("colorblind"), strict=False), strict=True))
    for axis, (column, label) in zip(axes[0], panels.items(), strict=True):
        front = table[pareto(table, lower="relative_instability", higher=column)].sort_values("relative_instability")
        axis.plot(front.relative_instability, front[column], color="0.6", linewidth=1, zorder=1)
        axis.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        axis.axvline(1, color="0.85", linewidth=0.8, zorder=0)
        for number, row in enumerate(table.itertuples(), 1):
            marker, colour = styles[row.method_family]
            x, y = row.relative_instability, getattr(row, column)
            axis.errorbar(
                x,
                y,
                xerr=[[x - row.relative_instability_low], [row.relative_instability_high - x]],
                yerr=[[y - getattr(row, f"{column}_low")], [getattr(row, f"{column}_high") - y]],
                fmt=marker,
                color=colour,
                markersize=5 * row.passes**0.25,
                linewidth=0.6,
                zorder=2,
            )
            axis.annotate(str(number), (x, y), xytext=(3, 3), textcoords="offset points", fontsize=6)
        axis.set_xscale("symlog", linthresh=LINEAR, linscale=0.4)  # methods can be exactly invariant
        axis.set(
            xlabel="change under shifts, relative to frozen", ylabel=label, xticks=[0, 0.1, 1], xlim=(-0.015, None)
        )
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    handles = [
        plt.Line2D([], [], color=colour, marker=marker, linestyle="", markersize=5, label=name)
        for name, (marker, colour) in styles.items()
        if name in set(table.method_family)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure
