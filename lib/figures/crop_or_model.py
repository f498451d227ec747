"""Views of a panorama: what they show, how their scores vary over shifts, under which bound, and at which cost."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from clip360.figures.layout import add_note, add_set_legend, draw_estimates, model_panels, name_panel_row, panels
from clip360.figures.style import (
    MARKERS,
    PAGE,
    PART_COLOURS,
    image_set_label,
    model_label,
    set_colours,
    view_label,
)

RATIO_LIMITS, RATIO_TICKS = (0.07, 70.0), (0.1, 0.3, 1, 3, 10, 30)  # where they hold all ratios
WIDEST = (1e-3, 1e3)  # no axis is widened for ratios beyond, such as 0: their marks are arrows at the edge
CONTROLS = {  # controls in words
    "rendered_again": "rendered again,\nhalf a pixel turned",
    "small_shift": "small shift",
    "jpeg": "JPEG copy",
    "mirror under the centre crop": "mirror, its β\nunder the crop",
}
MEASURES = {  # columns of ``compare_views`` in words
    "relative_sd": "standard deviation over shifts, ratio to that over panoramas (less is more stable)",
    "recall": "R@1, image to text (more is better)",
}


def view_strip(inputs: Mapping[str, Tensor], notes: Mapping[str, str]) -> Figure:
    """The network's inputs for one panorama, side by side: for each view K images [K, 3, H, W], float in [0, 1].

    ``notes`` gives a line below the name of each view.
    """
    widths = [images.shape[0] * images.shape[3] / images.shape[2] for images in inputs.values()]
    height = (PAGE - 0.08 * (len(inputs) + 1)) / sum(widths)
    shape = {"left": 0.02, "right": 0.02, "top": 0.36, "bottom": 0.02, "gaps": (0.08, 0)}
    figure, axes = panels(1, len(inputs), heights=[height], width_ratios=widths, **shape)
    for axis, (view, images) in zip(axes[0], inputs.items(), strict=True):
        axis.imshow(np.concatenate(_with_gaps(images), axis=1))
        axis.set_title(f"{view_label(view)}\n{notes[view]}", fontsize=7, pad=3)
        axis.axis("off")
    return figure


def _with_gaps(images: Tensor) -> list[np.ndarray]:
    """Images as arrays [H, W, 3] with a white column between two."""
    arrays = [image.permute(1, 2, 0).numpy() for image in images]
    white = np.ones((arrays[0].shape[0], 1, 3))
    return [part for k, array in enumerate(arrays) for part in ([white] if k else []) + [array]]


def variance_bars(table: pd.DataFrame, *, interval: str) -> Figure:
    """Variance of the score over shifts by view, stacked from its parts; one panel for each model and image set.

    ``table`` is that of ``stats.variance_decomposition.decompose``, ``interval`` says in words what its intervals are.
    """
    models, sets, views = table.model.unique(), table.image_set.unique(), list(table["view"].unique())
    shape = {"left": 1.1, "right": 0.15, "top": 0.5, "bottom": 0.6, "gaps": (0.2, 0.12)}
    height = max(0.2 * len(views), 0.8)  # so that names of sets have room beside few views
    placed = model_panels([model_label(model) for model in models], [height] * len(sets), sharex="col", **shape)
    figure, axes = placed.figure, placed.axes
    for (row, image_set), (column, model) in ((r, c) for r in enumerate(sets) for c in enumerate(models)):
        axis = axes[row, column]
        part = table[(table.model == model) & (table.image_set == image_set)]
        places = part["view"].map(views.index)
        position, content, total = part.position_sd**2, part.content_sd**2, part.sd**2
        axis.barh(places, position, color=PART_COLOURS["position"], height=0.62)
        axis.barh(places, content, left=position, color=PART_COLOURS["content"], height=0.62)
        bounds = part.sd_low**2, part.sd_high**2
        axis.hlines(places, *bounds, color="white", linewidth=2.4)  # so that the interval shows on dark bars
        draw_estimates(axis, total, places, bounds, "black", marker="|", markersize=7)
        axis.locator_params(axis="x", nbins=5)
        axis.tick_params(axis="y", length=0)
    for line, image_set in zip(placed.firsts, sets, strict=True):
        for axis in line:
            name_panel_row(axis, image_set_label(image_set), height=height)
    axes[0, 0].set_yticks(range(len(views)), [view_label(view) for view in views])
    axes[0, 0].set_ylim(len(views) - 0.5, -0.5)
    placed.label_x("variance of the score over shifts, points²")
    words = {"content": "content that enters and leaves the view", "position": "position, the model's own"}
    handles = [Rectangle((0, 0), 1, 1, color=PART_COLOURS[name], label=label) for name, label in words.items()]
    handles += [plt.Line2D([], [], color="black", marker="|", linestyle="", markersize=7, label="over all shifts")]
    figure.legend(handles=handles, loc="upper center", ncols=len(handles), bbox_to_anchor=(0.57, 1))
    add_note(figure, "each model has its own scale", interval)
    return figure


def ratios_by_control(verdicts: pd.DataFrame, *, interval: str) -> Figure:
    """Median change at the worst shift over β, with joint intervals, by control; a panel for each model.

    ``verdicts`` is the table of ``stats.stability_bounds.verdicts_by_control`` for one view. In the white area, below 1, a model counts as
    stable; filled marks have their interval on one side. ``interval`` says in words what the intervals are.
    """
    models, sets, controls = verdicts.model.unique(), verdicts.image_set.unique(), list(verdicts.control.unique())
    colours, shape = set_colours(sets), {"left": 1.2, "top": 0.45, "bottom": 0.62, "gaps": (0.15, 0)}
    limits, ticks = _ratio_axis(verdicts[["of_beta", "of_beta_low", "of_beta_high"]].to_numpy())
    n_beyond = 0
    heights, titles = [0.3 * len(controls)], [model_label(model) for model in models]
    placed = model_panels(titles, heights, sharex="all", **shape)
    figure, axes = placed.figure, placed.axes
    for axis, model in zip(axes[0], models, strict=True):
        for row in verdicts[verdicts.model == model].itertuples():
            k = list(sets).index(row.image_set)
            place = controls.index(row.control) + 0.34 * (k - (len(sets) - 1) / 2)
            bounds = row.of_beta_low, row.of_beta_high
            style = {"decided": not bounds[0] <= 1 <= bounds[1], "marker": MARKERS[k]}
            if not limits[0] <= row.of_beta <= limits[1]:  # NaN, a ratio that is not defined, is not drawn
                n_beyond += not np.isnan(row.of_beta)
                style |= {"marker": "<" if row.of_beta < 1 else ">", "clip_on": False}
            inside = np.clip(row.of_beta, *limits), np.clip(bounds, *limits)
            draw_estimates(axis, inside[0], place, inside[1], colours[row.image_set], **style)
        axis.axvline(1, color="black", linestyle="--", linewidth=0.8, zorder=0)
        axis.axvspan(1, max(100, limits[1]), color="0.95", linewidth=0, zorder=-1)
        axis.set(xscale="log", xlim=limits)
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    axes[0, 0].set_yticks(range(len(controls)), [CONTROLS.get(control, control) for control in controls])
    axes[0, 0].set_ylim(len(controls) - 0.5, -0.5)
    placed.label_x(r"median change at the worst shift over $\beta$")
    add_set_legend(figure, sets, x=0.59)
    arrows = "arrows: ratios beyond the axis" if n_beyond else ""
    add_note(figure, "white: stable", "filled: interval on one side of 1", arrows, interval)
    return figure


def _ratio_axis(ratios: np.ndarray) -> tuple[tuple[float, float], Sequence[float]]:
    """Limits and ticks of a logarithmic axis that holds the ratios within ``WIDEST``."""
    known = ratios[(ratios >= WIDEST[0]) & (ratios <= WIDEST[1])]
    low, high = min(known, default=1.0), max(known, default=1.0)
    if RATIO_LIMITS[0] <= low and high <= RATIO_LIMITS[1]:
        return RATIO_LIMITS, RATIO_TICKS
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = range(first, last + 1)
    ticks = decades if len(decades) < 6 else [k for k in decades if k % 2 == 0]
    return (0.7 * 10.0**first, 1.4 * 10.0**last), [10.0**k for k in ticks]


def views_forest(table: pd.DataFrame, *, interval: str) -> Figure:
    """How much the score varies over shifts (above), and recall (below), by view, with intervals; a column for each model.

    ``table`` is that of ``stats.view_comparison.compare_views``; each view alone is drawn. ``interval`` says in words what the intervals are.
    """
    alone = table[table.n_shifts_averaged == 1]
    models, sets, views = alone.model.unique(), alone.image_set.unique(), list(alone["view"].unique())
    colours, height = set_colours(sets), 0.23 * len(views)
    shape = {"left": 0.85, "right": 0.15, "top": 0.45, "bottom": 0.6, "gaps": (0.25, 0.55)}
    titles = [model_label(model) for model in models]
    placed = model_panels(titles, [height] * len(MEASURES), sharex="row", **shape)
    figure, axes = placed.figure, placed.axes
    for n, (line, (measure, words)) in enumerate(zip(axes, MEASURES.items(), strict=True)):
        for axis, model in zip(line, models, strict=True):
            for row in alone[alone.model == model].to_dict("records"):
                k = list(sets).index(row["image_set"])
                place = views.index(row["view"]) + 0.34 * (k - (len(sets) - 1) / 2)
                middle, low, high = (row[f"{measure}{end}"] for end in ("", "_low", "_high"))
                draw_estimates(axis, middle, place, (low, high), colours[row["image_set"]], marker=MARKERS[k])
            axis.set_xlim(left=0)
            axis.grid(axis="x", color="0.93", linewidth=0.6)
            axis.locator_params(axis="x", nbins=5)
            axis.tick_params(axis="y", length=0)
        placed.label_x(words, n)
    axes[0, 0].set_yticks(range(len(views)), [view_label(view) for view in views])
    axes[0, 0].set_ylim(len(views) - 0.5, -0.5)
    add_set_legend(figure, sets, x=0.56)
    add_note(figure, interval)
    return figure
