"""Where panels stand, those of many models in several bands, with their titles, notes and estimates."""

import textwrap
from collections.abc import Sequence
from typing import Literal, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clip360.figures.style import MARKERS, PAGE, SMALL, image_set_label, set_colours

POINT = 1 / 72  # inches
LETTER, BOLD_LETTER = 0.56, 0.65  # mean width of a letter by its size
MOST_PANELS = 4  # of models, beside each other
Values = float | pd.Series | np.ndarray
Shared = Literal[False, "row", "col", "all"]


class ModelPanels(NamedTuple):
    """A panel for each model and row; where models are many, ``n_columns`` stand beside each other and the next ones below, in another band."""

    figure: Figure
    axes: np.ndarray  # [n_rows, n_models], wherever a panel stands
    n_columns: int

    @property
    def firsts(self) -> np.ndarray:
        """The leftmost panels of all bands [n_rows, n_bands]."""
        return self.axes[:, :: self.n_columns]

    def label_x(self, words: str, row: int = -1) -> None:
        """One label of the x axes of a row, in the middle below its panels; below a band that is not full, from its left edge."""
        for start in range(0, self.axes.shape[1], self.n_columns):
            band = self.axes[row, start : start + self.n_columns]
            if len(band) == self.n_columns:
                middle = band[len(band) // 2]
                left, right, own = (axis.get_position() for axis in (band[0], band[-1], middle))
                middle.set_xlabel(words, x=((left.x0 + right.x1) / 2 - own.x0) / own.width)
            else:
                band[0].set_xlabel(words, x=0, ha="left")


def panels(
    n_rows: int,
    n_columns: int,
    *,
    heights: Sequence[float],
    left: float,
    right: float = 0.08,
    top: float = 0.3,
    bottom: float = 0.5,
    gaps: tuple[float, float] = (0.2, 0.3),
    width: float = PAGE,
    bands: int = 1,
    between: float = 0.0,
    width_ratios: Sequence[float] | None = None,
    **shared,
) -> tuple[Figure, np.ndarray]:
    """A figure with axes [n_rows, n_columns], all sizes in inches; ``shared`` (``sharex``, ``sharey``) is that of ``plt.subplots``.

    ``heights`` are those of the rows, ``gaps`` lie between columns and between rows. With several ``bands`` the same rows stand as often
    below each other, ``between`` apart: axes [bands * n_rows, n_columns]. A solved layout of panels with different heights would differ in the
    last bits between runs.
    """
    step = sum(heights) + gaps[1] * (n_rows - 1) + between  # from one band to the next
    height = top + sum(heights) + gaps[1] * (n_rows - 1) + bottom + step * (bands - 1)
    breadth = (width - left - right - gaps[0] * (n_columns - 1)) / n_columns
    figure = plt.figure(figsize=(width, height), layout="none")
    grids = [
        figure.add_gridspec(
            n_rows,
            n_columns,
            height_ratios=heights,
            width_ratios=width_ratios,
            left=left / width,
            right=1 - right / width,
            top=1 - (top + step * band) / height,
            bottom=(bottom + step * (bands - 1 - band)) / height,
            wspace=gaps[0] / breadth,
            hspace=gaps[1] / np.mean(heights),
        )
        for band in range(bands)
    ]
    return figure, np.concatenate([grid.subplots(squeeze=False, **shared) for grid in grids])


def model_panels(
    titles: Sequence[str],
    heights: Sequence[float],
    *,
    left: float,
    right: float = 0.08,
    top: float = 0.3,
    gaps: tuple[float, float] = (0.2, 0.3),
    between: float = 0.65,
    size: float = 8,
    most: int = MOST_PANELS,
    sharex: Shared = False,
    sharey: Shared = "all",
    **shape,
) -> ModelPanels:
    """``panels`` for models: a column with its title for each, at most ``most`` beside each other, the next ones in bands below.

    ``size`` is that of the titles in points; a title wider than its panel goes on in further lines, for which there is room above each band.
    Axes are shared by panels of all bands alike: in each row, in each model's column, or all.
    """
    n_bands, n_columns = len(bands := in_bands(titles, most)), len(bands[0])
    breadth = (PAGE - left - right - gaps[0] * (n_columns - 1)) / n_columns
    wrapped = [_wrapped(title, breadth + gaps[0] / 2, size) for title in titles]
    added = max(title.count("\n") for title in wrapped) - max(title.count("\n") for title in titles)
    room = 1.2 * added * size * POINT  # for lines beyond those that ``top`` has room for
    place = {"left": left, "right": right, "top": top + room, "gaps": gaps, "bands": n_bands, "between": between + room}
    figure, grid = panels(len(heights), n_columns, heights=heights, **place, **shape)
    return ModelPanels(figure, _by_model(grid, wrapped, len(heights), sharex, sharey, size), n_columns)


def solved_model_panels(
    titles: Sequence[str], n_rows: int, *, height: float, rest: float, sharex: Shared = False, sharey: Shared = "all"
) -> ModelPanels:
    """``model_panels`` of one ``height`` a row with its decorations, in inches, in matplotlib's constrained layout; ``rest`` is for legend and note."""
    n_bands, n_columns = len(bands := in_bands(titles)), len(bands[0])
    wrapped = [_wrapped(title, (PAGE - 0.6) / n_columns, 8) for title in titles]
    size = (PAGE, height * n_rows * n_bands + rest)
    figure, grid = plt.subplots(n_rows * n_bands, n_columns, squeeze=False, figsize=size)
    titles = [f"\n{title}" if k >= n_columns else title for k, title in enumerate(wrapped)]  # apart from the band above
    return ModelPanels(figure, _by_model(grid, titles, n_rows, sharex, sharey, 8), n_columns)


def in_bands(names: Sequence[str], most: int = MOST_PANELS) -> list[Sequence[str]]:
    """Names in bands of at most ``most``, as even as may be.

    >>> in_bands("abc"), in_bands("abcde"), [len(band) for band in in_bands("abcdefghijklm")]
    (['abc'], ['abc', 'de'], [4, 4, 4, 1])
    """
    n_bands = -(-len(names) // most)
    n_columns = -(-len(names) // n_bands)
    return [names[start : start + n_columns] for start in range(0, len(names), n_columns)]


def _wrapped(title: str, breadth: float, size: float) -> str:
    """A title in lines no wider than ``breadth`` inches, broken between words."""
    letters = int(breadth / POINT / (LETTER * size))
    return "\n".join(part for line in title.split("\n") for part in textwrap.wrap(line, letters))


def _by_model(
    grid: np.ndarray, titles: Sequence[str], n_rows: int, sharex: Shared, sharey: Shared, size: float
) -> np.ndarray:
    """The axes [n_rows, n_models] of a grid [n_bands * n_rows, n_columns], shared and with titles; the grid's other axes are removed."""
    n_columns = grid.shape[1]
    axes = np.concatenate(np.split(grid, len(grid) // n_rows), axis=1)
    for axis in axes[:, len(titles) :].flat:
        axis.remove()
    axes = axes[:, : len(titles)]
    for (row, column), axis in np.ndenumerate(axes):
        first = {"all": axes[0, 0], "row": axes[row, 0], "col": axes[0, column]}
        for shared, share in ((sharex, axis.sharex), (sharey, axis.sharey)):
            if shared and axis is not first[shared]:
                share(first[shared])
        if sharex in ("col", "all") and row < n_rows - 1:
            axis.tick_params(axis="x", which="both", labelbottom=False)
        if sharey in ("row", "all") and column % n_columns:
            axis.tick_params(axis="y", which="both", labelleft=False)
        if row == 0:
            axis.set_title(titles[column], fontsize=size)
    return axes


def interval_words(alpha: float, *, replicates: int = 0) -> str:
    """What an interval is, in words.

    >>> interval_words(0.01), interval_words(0.05, replicates=5)
    ('99 % intervals over images', '95 % intervals over 5 replicates')
    """
    return f"{100 * (1 - alpha):g} % intervals over {f'{replicates} replicates' if replicates else 'images'}"


def name_panel_row(axis: Axes, name: str, *, height: float, size: float = 8) -> None:
    """A bold name along the left side of the first panel of a row, in lines no longer than its ``height`` in inches."""
    letters = max(int(height / POINT / (BOLD_LETTER * size)), 1)
    axis.set_ylabel("\n".join(textwrap.wrap(name, letters)), weight="bold", fontsize=size)


def add_note(figure: Figure, *parts: str) -> None:
    """A line in small letters below a figure: what its marks and intervals are."""
    placed = figure.get_layout_engine() is None  # a solved layout finds the place itself
    height = {"y": min(0.01, 0.1 / figure.get_figheight())} if placed else {}
    figure.supxlabel("; ".join(filter(None, parts)), x=0.995, ha="right", fontsize=SMALL, color="0.35", **height)


def add_set_legend(figure: Figure, sets: Sequence[str], *, x: float) -> None:
    """The colours and marks of image sets, at the top of a figure around ``x``, a fraction of its width."""
    colours = set_colours(sets)
    handles = [
        plt.Line2D(
            [], [], color=colours[name], marker=marker, markersize=3.5, linestyle="", label=image_set_label(name)
        )
        for name, marker in zip(sets, MARKERS, strict=False)
    ]
    figure.legend(handles=handles, loc="upper center", ncols=len(handles), bbox_to_anchor=(x, 1))


def name_rows(axis: Axes, words: Sequence[str], headings: Sequence[bool], *, left: float) -> None:
    """Names of the rows 0, 1, ... of a panel, from top to bottom; headings are bold and begin at the figure's left edge.

    ``left`` is the distance of the panel from that edge in inches.
    """
    rows = list(zip(range(len(words)), words, headings, strict=True))
    axis.set_yticks([k for k, _, heading in rows if not heading], [name for _, name, heading in rows if not heading])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(words) - 0.4, -0.6)
    for k, name, heading in rows:
        if heading:
            place = {"xycoords": axis.get_yaxis_transform(), "textcoords": "offset points", "annotation_clip": False}
            axis.annotate(name, (0, k), ((0.04 - left) / POINT, 0), va="center", fontsize=7, weight="bold", **place)


def draw_estimates(
    axis: Axes,
    values: Values,
    places: Values,
    intervals: tuple[Values, Values],
    colour: str,
    *,
    decided: bool = True,
    marker: str = "o",
    line: str = "none",
    upright: bool = False,
    **style,
) -> None:
    """Estimates at ``places`` as marks, with their intervals as lines along x, or along y if ``upright``.

    ``values``, ``places`` and the two ends ``intervals`` are numbers or [N]. A mark is filled where the estimate is decided, hollow where it is
    not; ``line`` joins them; ``style`` goes to the marks.
    """
    ends = {"color": colour, "linewidth": 0.9, "clip_on": style.get("clip_on", True)}
    (axis.vlines if upright else axis.hlines)(places, *intervals, **ends)
    x, y = (places, values) if upright else (values, places)
    marks = {"markersize": 3.5, "markeredgewidth": 0.8, "linewidth": 0.9, "mfc": colour if decided else "white"}
    # Numbers and arrays alike, so that a single estimate is a line of one point.
    axis.plot(np.atleast_1d(x), np.atleast_1d(y), color=colour, marker=marker, linestyle=line, **marks | style)


def draw_this_run(axis: Axes, value: float, place: float) -> None:
    """This run's number beside a mean over replicates: a grey tick."""
    axis.plot([value], [place], "|", color="0.35", markersize=6.5, markeredgewidth=0.9)
