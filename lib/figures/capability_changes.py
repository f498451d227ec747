"""What an adaptation changes of each capability: one large table of coloured numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from clip360.figures.capabilities import reference_label, run_label, task_label
from clip360.figures.layout import panels
from clip360.figures.style import LOSS_TO_GAIN, SMALL, model_label, view_label
from clip360.figures.style import run_label as name_in_words

# The tasks by the unit of their levels; all are shown in hundredths.
UNITS = {
    "accuracy": ("scene_category", "shape", "colour"),
    "first rank": ("image_to_text", "text_to_image", "worst_shift_hit", "shift_consistency", "offset_consistency"),
    "ROC area": ("presence",),
    "advantage": ("attributes",),
}
SPAN = 30  # hundredths; a change of this size has full colour
CELL, HEADS, BAR = 0.19, 2.3, 0.62  # inches: height of a row, of the labels above all columns, of the colour bar below
BETWEEN = 0.3  # inches between two bands of blocks
MOST_COLUMNS = 26  # whose numbers stand apart
NARROW = 3  # columns; a block of so few has no room for the whole name of a model


class Column(NamedTuple):
    """A column of the table: the changes of a run, or the levels of its reference; a gap has no run."""

    run: str
    levels: bool
    words: str


def capability_heatmap(changes: pd.DataFrame) -> Figure:
    """What each adaptation changes of each capability, in hundredths: a column for each run, beside its reference's levels.

    ``changes`` are those of ``stats.capabilities.capability_changes``. A block of rows for each unit, a block of columns for each reference,
    whose levels stand in its first column; blocks that have no room beside each other stand below. Only decided changes have a colour; the others are grey.
    """
    units = {unit: _places(changes, tasks) for unit, tasks in UNITS.items()}
    units = {unit: places for unit, places in units.items() if places}
    bands = _bands(_blocks(changes))
    shape = {"left": 2.3, "right": 0.72, "top": HEADS, "bottom": BAR, "gaps": (0, 0.07)}
    heights = [CELL * len(places) for places in units.values()]
    figure, axes = panels(len(units), 1, heights=heights, bands=len(bands), between=HEADS + BETWEEN, **shape)
    n_columns = max(len(_columns(blocks)) for blocks in bands)
    by_place = changes.set_index(["model", "task", "view"])
    for of_band, blocks in zip(np.split(axes[:, 0], len(bands)), bands, strict=True):
        for axis, (unit, places) in zip(of_band, units.items(), strict=True):
            shown = _panel(axis, by_place, places, _columns(blocks))
            axis.set_xlim(-0.5, n_columns - 0.5)
            axis.set_yticks(range(len(places)), [f"{task_label(task)}, {view_label(view)}" for task, view in places])
            axis.yaxis.set_label_position("right")
            axis.set_ylabel(unit, rotation=0, ha="left", va="center")
        _name_columns(of_band[0], blocks)
    bar = figure.add_axes((0.35, 0.36 / figure.get_figheight(), 0.3, 0.1 / figure.get_figheight()))
    figure.colorbar(shown, cax=bar, orientation="horizontal", label="change, hundredths (grey: not decided)")
    return figure


def _bands(blocks: Mapping[str, list[Column]]) -> list[dict[str, list[Column]]]:
    """Blocks side by side while their numbers have room, the next ones below."""
    bands: list[dict[str, list[Column]]] = [{}]
    for reference, block in blocks.items():
        if bands[-1] and len(_columns(bands[-1] | {reference: block})) > MOST_COLUMNS:
            bands.append({})
        bands[-1][reference] = block
    return bands


def _columns(blocks: Mapping[str, list[Column]]) -> list[Column]:
    """The columns of all blocks, with a gap between two."""
    return [column for block in blocks.values() for column in (*block, Column("", False, ""))][:-1]


def _name_columns(top: Axes, blocks: Mapping[str, list[Column]]) -> None:
    """The names of runs above the columns of the uppermost panel, and those of models above their blocks."""
    columns = _columns(blocks)
    top.xaxis.set_ticks_position("top")
    top.set_xticks(
        [k for k, column in enumerate(columns) if column.run], [c.words for c in columns if c.run], rotation=90
    )
    top.tick_params(length=0)
    start = 0
    for reference, block in blocks.items():
        _head(top, start, len(block), reference)
        start += len(block) + 1


def _places(changes: pd.DataFrame, tasks: Sequence[str]) -> list[tuple[str, str]]:
    """The (task, view) of a unit, in the order of the table."""
    part = changes[changes.task.isin(tasks)]
    return list(part[["task", "view"]].drop_duplicates().itertuples(index=False, name=None))


def _blocks(changes: pd.DataFrame) -> dict[str, list[Column]]:
    """For each reference the column of its levels, then its runs."""
    blocks = {}
    for reference, part in changes.groupby("reference", sort=False):
        labels = {run: run_label(rows.iloc[0]) for run, rows in part.groupby("model", sort=False)}
        several = {
            label for label, count in Counter(labels.values()).items() if count > 1
        }  # they differ in rate or epochs
        runs = [Column(run, False, name_in_words(run) if label in several else label) for run, label in labels.items()]
        blocks[reference] = [Column(runs[0].run, True, reference_label(reference)), *runs]
    return blocks


def _head(axis: Axes, start: int, width: int, reference: str) -> None:
    """A line with the model's name above a block of columns."""
    over = (HEADS - 0.32) / CELL  # rows
    line = {"color": "0.5", "linewidth": 0.8, "clip_on": False, "scalex": False, "scaley": False}
    axis.plot([start - 0.4, start + width - 0.6], [-0.5 - over, -0.5 - over], **line)
    words = model_label(reference.split(", ")[0])
    words = words if width > NARROW else words.removeprefix("CLIP, ").removesuffix(" panoramas")
    style = {"ha": "center", "va": "bottom", "fontsize": 7, "weight": "bold"}
    axis.text(start + (width - 1) / 2, -0.7 - over, words, clip_on=False, **style)


def _panel(
    axis: Axes, changes: pd.DataFrame, places: Sequence[tuple[str, str]], columns: Sequence[Column]
) -> AxesImage:
    """Levels of references and changes of some tasks; returns the coloured image."""
    colours = np.full((len(places), len(columns)), np.nan)
    for (row, column), _ in np.ndenumerate(colours):
        run, levels, _ = columns[column]
        if (run, *places[row]) not in changes.index:
            continue
        cell = changes.loc[(run, *places[row])]
        if levels:
            _write(axis, column, row, 100 * cell.frozen, "", "black")
        elif cell.decided:
            colours[row, column] = value = 100 * cell.change
            _write(axis, column, row, value, "+", "white" if abs(value) > 0.6 * SPAN else "black")
        else:
            axis.add_patch(
                Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="0.95", edgecolor="white", linewidth=0.6)
            )
            _write(axis, column, row, 100 * cell.change, "+", "0.45")
    image = axis.imshow(colours, cmap=LOSS_TO_GAIN, vmin=-SPAN, vmax=SPAN, aspect="auto")
    axis.set_xticks([])
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    return image


def _write(axis: Axes, column: int, row: int, value: float, sign: str, colour: str) -> None:
    text = f"{round(value):{sign}d}".replace("-", "−") if round(value) else "0"
    axis.text(column, row, text, ha="center", va="center", fontsize=SMALL, color=colour)
