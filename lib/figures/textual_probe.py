"""Figures of the textual probe."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from clip360.figures.style import PAGE, VIEW_COLOURS, VIEW_MARKERS


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


def cue_scores(scores: pd.DataFrame, *, generic: str) -> Figure:
    """Distribution over panoramas of s, with the format cue, beside that of s^u, with one generic cue: the pairs tested."""
    shown = scores[(scores["view"] == "panorama") & ((scores.condition == "cue") | (scores.value == generic))]
    shown = shown.assign(text=shown.condition.map({"cue": "format cue", "generic": f"“{generic}”"}))
    palette = dict(zip(shown.text.unique(), (VIEW_COLOURS["panorama"], "0.75"), strict=True))
    return _halves(shown, "score", "text", palette, "CLIP score $s$")


def cue_gains(scores: pd.DataFrame, *, generic: str) -> Figure:
    """Distribution over images of s - s^u against one generic cue, for every model, image set and view."""
    keys = ["model", "image_set", "view", "image"]
    own = scores[scores.condition == "cue"].set_index(keys).score
    other = scores[(scores.condition == "generic") & (scores.value == generic)].set_index(keys).score
    gains = (own - other).rename("gain").reset_index()
    figure = _halves(gains, "gain", "view", VIEW_COLOURS, f"$s - s^u$ against “{generic}”, points")
    for axis in figure.axes:
        axis.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    return figure


def _halves(frame: pd.DataFrame, value: str, by: str, palette: Mapping[str, str], label: str) -> Figure:
    """Two distributions of each model back to back, one panel for each image set."""
    sets = frame.image_set.unique()
    figure, axes = plt.subplots(1, len(sets), sharey=True, squeeze=False, figsize=(PAGE, 2.4))
    for axis, image_set in zip(axes[0], sets, strict=True):
        sns.violinplot(
            frame[frame.image_set == image_set],
            x="model",
            y=value,
            hue=by,
            palette=palette,
            split=True,
            inner="quart",
            cut=0,
            linewidth=0.6,
            ax=axis,
        )
        handles, labels = axis.get_legend_handles_labels()
        axis.get_legend().remove()
        axis.set(title=image_set, xlabel="", ylabel=label)
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure
