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
    units = {unit: _places(changes, tasks) for unit, tasks in UNITS.items()}
    units = {unit: places for unit, places in units.items() if places}
    heights, columns = [len(places) for places in units.values()], _columns(changes)
    figure, axes = plt.subplots(
        len(units), 1, squeeze=False, height_ratios=heights, figsize=(PAGE, CELL * sum(heights) + 2.6)
    )
    for axis, (unit, places) in zip(axes[:, 0], units.items(), strict=True):
        shown = _panel(axis, changes.set_index(["model", "task", "view"]), places, columns)
        axis.set_yticks(range(len(places)), [f"{task_label(task)}, {view_label(view)}" for task, view in places])
        axis.yaxis.set_label_position("right")
        axis.set_ylabel(unit, rotation=0, ha="left", va="center")
    ticks = {k: words for k, (_, _, words) in enumerate(columns) if words}
    axes[0, 0].xaxis.set_ticks_position("top")
    axes[0, 0].set_xticks(list(ticks), list(ticks.values()), rotation=90)
    axes[0, 0].tick_params(length=0)
    label = "change, hundredths (red: worse, hatched: not decided)"
    figure.colorbar(shown, ax=axes, location="bottom", aspect=60, shrink=0.5, label=label)
    return figure


def _places(changes: pd.DataFrame, tasks: Sequence[str]) -> list[tuple[str, str]]:
    """The (task, view) of a unit, in the order of the table."""
    part = changes[changes.task.isin(tasks)]
    return list(part[["task", "view"]].drop_duplicates().itertuples(index=False, name=None))


def _columns(changes: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Columns as (run, what is shown of it, label): for each reference its level and all runs, then a gap."""
    columns = []
    for reference, part in changes.groupby("reference", sort=False):
        runs = [(run, "change", _run_label(rows.iloc[0])) for run, rows in part.groupby("model", sort=False)]
        columns += [(runs[0][0], "frozen", f"{model_label(reference.split(', ')[0])}: {reference_label(reference)}")]
        columns += [*runs, ("", "", "")]
    return columns[:-1]


def reference_label(reference: str) -> str:
    """A frozen model that runs are compared with, by its view where it has one of its own.

    >>> reference_label("clip_p03"), reference_label("clip_p03, squash")
    ('frozen', 'frozen, squash')
    """
    return ", ".join(["frozen", *map(view_label, reference.split(", ")[1:])])


def _panel(
    axis: Axes, changes: pd.DataFrame, places: Sequence[tuple[str, str]], columns: Sequence[tuple[str, str, str]]
):
    """Levels of references and changes of some tasks; returns the coloured image."""
    colours = np.full((len(places), len(columns)), np.nan)
    for (row, column), _ in np.ndenumerate(colours):
        run, shown, _ = columns[column]
        if (run, *places[row]) not in changes.index:
            continue
        cell = changes.loc[(run, *places[row])]
        if shown == "frozen":
            _write(axis, column, row, 100 * cell.frozen, "", "black")
        elif cell.decided:
            colours[row, column] = value = 100 * cell.change
            _write(axis, column, row, value, "+", "white" if abs(value) > 0.7 * SPAN else "black")
        else:
            hatch = {"facecolor": "0.95", "edgecolor": "0.85", "hatch": "/////", "linewidth": 0}
            axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **hatch))
            _write(axis, column, row, 100 * cell.change, "+", "0.3")
    image = axis.imshow(colours, cmap="RdBu", vmin=-SPAN, vmax=SPAN, aspect="auto")
    for column, (_, shown, _) in enumerate(columns):
        if shown == "frozen":
            axis.axvline(column + 0.5, color="black", linewidth=0.8)
    axis.set_xticks([])
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    return image


def _write(axis: Axes, column: int, row: int, value: float, sign: str, colour: str) -> None:
    text = f"{round(value):{sign}d}" if round(value) else "0"
    axis.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)


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
        axis.set_yticks(
            places, [f"{task_label(row.task)}, against {view_label(row.other)}" for row in part.itertuples()]
        )
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
