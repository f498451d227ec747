"""What models can do."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from clip360.figures.labels import Label, label_ends
from clip360.figures.layout import MOST_PANELS, add_note, draw_estimates, model_panels, panels
from clip360.figures.style import (
    BLACK,
    IMAGE_COLOURS,
    IMAGE_MARKERS,
    LINE,
    method_words,
    model_label,
    view_colours,
    view_label,
)
from clip360.names import PANORAMA, PERSPECTIVE
from clip360.stats.capabilities import RETRIEVAL

TASKS = {
    "scene_category": "scene category",
    "image_to_text": "image-to-text R@1",
    "text_to_image": "text-to-image R@1",
    "worst_shift_hit": "worst-shift hit@1",
    "shift_consistency": "same scene, shifted",
    "offset_consistency": "same scene, camera offset",
    "presence": "shapes present",
    "attributes": "fine-grained captions",
    RETRIEVAL: "retrieval",
}
VIEWPOINTS = {  # (task, view): title of a column
    ("offset_consistency", PANORAMA): "panorama, camera moved",
    ("offset_consistency", PERSPECTIVE): "perspective view, camera moved",
    ("shift_consistency", PANORAMA): "panorama, shifted",
}
HITS = {"same_scene": "same scene first", "scene_category": "scene category, top-1"}  # column: words
OTHER_RUNS = "0.75"


def task_label(task: str) -> str:
    """A task's name in words.

    >>> task_label("scene_category"), task_label("colour")
    ('scene category', 'colour')
    """
    return TASKS.get(task, task.replace("_", " "))


def reference_label(reference: str) -> str:
    """A frozen model that runs are compared with, by its view where it has one of its own.

    >>> reference_label("clip_p03"), reference_label("clip_p03, squash")
    ('frozen', 'frozen, squash')
    """
    return ", ".join(["frozen", *map(view_label, reference.split(", ")[1:])])


def attributes_by_subset(table: pd.DataFrame, names: Mapping[str, str], *, by: str, interval: str) -> Figure:
    """Advantage over chance in every subset of fine-grained questions, with intervals: a panel for each of ``names``, a row for each subset.

    ``table`` is that of ``stats.capabilities.attribute_table``; ``names`` maps values of its column ``by`` (such as the
    measure) to titles. Colours are views. Filled marks: decided to exceed chance. ``interval`` says in words what the intervals are.
    """
    subsets, views = list(table.subset.unique()), list(table["view"].unique())
    shape = {"left": 0.7, "top": 0.45 if len(views) > 1 else 0.28, "bottom": 0.62, "gaps": (0.15, 0)}
    most = MOST_PANELS if by == "model" else len(names)  # names of measures are short
    placed = model_panels(list(names.values()), [0.2 * len(subsets)], most=most, sharex="all", **shape)
    figure, axes = placed.figure, placed.axes
    for axis, key in zip(axes[0], names, strict=True):
        axis.axvline(0, color=LINE, linewidth=0.8, zorder=0)
        axis.grid(axis="x", color="0.93", linewidth=0.6)
        for row in table[table[by] == key].itertuples():
            k = views.index(row.view)
            place = subsets.index(row.subset) + 0.3 * (k - (len(views) - 1) / 2)
            style = {"decided": row.decided, "marker": IMAGE_MARKERS.get(row.view, "o")}
            bounds = row.advantage_low, row.advantage_high
            draw_estimates(axis, row.advantage, place, bounds, _colour(row.view), **style)
        axis.tick_params(axis="y", length=0)
    axes[0, 0].set(xlim=(None, 1.05), xticks=[0, 0.5, 1], yticks=range(len(subsets)), yticklabels=subsets)
    axes[0, 0].set_ylim(len(subsets) - 0.5, -0.5)
    placed.label_x("advantage over chance (1: always right)")
    if len(views) > 1:
        for view in views:
            style = {"color": _colour(view), "markersize": 3.5, "label": view_label(view)}
            axes[0, 0].plot([], [], IMAGE_MARKERS.get(view, "o"), **style)
        handles = axes[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="upper center", ncols=len(views), bbox_to_anchor=(0.55, 1))
    add_note(figure, "filled: exceeds chance by the corrected test", interval)
    return figure


def _colour(view: str) -> str:
    return IMAGE_COLOURS.get(view, BLACK)


def view_cost_bars(table: pd.DataFrame, *, interval: str) -> Figure:
    """Change of the level from another view to the whole panorama, with intervals, a panel for each model.

    ``table`` is that of ``stats.capabilities.view_costs``. Filled marks: decided. Colours are the other view. ``interval`` says in words what the
    intervals are.
    """
    models = list(table.groupby("model", sort=False))
    n_rows = max(len(part) for _, part in models)
    shape = {"left": 2.72, "top": 0.28, "bottom": 0.62, "gaps": (0.15, 0)}
    placed = model_panels([model_label(model) for model, _ in models], [0.2 * n_rows], sharex="all", **shape)
    figure, axes = placed.figure, placed.axes
    for axis, (_, part) in zip(axes[0], models, strict=True):
        axis.axvline(0, color=LINE, linewidth=0.8, zorder=0)
        for place, row in enumerate(part.itertuples()):
            bounds = 100 * row.change_low, 100 * row.change_high
            style = {"decided": row.decided, "marker": IMAGE_MARKERS.get(row.other, "o")}
            draw_estimates(axis, 100 * row.change, place, bounds, _colour(row.other), **style)
        words = [f"{task_label(row.task)}, against {view_label(row.other)}" for row in part.itertuples()]
        axis.set_yticks(range(len(part)), words)
        axis.tick_params(axis="y", length=0)
    axes[0, 0].set_ylim(n_rows - 0.5, -0.5)
    placed.label_x("panorama minus the other view, hundredths")
    add_note(figure, "filled: decided by the corrected test", interval)
    return figure


def viewpoint_curves(
    table: pd.DataFrame, names: Mapping[str, str], *, named: Mapping[str, str], interval: str
) -> Figure:
    """Same-scene hits (above) and, where it is known, zero-shot accuracy of the scene category (below) by camera offset or shift.

    ``table`` is that of ``stats.capabilities.viewpoint_table``. The runs of ``named``, which maps each to its view, have intervals and the words that ``names`` gives for
    them; the others are grey. Colours are views, frozen models have full lines. ``interval`` says in words what the intervals are.
    """
    height, shape = 1.5, {"left": 0.5, "right": 1.75, "top": 0.25, "bottom": 0.62, "gaps": (0.15, 0.15)}
    measured = set(zip(table.task, table["view"], strict=True))
    viewpoints = {place: title for place, title in VIEWPOINTS.items() if place in measured}
    hits = {measure: words for measure, words in HITS.items() if measure in table}
    figure, axes = panels(len(hits), len(viewpoints), heights=[height] * len(hits), sharex="col", sharey="row", **shape)
    colours = view_colours(named.values())
    for (task, view), column in zip(viewpoints, axes.T, strict=True):
        of_panel = table[(table.task == task) & (table["view"] == view)]
        for axis, measure in zip(column, hits, strict=True):
            ends = []
            for model in [*(name for name in names if name not in named), *named]:
                part = of_panel[of_panel.model == model]
                if model not in named:
                    axis.plot(part.level, part[measure], color=OTHER_RUNS, linewidth=0.7, zorder=1)
                    continue
                colour, line = colours[named[model]], "-" if names[model].startswith("frozen") else "--"
                k = list(named).index(model) - (len(named) - 1) / 2
                places = part.level + 0.012 * k * part.level.max()  # beside each other
                bounds = part[f"{measure}_low"], part[f"{measure}_high"]
                draw_estimates(axis, part[measure], places, bounds, colour, marker="", line=line, upright=True)
                ends.append(Label(names[model], part.level.max(), part[measure].iloc[-1], colour))
            if task == "shift_consistency":
                axis.set_ylim(top=1.02)
                label_ends(axis, ends, height=height)
        column[0].set_title(viewpoints[task, view], fontsize=7)
        column[-1].locator_params(axis="x", nbins=3)
        column[-1].set_xlabel("metres" if task == "offset_consistency" else "degrees")
    for row, words in zip(axes, hits.values(), strict=True):
        row[0].set_ylabel(words)
    axes[0, list(viewpoints).index(("shift_consistency", PANORAMA))].set_xticks([0, 90, 180, 270])
    add_note(figure, "grey: the other methods", interval)
    return figure


def run_label(run: pd.Series) -> str:
    """A fine-tuning run by its method, λ, and the shifts that it drew where they were not all."""
    part_of_shifts = "" if run.shift_range == "0-1" else f", shifts {run.shift_range}"
    return f"{method_words(run.method)}, λ = {run.lam:g}{part_of_shifts}"
