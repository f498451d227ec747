"""Every adaptation method against a frozen model: what remains of the instability, and what each capability gains or loses."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from clip360.figures.style import PAGE, method_words
from clip360.stats.adaptation_methods import CAPABILITIES, FAMILIES, INSTABILITY

RATIOS = (0.02, 0.1, 0.3, 1, 3)  # ticks; what is lower, such as 0, is drawn at the first
LOSS = -0.15  # a loss beyond it is drawn there, as a triangle
ROW = 0.19  # inches


def methods_forest(table: pd.DataFrame, *, versus: str, tolerance: float) -> Figure:
    """One row for each method, one panel for each measure: means over replicates with their intervals, in this run where there are none.

    ``table`` is that of ``stats.adaptation_methods.over_replicates``, ``versus`` the frozen model that methods are compared with. The
    ring is this run, a triangle a value beyond the axis. Grey lines mark no change, dashed ones the ``tolerance`` of a loss. Colours are method families; the number
    behind a name is that of its forward passes.
    """
    table = table[(table.versus == versus) & table.measure.isin([INSTABILITY, *CAPABILITIES])]
    panels = [name for name in (INSTABILITY, *CAPABILITIES) if name in set(table.measure)]
    methods = table.drop_duplicates("method").set_index("method")
    heights = {method: -k for k, method in enumerate(methods.index)}
    colours = dict(zip(FAMILIES, sns.color_palette("colorblind"), strict=False))
    size = (PAGE, 0.9 + ROW * len(methods))
    figure, axes = plt.subplots(1, len(panels), sharey=True, squeeze=False, figsize=size)
    for axis, measure in zip(axes[0], panels, strict=True):
        is_ratio = measure == INSTABILITY
        axis.axvline(1 if is_ratio else 0, color="0.75", linewidth=0.8, zorder=0)
        if not is_ratio:
            axis.axvline(-tolerance, color="0.75", linewidth=0.8, linestyle="--", zorder=0)
        for row in table[table.measure == measure].itertuples():
            height, colour = heights[row.method], colours[row.method_family]
            least = RATIOS[0] if is_ratio else LOSS
            numbers = (row.mean_low, row.mean, row.mean_high, row.value)
            low, mean, high, this_run = (max(x, least) for x in numbers)
            axis.plot([low, high], [height, height], color=colour, linewidth=1.2)
            axis.plot(mean, height, "<" if row.mean < least else "o", color=colour, markersize=4)
            if row.replicates:
                ring = {"color": "0.3", "markerfacecolor": "none", "markersize": 3, "markeredgewidth": 0.6}
                axis.plot(this_run, height, "o", **ring)
        if is_ratio:
            axis.set_title("instability ratio\n(log scale)")
        else:
            axis.set_title(measure.replace(" of ", ",\n").removesuffix(" views"))
            axis.set_xlabel("change")
            axis.xaxis.set_major_locator(MaxNLocator(3))
    axes[0, 0].set_xscale("log")
    axes[0, 0].xaxis.set_major_locator(FixedLocator(RATIOS))
    axes[0, 0].xaxis.set_minor_locator(NullLocator())
    axes[0, 0].xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    words = [f"{method_words(name)} ({row.passes:g})" for name, row in methods.iterrows()]
    axes[0, 0].set(yticks=list(heights.values()), yticklabels=words, ylim=(min(heights.values()) - 0.6, 0.6))
    handles = [
        plt.Line2D([], [], color=colours[family], marker="o", markersize=4, label=family)
        for family in methods.method_family.unique()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return figure
