"""Every adaptation method against a frozen model: what remains of the instability, and what each capability gains or loses."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from clip360.figures.layout import add_note, draw_estimates, draw_this_run, interval_words, name_rows, panels
from clip360.figures.style import BLACK, LINE, method_words
from clip360.stats.adaptation_methods import CAPABILITIES, FAMILIES, INSTABILITY

RATIOS = (0.02, 0.1, 0.3, 1, 3)  # ticks; what is lower, such as 0, is drawn at the first
LOSS = -0.15  # a loss beyond it is drawn there, as a triangle
ROW, LEFT = 0.165, 2.05  # inches: height of a row, breadth of the names of rows
WORSE = "0.94"  # the area of losses


def methods_forest(table: pd.DataFrame, *, versus: str, tolerance: float, alpha: float) -> Figure:
    """One row for each method, below the name of its family, one panel for each measure: means over replicates, or this run, with their intervals.

    ``table`` is that of ``stats.adaptation_methods.over_replicates``, ``versus`` the frozen model that methods are compared with; intervals have
    the level 1 - ``alpha``. Grey areas are worse than the frozen model, by more than the ``tolerance`` of a loss for capabilities; a mark whose interval stays out of them
    is filled. A triangle is a value beyond the axis, a grey tick this run beside the mean.
    """
    table = table[(table.versus == versus) & table.measure.isin([INSTABILITY, *CAPABILITIES])]
    measures = [name for name in (INSTABILITY, *CAPABILITIES) if name in set(table.measure)]
    rows, shape = _rows(table), {"left": LEFT, "top": 0.42, "bottom": 0.62, "gaps": (0.12, 0)}
    figure, axes = panels(1, len(measures), heights=[ROW * len(rows)], sharey=True, **shape)
    heights = {method: k for k, (_, method) in enumerate(rows) if method}
    for axis, measure in zip(axes[0], measures, strict=True):
        _panel(axis, table[table.measure == measure], heights, tolerance=tolerance, is_ratio=measure == INSTABILITY)
        title = measure.replace(" of ", " of\n") if measure != INSTABILITY else "instability,\nratio to frozen"
        axis.set_title(title, fontsize=7)
    name_rows(axes[0, 0], [words for words, _ in rows], [not method for _, method in rows], left=LEFT)
    for axis in axes[0]:
        axis.tick_params(axis="y", length=0)
    count = int(table.replicates.max())
    ticks = "tick: this run" if count else ""
    words = "filled: interval outside the grey area", ticks, "triangle: beyond the axis"
    add_note(figure, *words, interval_words(alpha, replicates=count))
    return figure


def _rows(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Rows as (words, method): the name of each family without a method, then its methods."""
    methods, rows = table.drop_duplicates("method"), []
    for family in [name for name in FAMILIES if name in set(methods.method_family)]:
        rows.append((family, ""))
        for row in methods[methods.method_family == family].itertuples():
            passes = f", {row.passes:g} passes" if row.passes > 1 else ""
            rows.append((f"{method_words(row.method)}{passes}", row.method))
    return rows


def _panel(axis: Axes, rows: pd.DataFrame, heights: dict[str, int], *, tolerance: float, is_ratio: bool) -> None:
    none, least = (1, RATIOS[0]) if is_ratio else (0, LOSS)
    for row in rows.itertuples():
        height = heights[row.method]
        low, mean, high, this_run = (max(x, least) for x in (row.mean_low, row.mean, row.mean_high, row.value))
        decided = row.mean_high < 1 if is_ratio else row.mean_low > -tolerance
        marker = "<" if row.mean < least else "o"
        draw_estimates(axis, mean, height, (low, high), BLACK, decided=decided, marker=marker)
        if row.replicates:
            draw_this_run(axis, this_run, height)
    axis.axvline(none, color=LINE, linewidth=0.8, zorder=0)
    if is_ratio:
        axis.set_xscale("log")
        axis.set_xlim(RATIOS[0] / 1.4, RATIOS[-1])
        axis.axvspan(1, RATIOS[-1], color=WORSE, linewidth=0, zorder=-1)
        axis.xaxis.set_major_locator(FixedLocator(RATIOS[:-1]))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    else:
        left = axis.get_xlim()[0]
        axis.axvspan(left, -tolerance, color=WORSE, linewidth=0, zorder=-1)
        axis.set_xlim(left=left)
        axis.set_xlabel("change")
        axis.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
