"""What a shift of the input does inside an image tower."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor

from clip360.figures.style import PAGE, image_set_label, model_label, view_label


def ablation_dots(table: pd.DataFrame) -> Figure:
    """Variance left after each ablation, over that of the network as it is, with intervals; a panel for each view.

    ``table`` is that of ``stats.token_analysis.positional_ablations``.
    """
    views = table["view"].unique()
    figure, axes = plt.subplots(1, len(views), sharey=True, sharex=True, squeeze=False, figsize=(PAGE, 2.3))
    names = [name for name in table.ablation.unique() if name != "baseline"]
    groups = list(table[["model", "image_set"]].drop_duplicates().itertuples(index=False, name=None))
    colours = dict(zip(table.model.unique(), sns.color_palette("colorblind"), strict=False))
    markers = dict(zip(table.image_set.unique(), "osD^v", strict=False))
    for axis, view in zip(axes[0], views, strict=True):
        for k, (model, image_set) in enumerate(groups):
            part = table[(table["view"] == view) & (table.model == model) & (table.image_set == image_set)]
            part = part.set_index("ablation").loc[names]
            place = np.arange(len(names)) + (k - (len(groups) - 1) / 2) * 0.12
            left = part.variance_left
            axis.errorbar(
                left,
                place,
                xerr=[left - part.variance_left_low, part.variance_left_high - left],
                fmt=markers[image_set],
                color=colours[model],
                markersize=3,
                linewidth=0.8,
                label=f"{model_label(model)}, {image_set_label(image_set)}",
            )
        axis.axvline(1, color="0.7", linewidth=0.8)
        axis.set(title=view_label(view), xlabel="variance left", xlim=(0, None))
        axis.set_yticks(range(len(names)), [name.replace(", ", ",\n") for name in names])
    axes[0, 0].invert_yaxis()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def layer_lines(table: pd.DataFrame) -> Figure:
    """Change of the patch tokens, moved back to their places, from layer to layer: a panel for each view.

    ``table`` is that of ``stats.token_analysis.token_changes_by_layer``. One colour for each model; full lines are the
    learned positional embedding, dashed lines the circular one.
    """
    views = table["view"].unique()
    figure, axes = plt.subplots(1, len(views), sharey=True, squeeze=False, figsize=(PAGE, 2.3))
    for axis, view in zip(axes[0], views, strict=True):
        for colour, model in zip(sns.color_palette("colorblind"), table.model.unique(), strict=False):
            for kind, style in (("own", "-"), ("circular", "--")):
                of_model = (table["view"] == view) & (table.model == model)
                part = table[of_model & (table.positional_embedding == kind)]
                part = part.groupby("layer")[["change", "change_low", "change_high"]].mean()
                label = f"{model_label(model)}, {kind}"
                axis.plot(part.index, part.change, style, color=colour, linewidth=1.2, label=label)
                axis.fill_between(part.index, part.change_low, part.change_high, color=colour, alpha=0.2, linewidth=0)
        axis.set(title=view_label(view), xlabel="block (0: patches)", xticks=sorted(table.layer.unique()))
    axes[0, 0].set_ylabel(r"$1 - \cos$ of tokens")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def token_maps(maps: Mapping[str, Tensor], panorama: Tensor) -> Figure:
    """How far each patch's token moves: maps [rows, columns] by title beside the panorama uint8 [3, H, 2H], on one scale of colour."""
    figure, axes = plt.subplots(2, -(-(len(maps) + 1) // 2), figsize=(PAGE, PAGE / 2 + 0.2))
    for axis in axes.flat:
        axis.axis("off")
    first, *others = axes.flat
    first.imshow(panorama.permute(1, 2, 0).numpy(), extent=(0, 2, 1, 0))
    first.set_title("the panorama")
    top = max(part.max().item() for part in maps.values())
    for axis, (title, part) in zip(others, maps.items(), strict=False):
        shown = axis.imshow(part.numpy(), extent=(0, 2, 1, 0), cmap="cividis", vmin=0, vmax=top)
        axis.set_title(title)
    figure.colorbar(shown, ax=axes, shrink=0.6, label=r"change of tokens, $1-\cos$")
    return figure
