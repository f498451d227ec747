"""Figures of the visual shift probe."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MultipleLocator
from torch import Tensor

from clip360.figures.layout import add_note, draw_estimates, solved_model_panels
from clip360.figures.style import BAND, BLACK, PAGE, image_set_label, model_colours, model_label

CHANGE = r"$|s - s^\delta|$"
COMPARED = {
    "mirror": {"color": "0.75"},
    "shift": {"histtype": "step", "color": BLACK, "linewidth": 1},
}  # how the changes of ``change_distributions`` are drawn
VERDICTS = {True: "stable", False: "not shown to be stable"}


def shift_strip(panoramas: Sequence[Tensor], shifts: Sequence[float], scores: Sequence[float]) -> Figure:
    """A panorama under shifts, with the part that the centre crop shows framed, each with its score.

    ``panoramas`` are images [3, H, 2H], ``shifts`` fractions of the width, ``scores`` in points.
    """
    columns = -(-len(panoramas) // 2)
    figure, axes = plt.subplots(2, columns, figsize=(PAGE, PAGE / columns + 0.3))
    for axis in axes.flat:
        axis.axis("off")
    for axis, panorama, shift, score in zip(axes.flat, panoramas, shifts, scores, strict=False):
        height = panorama.shape[1]
        axis.imshow(panorama.permute(1, 2, 0).numpy())
        frame = Rectangle((height / 2, 0), height - 1, height - 1, fill=False, edgecolor="white", linewidth=1.2)
        axis.add_patch(frame)
        axis.set_title(f"{360 * shift:g}°: score {score:.1f}", pad=2)
    return figure


def shift_curves(curve: pd.DataFrame, tests: pd.DataFrame, *, interval: str) -> Figure:
    """Median and quartiles of |s - s^δ| against the shift, β, and the tested shifts with intervals, marked by their verdict.

    ``curve`` is the table of ``stats.visual_probe.shift_curve``, ``tests`` that of ``shift_tests``; ``interval`` says in words what its intervals are.
    """
    models, sets = curve.model.unique(), curve.image_set.unique()
    colours = model_colours(models)
    titles = [model_label(model) for model in models]
    placed = solved_model_panels(titles, len(sets), height=1.6, rest=0.5, sharex="all")
    figure, axes = placed.figure, placed.axes
    for (row, image_set), (column, model) in ((r, c) for r in enumerate(sets) for c in enumerate(models)):
        axis = axes[row, column]
        line = curve[(curve.model == model) & (curve.image_set == image_set)]
        line = pd.concat([line, line.head(1).assign(shift=1.0)])  # a shift by the whole width is none
        tested = tests[(tests.model == model) & (tests.image_set == image_set)]
        axis.fill_between(360 * line["shift"], line.low, line.high, color=BAND, linewidth=0)
        axis.plot(360 * line["shift"], line["median"], color=colours[model], linewidth=1)
        beta = tested.beta.iloc[0]
        axis.axhline(beta, color="black", linestyle="--", linewidth=0.8)
        axis.annotate(r"$\beta$", (360, beta), (2, 0), textcoords="offset points", va="center", annotation_clip=False)
        for verdict in VERDICTS:
            part = tested[tested.stable == verdict]
            bounds, style = (part.median_abs_diff_low, part.median_abs_diff_high), {"decided": verdict, "upright": True}
            draw_estimates(axis, part.median_abs_diff, 360 * part["shift"], bounds, colours[model], **style)
        axis.xaxis.set_major_locator(MultipleLocator(90))
        axis.set_xlim(0, 360)
        if column % placed.n_columns == 0:
            axis.set_ylabel(f"{image_set_label(image_set)}\n{CHANGE}, points")
        if row == len(sets) - 1:
            axis.set_xlabel("shift, degrees")
    axes[0, 0].set_ylim(bottom=0)
    handles = [plt.Line2D([], [], color=BLACK, linewidth=1, label="median of the panoramas")]
    handles += [Rectangle((0, 0), 1, 1, color=BAND, label="quartiles")]
    handles += [_legend_mark(verdict) for verdict in VERDICTS]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    add_note(figure, interval)
    return figure


def _legend_mark(verdict: bool) -> plt.Line2D:
    face = BLACK if verdict else "white"
    style = {"color": BLACK, "marker": "o", "mfc": face, "linestyle": "", "markersize": 3.5, "markeredgewidth": 0.8}
    return plt.Line2D([], [], label=VERDICTS[verdict], **style)


def change_distributions(changes: pd.DataFrame, bounds: pd.DataFrame, *, shift_label: str, interval: str) -> Figure:
    """How |s - s_flip|, from which β comes, and |s - s^δ| at one shift are distributed over images; β with its interval.

    ``changes`` is the table of ``stats.stability_ratio.changes_by_control``, ``bounds`` that of ``worst_ratios``; ``shift_label`` names the
    shift, ``interval`` says in words what the interval of β is. Each panel's axis ends at the largest 2 % of changes, which the last bin holds.
    """
    models, sets = changes.model.unique(), changes.image_set.unique()
    placed = solved_model_panels([model_label(model) for model in models], len(sets), height=1.6, rest=0.6)
    figure, axes = placed.figure, placed.axes
    for (row, image_set), (column, model) in ((r, c) for r in enumerate(sets) for c in enumerate(models)):
        axis = axes[row, column]
        part = changes[(changes.model == model) & (changes.image_set == image_set)]
        bound = bounds[(bounds.model == model) & (bounds.image_set == image_set)].iloc[0]
        bins = np.linspace(0, part.change.quantile(0.98), 25)
        for compared, style in COMPARED.items():
            change = part[part.compared == compared].change
            weights = np.full(len(change), 100 / len(change))
            axis.hist(change.clip(upper=bins[-1]), bins, weights=weights, **style)
        axis.axvspan(bound.beta_low, bound.beta_high, color="black", alpha=0.12, linewidth=0)
        axis.axvline(bound.beta, color="black", linestyle="--", linewidth=0.8)
        axis.set_xlim(0, max(bins[-1], bound.beta_high))
        axis.locator_params(axis="x", nbins=5)
        if column % placed.n_columns == 0:
            axis.set_ylabel(f"{image_set_label(image_set)}\n% of panoramas")
        if row == len(sets) - 1:
            axis.set_xlabel("change of the score, points")
    handles = [
        Rectangle((0, 0), 1, 1, color="0.75", label="under a mirror"),
        plt.Line2D([], [], color=BLACK, linewidth=1, label=shift_label),
        plt.Line2D([], [], color="black", linestyle="--", linewidth=0.8, label=r"bound $\beta$"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    add_note(figure, rf"grey band: interval of $\beta$, {interval}")
    return figure
