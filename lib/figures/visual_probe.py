"""Figures of the visual shift probe."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, MultipleLocator
from torch import Tensor

from clip360.figures.style import PAGE, VERDICT_COLOURS, VERDICT_MARKERS, image_set_label, model_label

CHANGE = r"$|s - s^\delta|$"
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
        axis.set_title(rf"$\delta = {shift:g}\,W$:  $s = {score:.1f}$", pad=2)
    return figure


def shift_curves(curve: pd.DataFrame, tests: pd.DataFrame) -> Figure:
    """Median and quartiles of |s - s^δ| against the shift, β, and the tested shifts marked by their verdict.

    ``curve`` is the table of ``stats.visual_probe.shift_curve``, ``tests`` that of ``shift_tests``.
    """
    models, sets = curve.model.unique(), curve.image_set.unique()
    figure, axes = plt.subplots(
        len(sets), len(models), sharex=True, sharey=True, squeeze=False, figsize=(PAGE, 1.7 * len(sets) + 0.4)
    )
    for row, image_set in enumerate(sets):
        for column, model in enumerate(models):
            axis = axes[row, column]
            line = curve[(curve.model == model) & (curve.image_set == image_set)]
            line = pd.concat([line, line.head(1).assign(shift=1.0)])  # a shift by the whole width is none
            tested = tests[(tests.model == model) & (tests.image_set == image_set)]
            axis.fill_between(360 * line["shift"], line.low, line.high, color="0.88", linewidth=0)
            axis.plot(360 * line["shift"], line["median"], color="0.35", linewidth=1)
            axis.axhline(tested.beta.iloc[0], color="black", linestyle="--", linewidth=0.8)
            for verdict, colour in VERDICT_COLOURS.items():
                part = tested[tested.stable == verdict]
                marker = VERDICT_MARKERS[verdict]
                axis.plot(360 * part["shift"], part.median_abs_diff, marker, color=colour, markersize=4)
            axis.xaxis.set_major_locator(MultipleLocator(90))
            axis.set_xlim(0, 360)
            if row == 0:
                axis.set_title(model_label(model))
            if column == 0:
                axis.set_ylabel(f"{image_set_label(image_set)}\n{CHANGE}, points")
            if row == len(sets) - 1:
                axis.set_xlabel("shift, degrees")
    axes[0, 0].set_ylim(bottom=0)
    handles = [
        plt.Line2D([], [], color="0.35", linewidth=1, label="median (quartiles grey)"),
        plt.Line2D([], [], color="black", linestyle="--", linewidth=0.8, label=r"bound $\beta$"),
    ]
    handles += [
        plt.Line2D(
            [], [], color=colour, marker=VERDICT_MARKERS[verdict], linestyle="", markersize=4, label=VERDICTS[verdict]
        )
        for verdict, colour in VERDICT_COLOURS.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    return figure


def shift_polar(curve: pd.DataFrame, bounds: pd.Series) -> Figure:
    """Median |s - s^δ| in units of β around the circle of shifts.

    ``curve`` is the table of ``stats.visual_probe.shift_curve``, ``bounds`` gives β by (model, image_set).
    """
    sets = curve.image_set.unique()
    figure, axes = plt.subplots(
        1, len(sets), squeeze=False, figsize=(PAGE, PAGE / 2), subplot_kw={"projection": "polar"}, sharey=True
    )
    around = np.linspace(0, 2 * np.pi, 181)
    for axis, image_set in zip(axes[0], sets, strict=True):
        for (model, line_style), part in zip(
            zip(curve.model.unique(), ("-", "--", ":", "-.", (0, (1, 1))) * 9, strict=False),
            (part for _, part in curve[curve.image_set == image_set].groupby("model", sort=False)),
            strict=True,
        ):
            closed = pd.concat([part, part.head(1)])
            ratio = closed["median"] / bounds[model, image_set]
            axis.plot(2 * np.pi * closed["shift"], ratio, line_style, label=model_label(model), linewidth=1.3)
        axis.plot(around, np.ones_like(around), color="black", linewidth=0.8)
        axis.set_theta_zero_location("N")
        axis.set_theta_direction(-1)
        axis.set_title(image_set_label(image_set))
        axis.set_rlabel_position(22)
        axis.tick_params(pad=-2)
        axis.yaxis.set_major_locator(MaxNLocator(4))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure
