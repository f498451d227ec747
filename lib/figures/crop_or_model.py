"""Views of a panorama: what they show, how their scores vary over shifts, under which bound, and at which cost."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor

from clip360.figures.style import PAGE, PART_COLOURS, image_set_label, model_label, view_label


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


def bounds_by_control(verdicts: pd.DataFrame) -> Figure:
    """Median change at the worst shift (bar) and β by each control (marks), by view; one panel for each model and set.

    ``verdicts`` is the table of ``stats.stability_bounds.verdicts_by_control``.
    """
    models, sets = verdicts.model.unique(), verdicts.image_set.unique()
    figure, axes = plt.subplots(
        len(sets), len(models), sharey=True, sharex=True, squeeze=False, figsize=(PAGE, 1.7 * len(sets) + 0.7)
    )
    controls, views = verdicts.control.unique(), list(verdicts["view"].unique())
    colours = sns.color_palette("colorblind", len(controls))
    for (row, image_set), (column, model) in ((r, c) for r in enumerate(sets) for c in enumerate(models)):
        axis = axes[row, column]
        part = verdicts[(verdicts.model == model) & (verdicts.image_set == image_set)]
        worst = part.drop_duplicates("view").set_index("view").loc[views]
        axis.barh(range(len(views)), worst.worst, color="0.85", height=0.6)
        for colour, control, marker in zip(colours, controls, "osD^vP", strict=False):
            bound = part[part.control == control]
            place = [views.index(view) for view in bound["view"]]
            axis.plot(bound.beta, place, marker, color=colour, markersize=3.5, label=control.replace("_", " "))
        axis.set_yticks(range(len(views)), [view_label(view).replace(", ", ",\n") for view in views])
        if row == 0:
            axis.set_title(model_label(model))
        if row == len(sets) - 1:
            axis.set_xlabel(r"points: $\beta$ (marks), worst shift (bar)")
        if column == len(models) - 1:
            place = {"xycoords": "axes fraction", "rotation": 270, "va": "center"}
            axis.annotate(image_set_label(image_set), (1.02, 0.5), **place)
    axes[0, 0].invert_yaxis()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def view_plane(table: pd.DataFrame) -> Figure:
    """Relative sd of the score against recall for every view and number of averaged shifts; larger marks take more passes.

    ``table`` is that of ``stats.view_comparison.compare_views`` for one model.
    """
    sets = table.image_set.unique()
    figure, axes = plt.subplots(1, len(sets), sharey=True, squeeze=False, figsize=(PAGE, 2.6))
    colours = dict(zip(table["view"].unique(), sns.color_palette("colorblind"), strict=False))
    for axis, image_set in zip(axes[0], sets, strict=True):
        for view, part in table[table.image_set == image_set].groupby("view", sort=False):
            axis.plot(part.relative_sd, part.recall, color=colours[view], linewidth=0.6, zorder=1)
            axis.scatter(
                part.relative_sd,
                part.recall,
                s=10 * np.sqrt(part.passes),
                color=colours[view],
                label=view_label(view),
                zorder=2,
            )
        axis.set(title=image_set_label(image_set), xlabel="relative sd: over directions / over panoramas")
    axes[0, 0].set_ylabel("R@1, image to text")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure
