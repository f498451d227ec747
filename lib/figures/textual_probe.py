"""Figures of the textual probe."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor

from clip360.figures.style import PAGE, VIEW_COLOURS, VIEW_MARKERS, image_set_label, model_label
from clip360.stats.measurements import select


def cue_effects(tests: pd.DataFrame) -> Figure:
    """Effect of the format cue (rank-biserial, interval) for every model, image set, view and generic cue.

    ``tests`` is the table of ``stats.textual_probe.cue_tests``.
    """
    models, sets = tests.model.unique(), tests.image_set.unique()
    generic_cues, views = tests.generic_cue.unique(), tests["view"].unique()
    figure, axes = plt.subplots(1, len(sets), sharey=True, squeeze=False, figsize=(PAGE, 0.62 * len(models) + 0.9))
    for axis, image_set in zip(axes[0], sets, strict=True):
        axis.axvline(0, color="0.6", linewidth=0.8)
        for view in views:
            part = tests[(tests.image_set == image_set) & (tests["view"] == view)]
            offset = part.generic_cue.map(list(generic_cues).index) - (len(generic_cues) - 1) / 2
            row = part.model.map(list(models).index) + 0.16 * offset
            below, above = part.effect - part.effect_low, part.effect_high - part.effect
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
        title = image_set_label(image_set)
        axis.set(title=title, xlim=(-1.05, 1.05), xlabel="rank-biserial correlation of $s - s^u$")
    axes[0, 0].set_yticks(range(len(models)), [model_label(model) for model in models])
    axes[0, 0].invert_yaxis()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(views), frameon=False)
    return figure


def score_distributions(measurements: pd.DataFrame, *, generic_cue: str) -> Figure:
    """Distribution over panoramas of s (with the format cue) and of s^u (with one generic cue): the scores that are paired.

    ``measurements`` are those of the textual probe.
    """
    scores = select(measurements, "clip_score", "format_cue", "generic_cue")
    tested = (scores.condition == "format_cue") | (scores.cue == generic_cue)
    shown = scores[(scores["view"] == "panorama") & tested]
    shown = shown.assign(text=shown.condition.map({"format_cue": "format cue", "generic_cue": f"“{generic_cue}”"}))
    palette = dict(zip(shown.text.unique(), (VIEW_COLOURS["panorama"], "0.75"), strict=True))
    return _split_violins(shown, "value", "text", palette, "CLIP score $s$")


def gain_distributions(measurements: pd.DataFrame, *, generic_cue: str) -> Figure:
    """Distribution over images of the gain s - s^u over one generic cue, for every model, image set and view.

    ``measurements`` are those of the textual probe.
    """
    keys = ["model", "image_set", "view", "image"]
    s = select(measurements, "clip_score", "format_cue").set_index(keys).value
    generic = select(measurements, "clip_score", "generic_cue")
    s_u = generic[generic.cue == generic_cue].set_index(keys).value
    gains = (s - s_u).rename("gain").reset_index()
    figure = _split_violins(gains, "gain", "view", VIEW_COLOURS, f"$s - s^u$ against “{generic_cue}”, points")
    for axis in figure.axes:
        axis.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    return figure


KIND_LABELS = {
    "format": "the set's format cues",
    "parts": "one word of them",
    "paraphrase": "another template",
    "unseen": "unseen names",
}


def contrasts_by_kind(kinds: pd.DataFrame) -> Figure:
    """Contrast of each kind of cue with its interval, one row for each kind and one panel for each model and image set.

    ``kinds`` is the table of ``stats.textual_probe.contrast_table`` by kind. Panels of one model share their scale.
    """
    models, sets = kinds.model.unique(), kinds.image_set.unique()
    names = [name for name in KIND_LABELS if (kinds.kind == name).any()]
    size = (PAGE, len(sets) * (0.2 * len(names) + 0.35) + 0.4)
    figure, axes = plt.subplots(len(sets), len(models), sharex="col", sharey=True, squeeze=False, figsize=size)
    for row, image_set in zip(axes, sets, strict=True):
        for axis, model in zip(row, models, strict=True):
            part = kinds[(kinds.model == model) & (kinds.image_set == image_set)].set_index("kind").loc[names]
            errors = [part.contrast - part.contrast_low, part.contrast_high - part.contrast]
            axis.axvline(0, color="0.6", linewidth=0.8)
            axis.errorbar(
                part.contrast, range(len(names)), xerr=errors, fmt="o", color="0.2", markersize=3, linewidth=0.9
            )
        row[0].set_ylabel(image_set_label(image_set))
    for axis, model in zip(axes[0], models, strict=True):
        axis.set_title(model_label(model, separator=",\n"))
    axes[0, 0].set_yticks(range(len(names)), [KIND_LABELS[name] for name in names])
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel("contrast of the cue, panorama minus perspective view, points", fontsize=8)
    return figure


def cue_examples(extremes: pd.DataFrame, panoramas: Sequence[Tensor], views: Sequence[Tensor]) -> Figure:
    """Panoramas [3, H, 2H], each beside its perspective view [3, S, S], with the gains by the format cue of ``extreme_images``."""
    count = len(panoramas) // 2
    figure, axes = plt.subplots(count, 4, squeeze=False, figsize=(PAGE, 1.3 * count + 0.1), width_ratios=[2, 1, 2, 1])
    for k, (row, panorama, view) in enumerate(zip(extremes.itertuples(), panoramas, views, strict=True)):
        left, right = axes[k % count, 2 * (k // count) : 2 * (k // count) + 2]
        end = "most" if k < count else "least"
        for axis, image, gain in ((left, panorama, row.panorama), (right, view, row.perspective)):
            axis.imshow(image.permute(1, 2, 0).numpy())
            axis.axis("off")
            axis.set_title(f"{gain:+.1f}", pad=2)
        left.set_title(f"gains {end}: “{row.cue}” {row.panorama:+.1f}", pad=2)
    return figure


def _split_violins(frame: pd.DataFrame, value: str, by: str, palette: Mapping[str, str], label: str) -> Figure:
    """Two distributions of each model back to back, one panel for each image set."""
    sets = frame.image_set.unique()
    figure, axes = plt.subplots(1, len(sets), sharey=True, squeeze=False, figsize=(PAGE, 2.4))
    for axis, image_set in zip(axes[0], sets, strict=True):
        sns.violinplot(
            frame[frame.image_set == image_set].assign(
                model=lambda part: part.model.map(lambda name: model_label(name, separator=",\n"))
            ),
            x="model",
            y=value,
            hue=by,
            palette=palette,
            split=True,
            common_norm=True,  # equal areas
            inner="quart",
            cut=0,
            linewidth=0.6,
            ax=axis,
        )
        handles, labels = axis.get_legend_handles_labels()
        axis.get_legend().remove()
        axis.set(title=image_set_label(image_set), xlabel="", ylabel=label)
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure
