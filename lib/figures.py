"""One function a figure: tidy table in, matplotlib figure out; one style for all."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor

COLUMN, PAGE = 3.4, 7.0  # widths of figures, inches
VIEW_COLOURS = {"panorama": "#0072B2", "perspective": "#D55E00"}  # told apart by colour-blind readers
VIEW_MARKERS = {"panorama": "o", "perspective": "s"}


def house_style() -> None:
    """One look for all figures; the same input gives the same bytes."""
    sns.set_theme(
        style="ticks",
        palette="colorblind",
        rc={
            "font.size": 8,
            "axes.labelsize": 8,
            "axes.titlesize": 8,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
            "legend.fontsize": 7,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.6,
            "figure.constrained_layout.use": True,
            "figure.dpi": 110,
            "svg.hashsalt": "clip360",
        },
    )


def save_figure(figure: Figure, path: Path) -> None:
    """Write path.svg and path.png without dates or versions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
    figure.savefig(path.with_suffix(".png"), dpi=200, metadata={"Software": None})


def gallery(pictures: Mapping[str, Tensor], *, columns: int, width: float = PAGE) -> Figure:
    """Pictures [3, H, W] (float in [0, 1] or uint8), all of one shape, each under its title."""
    rows = -(-len(pictures) // columns)
    height, breadth = next(iter(pictures.values())).shape[1:]
    figure, axes = plt.subplots(
        rows, columns, squeeze=False, figsize=(width, rows * (width / columns * height / breadth + 0.2))
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, picture) in zip(axes.flat, pictures.items(), strict=False):
        axis.imshow(picture.permute(1, 2, 0).numpy())
        axis.set_title(title, pad=2)
    return figure


def look_around(panorama: Tensor, views: Sequence[Tensor], *, titles: Sequence[str]) -> Figure:
    """A panorama [3, H, 2H] above the ordinary views [3, S, S] taken from it."""
    figure = plt.figure(figsize=(PAGE, PAGE * (0.5 + 1 / len(views)) + 0.3))
    grid = figure.add_gridspec(2, len(views), height_ratios=[len(views) / 2, 1])
    top = figure.add_subplot(grid[0, :])
    top.imshow(panorama.permute(1, 2, 0).numpy())
    top.axis("off")
    for column, (view, title) in enumerate(zip(views, titles, strict=True)):
        axis = figure.add_subplot(grid[1, column])
        axis.imshow(view.permute(1, 2, 0).numpy())
        axis.set_title(title, pad=2)
        axis.axis("off")
    return figure


def training_shares(counts: pd.DataFrame) -> Figure:
    """How many of each model's training pictures are views and panoramas: columns model, views, panoramas."""
    figure, axis = plt.subplots(figsize=(COLUMN, 0.35 * len(counts) + 0.6))
    left = 0
    for kind, colour in (("views", VIEW_COLOURS["perspective"]), ("panoramas", VIEW_COLOURS["panorama"])):
        axis.barh(counts.model, counts[kind], left=left, color=colour, label=kind, height=0.6)
        left = left + counts[kind]
    axis.invert_yaxis()
    axis.set_xlabel("training pictures")
    axis.legend(ncols=2, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def learning_curves(history: pd.DataFrame, *, window: int = 10) -> Figure:
    """Contrastive loss by step, smoothed: columns model, step, loss."""
    figure, axis = plt.subplots(figsize=(COLUMN, 2.0))
    for model, part in history.groupby("model", sort=False):
        axis.plot(part.step, part.loss.rolling(window, min_periods=1).mean(), label=model, linewidth=1)
    axis.set(xlabel="step", ylabel="contrastive loss", ylim=(0, None))
    axis.legend(frameon=False)
    return figure


def cue_forest(tests: pd.DataFrame) -> Figure:
    """Effect of the format cue (rank-biserial, 95 % interval) for every model, image set, view and generic cue."""
    models, sets = tests.model.unique(), tests.image_set.unique()
    generics, views = tests.generic.unique(), tests["view"].unique()
    figure, axes = plt.subplots(1, len(sets), sharey=True, squeeze=False, figsize=(PAGE, 0.62 * len(models) + 0.9))
    for axis, image_set in zip(axes[0], sets, strict=True):
        axis.axvline(0, color="0.6", linewidth=0.8)
        for view in views:
            part = tests[(tests.image_set == image_set) & (tests["view"] == view)]
            row = part.model.map(list(models).index) + 0.16 * (
                part.generic.map(list(generics).index) - (len(generics) - 1) / 2
            )
            below, above = part.effect - part.ci_low, part.ci_high - part.effect
            axis.errorbar(
                part.effect,
                row,
                xerr=[below.clip(lower=0), above.clip(lower=0)],
                fmt=VIEW_MARKERS[view],
                color=VIEW_COLOURS[view],
                markersize=3,
                linewidth=0.8,
                label=view,
            )
        axis.set(title=image_set, xlim=(-1.05, 1.05), xlabel="rank-biserial correlation of $s - s^u$")
    axes[0, 0].set_yticks(range(len(models)), models)
    axes[0, 0].invert_yaxis()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(views), frameon=False)
    return figure


def cue_gains(scores: pd.DataFrame, *, generic: str) -> Figure:
    """Distribution over images of s - s^u against one generic cue, for every model, image set and view."""
    keys = ["model", "image_set", "view", "image"]
    own = scores[scores.condition == "cue"].set_index(keys).score
    other = scores[(scores.condition == "generic") & (scores.value == generic)].set_index(keys).score
    gains = (own - other).rename("gain").reset_index()
    sets = gains.image_set.unique()
    figure, axes = plt.subplots(1, len(sets), sharey=True, squeeze=False, figsize=(PAGE, 2.4))
    for axis, image_set in zip(axes[0], sets, strict=True):
        axis.axhline(0, color="0.6", linewidth=0.8)
        sns.violinplot(
            gains[gains.image_set == image_set],
            x="model",
            y="gain",
            hue="view",
            palette=VIEW_COLOURS,
            split=True,
            inner="quart",
            cut=0,
            linewidth=0.6,
            ax=axis,
            legend=axis is axes[0, 0],
        )
        axis.set(title=image_set, xlabel="", ylabel=f"$s - s^u$ against “{generic}”, points")
    axes[0, 0].legend(frameon=False, title="")
    return figure


def rounded(frame: pd.DataFrame, digits: int = 3) -> pd.DataFrame:
    """Numbers rounded for display, so that a rendered table does not depend on the last bits."""
    return frame.apply(lambda column: np.round(column, digits) if column.dtype.kind == "f" else column)
