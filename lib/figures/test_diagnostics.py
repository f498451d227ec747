"""Normal Q-Q plots of the differences that both probes test."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import beta, norm

from clip360.figures.layout import add_note, solved_model_panels
from clip360.figures.style import MARKERS, image_set_label, model_label, set_colours

LABELS = {"textual": "$s - s^u$, standardised", "visual": r"$|s - s^\delta|$, standardised"}


def qq_plots(pairs: pd.DataFrame, *, alpha: float) -> Figure:
    """Standardised differences s - s^u and |s - s^δ| against normal quantiles: a row for each experiment, a column for each model.

    ``pairs`` holds one comparison of each experiment, in the columns of ``stats.test_diagnostics.paired_scores``. Grey: where normal
    differences lie with probability 1 - α, point by point (quantiles of order statistics are beta quantiles).
    """
    experiments, models, sets = (pairs[name].unique() for name in ("experiment", "model", "image_set"))
    colours, titles = set_colours(sets), [model_label(model) for model in models]
    placed = solved_model_panels(titles, len(experiments), height=1.8, rest=0.6, sharex="all", sharey="row")
    figure, axes = placed.figure, placed.axes
    for (row, experiment), (column, model) in ((r, c) for r in enumerate(experiments) for c in enumerate(models)):
        axis = axes[row, column]
        of_panel = pairs[(pairs.experiment == experiment) & (pairs.model == model)]
        for image_set, marker in zip(sets, MARKERS, strict=False):
            part = of_panel[of_panel.image_set == image_set]
            difference = np.sort(part.x - part.y if experiment == "textual" else (part.x - part.y).abs())
            n = len(difference)
            place = norm.ppf((np.arange(1, n + 1) - 0.5) / n)
            standard = (difference - difference.mean()) / difference.std(ddof=1)
            style = {"color": colours[image_set], "markersize": 2.2, "markeredgewidth": 0}
            axis.plot(place, standard, marker, label=image_set_label(image_set), **style)
        low, high = (
            norm.ppf(beta.ppf(q, np.arange(1, n + 1), np.arange(n, 0, -1))) for q in (alpha / 2, 1 - alpha / 2)
        )
        axis.fill_between(place, low, high, color="0.85", linewidth=0, zorder=0)
        axis.axline((0, 0), slope=1, color="0.4", linewidth=0.7, zorder=0)
        if row == len(experiments) - 1:
            axis.set_xlabel("normal quantile")
    for line, experiment in zip(placed.firsts, experiments, strict=True):
        for axis in line:
            axis.set_ylabel(LABELS[experiment])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), markerscale=2)
    add_note(figure, f"grey: where {100 * (1 - alpha):g} % of normal differences lie")
    return figure
