"""What models can do, and what an adaptation changes of it."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from clip360.figures.style import PAGE, method_words, model_label, view_label
from clip360.names import BLIND
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
# The tasks by the unit of their levels; all are shown in hundredths.
UNITS = {
    "accuracy": ("scene_category", "shape", "colour"),
    "first rank": ("image_to_text", "text_to_image", "worst_shift_hit", "shift_consistency", "offset_consistency"),
    "ROC area": ("presence",),
    "advantage": ("attributes",),
}
SPAN = 30  # hundredths; a change of this size has full colour
CELL = 0.2  # inches, height of a row


def task_label(task: str) -> str:
    """A task's name in words.

    >>> task_label("scene_category"), task_label("colour")
    ('scene category', 'colour')
    """
    return TASKS.get(task, task.replace("_", " "))


def capability_heatmap(changes: pd.DataFrame) -> Figure:
    """What each adaptation changes of each capability, in hundredths: a column for each run, beside its reference's levels.

    ``changes`` are those of ``stats.capabilities.capability_changes``. A block of rows for each unit, a block of columns for each reference,
    whose levels stand in its first column. Only decided changes have a colour; the others are hatched.
    """
    blocks = list(changes.groupby("reference", sort=False))
    units = {unit: _rows(changes, tasks) for unit, tasks in UNITS.items()}
    units = {unit: rows for unit, rows in units.items() if rows}
    widths, heights = [1 + part.model.nunique() for _, part in blocks], [len(rows) for rows in units.values()]
    figure, axes = plt.subplots(
        len(units), len(blocks), squeeze=False, width_ratios=widths, height_ratios=heights,
        figsize=(PAGE, CELL * sum(heights) + 2.1), sharex="col", sharey="row",
    )  # fmt: skip
    for row, (unit, places) in enumerate(units.items()):
        for column, (reference, part) in enumerate(blocks):
            axis = axes[row, column]
            shown = _block(axis, part.set_index(["model", "task", "view"]), places)
            if row == 0:
                _head(axis, reference, part)
            if column == 0:
                words = [f"{task_label(task)}, {view_label(view)}" for task, view in places]
                axis.set_yticks(range(len(places)), words)
        axes[row, -1].yaxis.set_label_position("right")
        axes[row, -1].set_ylabel(unit, rotation=0, ha="left", va="center")
    figure.colorbar(
        shown, ax=axes, location="bottom", aspect=60, shrink=0.6, label="change, hundredths (red: worse, hatched: not decided)"
    )
    return figure


def _rows(changes: pd.DataFrame, tasks: Sequence[str]) -> list[tuple[str, str]]:
    """The (task, view) of a unit, in the order of the table."""
    part = changes[changes.task.isin(tasks)]
    return list(part[["task", "view"]].drop_duplicates().itertuples(index=False, name=None))


def _block(axis: Axes, part: pd.DataFrame, places: Sequence[tuple[str, str]]):
    """Reference levels and changes of some tasks, one column for each run; returns the coloured image."""
    runs = list(dict.fromkeys(part.index.get_level_values("model")))
    table = {run: part.loc[run].reindex(places) for run in runs}
    change = np.stack([100 * table[run].change for run in runs], axis=1)
    decided = np.stack([table[run].decided.fillna(False).astype(bool) for run in runs], axis=1)
    colours = np.hstack([np.full((len(places), 1), np.nan), np.where(decided, change, np.nan)])
    shown = axis.imshow(colours, cmap="RdBu", vmin=-SPAN, vmax=SPAN, aspect="auto")
    for row, level in enumerate(table[runs[0]].frozen):
        _write(axis, 0, row, 100 * level, "", "black")
    for (row, column), value in np.ndenumerate(change):
        if not np.isfinite(value):
            continue
        if not decided[row, column]:
            place = (column + 0.5, row - 0.5)
            axis.add_patch(Rectangle(place, 1, 1, facecolor="0.95", edgecolor="0.82", hatch="////", linewidth=0))
        dark = decided[row, column] and abs(value) > 0.7 * SPAN
        _write(axis, column + 1, row, value, "+", "white" if dark else "black" if decided[row, column] else "0.35")
    axis.axvline(0.5, color="black", linewidth=0.8)
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    return shown


def _write(axis: Axes, column: int, row: int, value: float, sign: str, colour: str) -> None:
    if np.isfinite(value):
        text = f"{round(value):{sign}d}".replace("+0", "0")
        axis.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)


def _head(axis: Axes, reference: str, part: pd.DataFrame) -> None:
    """Names of the columns, upright above them."""
    model, *views = reference.split(", ")
    frozen = ", ".join(["frozen", *map(view_label, views)])
    runs = [_run_label(rows.iloc[0]) for _, rows in part.groupby("model", sort=False)]
    axis.xaxis.set_ticks_position("top")
    axis.set_xticks(range(1 + len(runs)), [frozen, *runs], rotation=90)
    axis.tick_params(labeltop=True, labelbottom=False)
    axis.set_title(model_label(model, separator="\n" if len(runs) < 4 else ", "), fontsize=7, pad=4)


def _run_label(run: pd.Series) -> str:
    part_of_shifts = "" if run.shift_range == "0-1" else f", shifts {run.shift_range}"
    return f"{method_words(run.method)}, λ = {run.lam:g}{part_of_shifts}"


def attributes_by_subset(table: pd.DataFrame, names: Mapping[str, str], *, by: str) -> Figure:
    """Advantage over chance in every subset of fine-grained questions, with intervals, one series for each of ``names``.

    ``table`` is that of ``stats.capabilities.attribute_table``; ``names`` maps values of its column ``by`` (such as the
    measure) to the legend. Hollow marks: not decided to exceed chance.
    """
    figure, axis = plt.subplots(figsize=(PAGE, 2.6))
    subsets = list(table.subset.unique())
    places = np.arange(len(subsets))
    for k, ((key, label), marker) in enumerate(zip(names.items(), "osD^vPX*<>", strict=False)):
        part = table[table[by] == key].set_index("subset").reindex(subsets)
        x, colour = places + 0.8 * ((k + 0.5) / len(names) - 0.5), "0.5" if key == BLIND else f"C{k}"
        spread = [part.advantage - part.advantage_low, part.advantage_high - part.advantage]
        axis.errorbar(x, part.advantage, yerr=spread, fmt="none", linewidth=0.8, color=colour)
        axis.plot(x, part.advantage, marker, markersize=3.5, mfc="white", color=colour)
        decided = part.decided.to_numpy(dtype=bool)
        axis.plot(x[decided], part.advantage[decided], marker, markersize=3.5, color=colour)
        axis.plot([], [], marker, markersize=3.5, color=colour, label=label)
    axis.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axis.set_xticks(places, subsets)
    axis.set(ylabel="advantage over chance\n(hollow: not decided)", ylim=(None, 1.02))
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def view_cost_bars(table: pd.DataFrame) -> Figure:
    """Change of the level from another view to the whole panorama, with intervals, a panel for each model.

    ``table`` is that of ``stats.capabilities.view_costs``. Hollow marks: not decided.
    """
    models = list(table.groupby("model", sort=False))
    figure, axes = plt.subplots(1, len(models), figsize=(PAGE, 1.9), sharey=True, sharex=True, squeeze=False)
    for axis, (model, part) in zip(axes[0], models, strict=True):
        places = -np.arange(len(part))
        middle = 100 * part.change
        spread = [middle - 100 * part.change_low, 100 * part.change_high - middle]
        axis.errorbar(middle, places, xerr=spread, fmt="none", linewidth=0.8, color="C0")
        axis.plot(middle, places, "o", markersize=4, mfc="white", color="C0")
        decided = part.decided.to_numpy(dtype=bool)
        axis.plot(middle[decided], places[decided], "o", markersize=4, color="C0")
        axis.axvline(0, color="0.7", linewidth=0.8)
        axis.set_title(model_label(model))
        axis.set_yticks(places, [f"{task_label(row.task)}, against {view_label(row.other)}" for row in part.itertuples()])
    figure.supxlabel("panorama minus the other view, hundredths (hollow: not decided)", fontsize=8)
    return figure


def viewpoint_curves(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Same-scene hits (above) and zero-shot accuracy of the scene category (below) by camera offset or shift, with intervals.

    ``table`` is that of ``stats.capabilities.viewpoint_table``; ``names`` gives the legend for each model.
    """
    panels = {
        ("offset_consistency", "panorama"): "panorama, camera offset",
        ("offset_consistency", "perspective"): "perspective view, camera offset",
        ("shift_consistency", "panorama"): "panorama, shifted",
    }
    measures = {"same_scene": "same scene first", "scene_category": "scene category, top-1"}
    figure, axes = plt.subplots(2, len(panels), figsize=(PAGE, 4.2), sharex="col", sharey="row")
    for (task, view), column in zip(panels, axes.T, strict=True):
        for (measure, label), axis in zip(measures.items(), column, strict=True):
            for k, (model, name) in enumerate(names.items()):
                part = table[(table.model == model) & (table.task == task) & (table["view"] == view)]
                step = 0.012 * part.level.max() * (k - (len(names) - 1) / 2)  # beside each other
                spread = [part[measure] - part[f"{measure}_low"], part[f"{measure}_high"] - part[measure]]
                axis.errorbar(
                    part.level + step, part[measure], yerr=spread, fmt="o-", markersize=2.5, linewidth=0.7, label=name
                )
            if axis in axes[:, 0]:
                axis.set_ylabel(label)
        column[0].set_title(panels[task, view])
        column[1].set_xlabel("metres" if task == "offset_consistency" else "degrees")
    axes[0, 2].set_xticks([0, 90, 180, 270])
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure
