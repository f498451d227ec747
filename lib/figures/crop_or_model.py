"""Figures of the study of crop and model."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor

from clip360.figures.style import PAGE

CONTENT, OWN = "#0072B2", "#D55E00"


def view_strip(inputs: Mapping[str, Tensor], notes: Mapping[str, str]) -> Figure:
    """What the network reads of one panorama under each view: lists of pictures [K, 3, H, W] in [0, 1], side by side."""
    widths = [pictures.shape[0] * pictures.shape[3] / pictures.shape[2] for pictures in inputs.values()]
    figure, axes = plt.subplots(1, len(inputs), figsize=(PAGE, PAGE / sum(widths) + 0.35), width_ratios=widths)
    for axis, (view, pictures) in zip(axes, inputs.items(), strict=True):
        axis.imshow(np.concatenate(_side_by_side(pictures), axis=1))
        axis.set_title(f"{view.replace('_', ' ')}\n{notes[view]}", fontsize=7)
        axis.axis("off")
    return figure


def _side_by_side(pictures: Tensor) -> list[np.ndarray]:
    """Pictures as arrays [H, W, 3] with a white column between two."""
    arrays = [picture.permute(1, 2, 0).numpy() for picture in pictures]
    white = np.ones((arrays[0].shape[0], 1, 3))
    return [part for k, array in enumerate(arrays) for part in ([white] if k else []) + [array]]


def variance_parts(table: pd.DataFrame) -> Figure:
    """Variance of the score over shifts by view, content and own, as bars; one panel for each model and image set."""
    models, sets = table.model.unique(), table.image_set.unique()
    figure, axes = plt.subplots(
        len(sets), len(models), sharey="col", sharex=True, squeeze=False, figsize=(PAGE, 1.5 * len(sets) + 0.7)
    )
    for row, image_set in enumerate(sets):
        for column, model in enumerate(models):
            axis = axes[row, column]
            part = table[(table.model == model) & (table.image_set == image_set)]
            names = [view.replace("_", "\n") for view in part["view"]]
            axis.bar(names, part.own**2, color=OWN, width=0.65, label="the model's own")
            axis.bar(names, part.content**2, bottom=part.own**2, color=CONTENT, width=0.65, label="content")
            axis.errorbar(
                names,
                part.sd**2,
                yerr=[part.sd**2 - part.sd_low**2, part.sd_high**2 - part.sd**2],
                fmt="_",
                color="black",
                linewidth=0.8,
                markersize=7,
                label="all shifts, with 95 % interval",
            )
            axis.tick_params(axis="x", labelsize=6)
            if row == 0:
                axis.set_title(model)
        axes[row, 0].set_ylabel(f"{image_set}\nvariance of $s$, points²")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def bounds_by_control(verdicts: pd.DataFrame) -> Figure:
    """Median change at the worst shift (bar) against β by each control (marks), by view; one panel for each model and set."""
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
        axis.set_yticks(range(len(views)), [view.replace("_", " ").replace(", ", ",\n") for view in views])
        if row == 0:
            axis.set_title(model)
        if row == len(sets) - 1:
            axis.set_xlabel(r"points: $\beta$ (marks), worst shift (bar)")
        if column == len(models) - 1:
            axis.annotate(image_set, (1.02, 0.5), xycoords="axes fraction", rotation=270, va="center")
    axes[0, 0].invert_yaxis()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def layer_lines(table: pd.DataFrame) -> Figure:
    """Change of the patch tokens, put back in place, from layer to layer: a panel for each view, a line for each model.

    Full lines: positions as learned; dashed: circular.
    """
    views = table["view"].unique()
    figure, axes = plt.subplots(1, len(views), sharey=True, squeeze=False, figsize=(PAGE, 2.3))
    for axis, view in zip(axes[0], views, strict=True):
        for colour, model in zip(sns.color_palette("colorblind"), table.model.unique(), strict=False):
            for positions, style in (("own", "-"), ("circular", "--")):
                part = table[(table["view"] == view) & (table.model == model) & (table.positions == positions)]
                part = part.groupby("layer")[["change", "change_low", "change_high"]].mean()
                axis.plot(part.index, part.change, style, color=colour, linewidth=1.2, label=f"{model}, {positions}")
                axis.fill_between(part.index, part.change_low, part.change_high, color=colour, alpha=0.2, linewidth=0)
        axis.set(title=view.replace("_", " "), xlabel="block (0: patches)", xticks=sorted(table.layer.unique()))
    axes[0, 0].set_ylabel(r"$1 - \cos$ of tokens")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def token_maps(maps: Mapping[str, Tensor], pictures: Mapping[str, Tensor]) -> Figure:
    """How far each patch's token moves: maps [rows, columns] by title, over a panorama uint8 [3, H, 2H] where there is one."""
    figure, axes = plt.subplots(1, len(maps), figsize=(PAGE, PAGE / len(maps) / 2 + 0.45))
    top = max(part.max().item() for part in maps.values())
    for axis, (title, part) in zip(axes, maps.items(), strict=True):
        if title in pictures:
            axis.imshow(pictures[title].permute(1, 2, 0).numpy(), extent=(0, 2, 1, 0))
        shown = axis.imshow(
            part.numpy(), extent=(0, 2, 1, 0), cmap="inferno", alpha=0.5 if title in pictures else 1, vmin=0, vmax=top
        )
        axis.set_title(title)
        axis.axis("off")
    figure.colorbar(shown, ax=axes, shrink=0.8, label=r"$1-\cos$")
    return figure


def ablation_dots(table: pd.DataFrame) -> Figure:
    """Variance left after each ablation, over that of the network as it is, with intervals; a panel for each view."""
    views = table["view"].unique()
    figure, axes = plt.subplots(1, len(views), sharey=True, sharex=True, squeeze=False, figsize=(PAGE, 2.3))
    names = [name for name in table.ablation.unique() if name != "as it is"]
    groups = list(table[["model", "image_set"]].drop_duplicates().itertuples(index=False, name=None))
    colours = dict(zip(table.model.unique(), sns.color_palette("colorblind"), strict=False))
    markers = dict(zip(table.image_set.unique(), "osD^v", strict=False))
    for axis, view in zip(axes[0], views, strict=True):
        for k, (model, image_set) in enumerate(groups):
            part = table[(table["view"] == view) & (table.model == model) & (table.image_set == image_set)]
            part = part.set_index("ablation").loc[names]
            place = np.arange(len(names)) + (k - (len(groups) - 1) / 2) * 0.12
            spread = [part.left - part.left_low, part.left_high - part.left]
            axis.errorbar(
                part.left,
                place,
                xerr=spread,
                fmt=markers[image_set],
                color=colours[model],
                markersize=3,
                linewidth=0.8,
                label=f"{model}, {image_set}",
            )
        axis.axvline(1, color="0.7", linewidth=0.8)
        axis.set(title=view.replace("_", " "), xlabel="variance left", xlim=(0, None))
        axis.set_yticks(range(len(names)), [name.replace(", ", ",\n") for name in names])
    axes[0, 0].invert_yaxis()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def share_sweep(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Measures against the share of panoramas in training: a thin line for each world, the mean thick.

    ``panels`` maps columns of ``table`` (share, image_set, world, ...) to the titles of their panels.
    """
    shares = sorted(table["share"].unique())
    figure, axes = plt.subplots(1, len(panels), squeeze=False, figsize=(PAGE, 2.4))
    for axis, (column, label) in zip(axes[0], panels.items(), strict=True):
        for colour, (image_set, part) in zip(
            sns.color_palette("colorblind"), table.groupby("image_set", sort=False), strict=False
        ):
            for _, world in part.groupby("world"):
                axis.plot([shares.index(share) for share in world["share"]], world[column], color=colour, linewidth=0.6)
            mean = part.groupby("share")[column].mean()
            axis.plot(
                range(len(shares)), mean[shares], "o-", color=colour, linewidth=1.8, markersize=4, label=image_set
            )
        axis.set_xticks(range(len(shares)), [f"{100 * share:g}" for share in shares])
        axis.set(xlabel="panoramas, %", title=label)
        axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def ways_plane(table: pd.DataFrame) -> Figure:
    """Noise of the score against recall for every way to show a panorama; the size of a mark is the number of passes."""
    sets = table.image_set.unique()
    figure, axes = plt.subplots(1, len(sets), sharey=True, squeeze=False, figsize=(PAGE, 2.6))
    colours = dict(zip(table["view"].unique(), sns.color_palette("colorblind"), strict=False))
    for axis, image_set in zip(axes[0], sets, strict=True):
        for view, part in table[table.image_set == image_set].groupby("view", sort=False):
            axis.plot(part.noise, part.recall, color=colours[view], linewidth=0.6, zorder=1)
            axis.scatter(
                part.noise,
                part.recall,
                s=10 * np.sqrt(part.passes),
                color=colours[view],
                label=view.replace("_", " "),
                zorder=2,
            )
        axis.set(title=image_set, xlabel="noise: sd over directions / sd over panoramas")
    axes[0, 0].set_ylabel("R@1, image to text")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure
