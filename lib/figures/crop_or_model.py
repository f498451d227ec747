"""Views of a panorama: what they show, how their scores vary over shifts, under which bound, and at which cost."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor

from clip360.figures.style import PAGE, PART_COLOURS, image_set_label, model_label, view_label

MODEL_MARKERS = "osD^vPX*h"
RATIO_TICKS = (0.1, 0.3, 1, 3, 10, 30)
CONTROLS = {  # controls in words
    "rendered_again": "rendered again,\nhalf a pixel turned",
    "small_shift": "small shift",
    "jpeg": "JPEG copy",
    "mirror under the centre crop": "mirror, its β\nunder the crop",
}


def view_strip(inputs: Mapping[str, Tensor], notes: Mapping[str, str]) -> Figure:
    """The network's inputs for one panorama, side by side: for each view K images [K, 3, H, W], float in [0, 1].

    ``notes`` gives a line below the name of each view.
    """
    widths = [images.shape[0] * images.shape[3] / images.shape[2] for images in inputs.values()]
    figure, axes = plt.subplots(1, len(inputs), figsize=(PAGE, PAGE / sum(widths) + 0.35), width_ratios=widths)
    for axis, (view, images) in zip(axes, inputs.items(), strict=True):
        axis.imshow(np.concatenate(_with_gaps(images), axis=1))
        axis.set_title(f"{view_label(view)}\n{notes[view]}", fontsize=7)
        axis.axis("off")
    return figure


def _with_gaps(images: Tensor) -> list[np.ndarray]:
    """Images as arrays [H, W, 3] with a white column between two."""
    arrays = [image.permute(1, 2, 0).numpy() for image in images]
    white = np.ones((arrays[0].shape[0], 1, 3))
    return [part for k, array in enumerate(arrays) for part in ([white] if k else []) + [array]]


def variance_bars(table: pd.DataFrame) -> Figure:
    """Variance of the score over shifts by view, stacked from its parts; one panel for each model and image set.

    ``table`` is that of ``stats.variance_decomposition.decompose``.
    """
    models, sets = table.model.unique(), table.image_set.unique()
    figure, axes = plt.subplots(
        len(sets), len(models), sharey="col", sharex=True, squeeze=False, figsize=(PAGE, 1.5 * len(sets) + 0.7)
    )
    for row, image_set in enumerate(sets):
        for column, model in enumerate(models):
            axis = axes[row, column]
            part = table[(table.model == model) & (table.image_set == image_set)]
            names = [view_label(view).replace(" ", "\n").replace("-", "-\n") for view in part["view"]]
            position, content, total = part.position_sd**2, part.content_sd**2, part.sd**2
            axis.bar(names, position, color=PART_COLOURS["position"], width=0.65, label="position (the model's own)")
            axis.bar(names, content, bottom=position, color=PART_COLOURS["content"], width=0.65, label="content")
            axis.errorbar(
                names,
                total,
                yerr=[total - part.sd_low**2, part.sd_high**2 - total],
                fmt="_",
                color="black",
                linewidth=0.8,
                markersize=7,
                label="all shifts, with interval",
            )
            axis.tick_params(axis="x", labelsize=6)
            if row == 0:
                axis.set_title(model_label(model))
        axes[row, 0].set_ylabel(f"{image_set_label(image_set)}\nvariance of $s$, points²")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def ratios_by_control(verdicts: pd.DataFrame) -> Figure:
    """Median change at the worst shift over β, with joint intervals, by control; a panel for each image set, a colour for each model.

    ``verdicts`` is the table of ``stats.stability_bounds.verdicts_by_control`` for one view. Left of 1 a model counts as stable.
    """
    models, sets, controls = verdicts.model.unique(), verdicts.image_set.unique(), list(verdicts.control.unique())
    figure, axes = plt.subplots(
        1, len(sets), sharey=True, sharex=True, squeeze=False, figsize=(PAGE, 0.36 * len(controls) + 0.9)
    )
    colours = sns.color_palette("colorblind", len(models))
    for axis, image_set in zip(axes[0], sets, strict=True):
        for k, (model, colour, marker) in enumerate(zip(models, colours, MODEL_MARKERS, strict=False)):
            part = verdicts[(verdicts.model == model) & (verdicts.image_set == image_set)].set_index("control")
            place = [controls.index(control) + (k - (len(models) - 1) / 2) * 0.22 for control in part.index]
            errors = [part.of_beta - part.of_beta_low, part.of_beta_high - part.of_beta]
            style = {"fmt": marker, "color": colour, "markersize": 3.5, "linewidth": 0.9}
            axis.errorbar(part.of_beta, place, xerr=errors, label=model_label(model), **style)
        axis.axvline(1, color="black", linestyle="--", linewidth=0.8)
        axis.set(title=image_set_label(image_set), xlabel=r"median change at the worst shift / $\beta$", xscale="log")
        axis.set_xticks(RATIO_TICKS, [f"{tick:g}" for tick in RATIO_TICKS])
        axis.minorticks_off()
        axis.set_yticks(range(len(controls)), [CONTROLS.get(control, control) for control in controls])
    axes[0, 0].invert_yaxis()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def view_plane(table: pd.DataFrame) -> Figure:
    """Relative sd of the score against recall, with intervals: each view alone (filled) and averaged over as many shifts as there are (hollow).

    One panel for each model and image set. ``table`` is that of ``stats.view_comparison.compare_views``.
    """
    models, sets = table.model.unique(), table.image_set.unique()
    figure, axes = plt.subplots(
        len(sets), len(models), sharex=True, sharey=True, squeeze=False, figsize=(PAGE, 1.9 * len(sets) + 0.6)
    )
    colours = dict(zip(table["view"].unique(), sns.color_palette("colorblind"), strict=False))
    markers = dict(zip(table["view"].unique(), MODEL_MARKERS, strict=False))
    for (row, image_set), (column, model) in ((r, c) for r in enumerate(sets) for c in enumerate(models)):
        axis = axes[row, column]
        panel = table[(table.model == model) & (table.image_set == image_set)]
        for view, part in panel.groupby("view", sort=False):
            for count in (1, part.n_shifts_averaged.max()):
                point = part[part.n_shifts_averaged == count].iloc[0]
                axis.errorbar(
                    [point.relative_sd],
                    [point.recall],
                    xerr=[[point.relative_sd - point.relative_sd_low], [point.relative_sd_high - point.relative_sd]],
                    yerr=[[point.recall - point.recall_low], [point.recall_high - point.recall]],
                    fmt=markers[view],
                    color=colours[view],
                    markerfacecolor=colours[view] if count == 1 else "white",
                    markersize=4,
                    linewidth=0.6,
                    label=view_label(view) if count == 1 else None,
                )
        axis.set_xlim(left=0)
        if row == 0:
            axis.set_title(model_label(model))
        if column == 0:
            axis.set_ylabel(f"{image_set_label(image_set)}\nR@1, image to text")
        if row == len(sets) - 1:
            axis.set_xlabel("sd over directions / over panoramas")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure
