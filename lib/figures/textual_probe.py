"""Figures of the textual probe."""

from collections.abc import Sequence
from itertools import product

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor

from clip360.figures.layout import add_note, add_set_legend, draw_estimates, in_bands, model_panels, panels
from clip360.figures.style import (
    IMAGE_COLOURS,
    LINE,
    MARKERS,
    PAGE,
    image_set_label,
    model_label,
    set_colours,
    view_label,
)
from clip360.stats.measurements import select

KIND_LABELS = {
    "format": "the set's format cues",
    "parts": "one word of them",
    "paraphrase": "another template",
    "unseen": "unseen names",
}


def gain_distributions(measurements: pd.DataFrame, *, generic_cue: str) -> Figure:
    """Distribution over images of the gain s - s^u over one generic cue, on panoramas and on perspective views back to back.

    A panel for each image set, and below each other for more models than stand side by side; ``measurements`` are those of the textual probe.
    """
    keys = ["model", "image_set", "view", "image"]
    s = select(measurements, "clip_score", "format_cue").set_index(keys).value
    generic = select(measurements, "clip_score", "generic_cue")
    s_u = generic[generic.cue == generic_cue].set_index(keys).value
    gains = (s - s_u).rename("gain").reset_index()
    gains["model"] = gains.model.map(lambda name: model_label(name, separator=",\n"))
    sets, views = gains.image_set.unique(), [view for view in IMAGE_COLOURS if view in set(gains["view"])]
    bands = in_bands(gains.model.unique())
    shape, size = (len(bands), len(sets)), (PAGE, 2.5 * len(bands))
    figure, axes = plt.subplots(*shape, sharey=True, squeeze=False, figsize=size)
    for (row, models), (column, image_set) in product(enumerate(bands), enumerate(sets)):
        axis = axes[row, column]
        style = {"hue_order": views, "palette": IMAGE_COLOURS, "inner": "quart", "linewidth": 0.6, "legend": False}
        part = gains[(gains.image_set == image_set) & gains.model.isin(models)]
        # Equal areas, since both halves show equally many images.
        sns.violinplot(part, x="model", y="gain", hue="view", split=True, common_norm=True, cut=0, ax=axis, **style)
        axis.axhline(0, color=LINE, linewidth=0.8, zorder=0)
        axis.set(title="" if row else image_set_label(image_set), xlabel="", ylabel="gain $s - s^u$, points")
        axis.set_xlim(-0.5, len(bands[0]) - 0.5)
        axis.tick_params(axis="x", length=0)
    handles = [plt.Rectangle((0, 0), 1, 1, color=IMAGE_COLOURS[view], label=view_label(view)) for view in views]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(views))
    add_note(figure, f"generic cue: “{generic_cue}”", "lines in the shapes: quartiles of the images")
    return figure


def contrasts_by_kind(kinds: pd.DataFrame, *, interval: str) -> Figure:
    """Contrast of each kind of cue with its interval: a row for each kind, a panel with its own scale for each model.

    ``kinds`` is the table of ``stats.textual_probe.contrast_table`` by kind; ``interval`` says in words what its intervals are.
    """
    models, sets = kinds.model.unique(), kinds.image_set.unique()
    names, colours = [name for name in KIND_LABELS if (kinds.kind == name).any()], set_colours(sets)
    height = (0.12 * len(sets) + 0.1) * len(names)
    titles = [model_label(model) for model in models]
    figure, axes, _ = model_panels(titles, [height], left=1.25, top=0.5, bottom=0.6, between=0.5)
    for axis, model in zip(axes[0], models, strict=True):
        axis.axvline(0, color=LINE, linewidth=0.8, zorder=0)
        for k, (image_set, marker) in enumerate(zip(sets, MARKERS, strict=False)):
            part = kinds[(kinds.model == model) & (kinds.image_set == image_set)].set_index("kind").loc[names]
            places = [row + 0.3 * (k - (len(sets) - 1) / 2) for row in range(len(names))]
            bounds = part.contrast_low, part.contrast_high
            draw_estimates(axis, part.contrast, places, bounds, colours[image_set], marker=marker)
        axis.locator_params(axis="x", nbins=5)
    axes[0, 0].set_yticks(range(len(names)), [KIND_LABELS[name] for name in names])
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    figure.text(
        0.59, 0.24 / figure.get_figheight(), "gain on panoramas minus gain on perspective views, points", ha="center"
    )
    add_set_legend(figure, sets, x=0.59)
    add_note(figure, interval, "each panel has its own scale")
    return figure


def cue_examples(extremes: pd.DataFrame, panoramas: Sequence[Tensor], views: Sequence[Tensor]) -> Figure:
    """Panoramas [3, H, 2H], each beside its perspective view [3, S, S], with the gains by the format cue of ``extreme_images``.

    The left half shows those that gain most, the right half those that gain least.
    """
    count = len(panoramas) // 2
    figure, axes = panels(
        count,
        4,
        heights=[1.12] * count,
        left=0.02,
        right=0.02,
        top=0.36,
        bottom=0.02,
        gaps=(0.06, 0.22),
        width_ratios=[2, 1, 2, 1],
    )
    for k, (row, panorama, view) in enumerate(zip(extremes.itertuples(), panoramas, views, strict=True)):
        left, right = axes[k % count, 2 * (k // count) : 2 * (k // count) + 2]
        for axis, image, gain in ((left, panorama, row.panorama), (right, view, row.perspective)):
            axis.imshow(image.permute(1, 2, 0).numpy())
            axis.axis("off")
            axis.set_title(_signed(gain), pad=2, fontsize=7)
        left.set_title(f"“{row.cue}”: {_signed(row.panorama)}", pad=2, fontsize=7)
    for x, words in ((0.25, "gain most"), (0.75, "gain least")):
        figure.text(x, 1 - 0.03 / figure.get_figheight(), words, ha="center", va="top", weight="bold")
    return figure


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
