"""Panels placed by hand, notes below them, and labels beside lines and points that do not overlap."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.optimize import isotonic_regression

from clip360.figures.style import BLACK, MARKERS, PAGE, SMALL, image_set_label, set_colours

POINT = 1 / 72  # inches
LETTER, BOLD_LETTER = 0.56, 0.65  # mean width of a letter by its size
CONTRAST = 4.5  # of letters against white (WCAG 2, 1.4.3)
Values = float | pd.Series | np.ndarray
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
CORNERS = (
    (1, 1),
    (1, -1),
    (-1, 1),
    (-1, -1),
    (1, 0),
    (-1, 0),
    (0, 1),
    (0, -1),
)  # where a label may stand beside a point


class Label(NamedTuple):
    """A text beside a place of a panel, in the panel's data coordinates."""

    text: str
    x: float
    y: float
    colour: str = BLACK


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
    **shared,
) -> tuple[Figure, np.ndarray]:
    """A figure with axes [n_rows, n_columns], all sizes in inches; ``shared`` goes to ``plt.subplots``.

    ``heights`` are those of the rows, ``gaps`` lie between columns and between rows. A solved layout of panels with different heights
    would differ in the last bits between runs.
    """
    height = top + sum(heights) + gaps[1] * (n_rows - 1) + bottom
    breadth = (width - left - right - gaps[0] * (n_columns - 1)) / n_columns
    figure, axes = plt.subplots(
        n_rows,
        n_columns,
        squeeze=False,
        figsize=(width, height),
        height_ratios=heights,
        layout="none",
        gridspec_kw={
            "left": left / width,
            "right": 1 - right / width,
            "top": 1 - top / height,
            "bottom": bottom / height,
            "wspace": gaps[0] / breadth,
            "hspace": gaps[1] / np.mean(heights),
        },
        **shared,
    )
    return figure, axes


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
    figure.supxlabel("; ".join(filter(None, parts)), x=0.995, ha="right", fontsize=SMALL, color="0.35")


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


def ink(colour: str) -> tuple[float, float, float]:
    """A colour, darkened where letters in it would be hard to read on white.

    >>> ink("#000000"), [round(part, 2) for part in ink("#FFFFFF")]
    ((0.0, 0.0, 0.0), [0.47, 0.47, 0.47])
    """
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)  # sRGB, IEC 61966-2-1
    linear *= min(1, (1.05 / CONTRAST - 0.05) / max(linear @ LUMINANCE, 1e-9))
    dark = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return tuple(dark.tolist())


def spread(places: Sequence[float], gap: float) -> np.ndarray:
    """Places moved apart in their order, so that neighbours are at least ``gap`` apart and the squared movement is least.

    >>> spread([0.0, 1.0, 10.0], 3.0).tolist()
    [-1.0, 2.0, 10.0]
    """
    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(len(order))
    moved = np.empty(len(order))
    moved[order] = isotonic_regression(np.asarray(places, dtype=float)[order] - steps).x + steps
    return moved


def label_ends(axis: Axes, labels: Sequence[Label], *, height: float, size: float = 7) -> None:
    """Labels to the right of the ends of lines; ``height`` is that of the panel in inches, its limits have to be final."""
    y = _in_points(axis, labels, (1, height))[:, 1]
    for label, old, new in zip(labels, y, spread(y, size + 1), strict=True):
        style = {"va": "center", "fontsize": size, "color": ink(label.colour), "annotation_clip": False}
        axis.annotate(label.text, (label.x, label.y), (5, new - old), textcoords="offset points", **style)


def label_points(axis: Axes, labels: Sequence[Label], *, size: tuple[float, float], letters: float = SMALL) -> None:
    """Labels beside points, each at the first corner where it covers neither a point nor another label.

    ``size`` is that of the panel in inches, its limits have to be final.
    """
    points = _in_points(axis, labels, size)
    taken = [(x, y, 4.0, 4.0) for x, y in points]  # boxes: centre, half width, half height
    inside = np.array(size) / POINT
    for label, (x, y) in zip(labels, points, strict=True):
        half = (LETTER * letters * len(label.text) / 2, 0.55 * letters)
        boxes = [(x + i * (5 + half[0]), y + j * (4 + half[1]), *half) for i, j in CORNERS]
        free = [k for k, box in enumerate(boxes) if _within(box, inside) and not any(_overlap(box, b) for b in taken)]
        chosen = free[0] if free else 0
        taken.append(boxes[chosen])
        i, j = CORNERS[chosen]
        style = {
            "ha": ("right", "center", "left")[i + 1],
            "va": "center",
            "fontsize": letters,
            "color": ink(label.colour),
            "path_effects": [withStroke(linewidth=1.5, foreground="white")],  # over lines
        }
        offset = (5 * i, j * (4 + half[1]))
        axis.annotate(
            label.text, (label.x, label.y), offset, textcoords="offset points", annotation_clip=False, **style
        )


def _in_points(axis: Axes, labels: Sequence[Label], size: tuple[float, float]) -> np.ndarray:
    """Places [N, 2] of labels in a panel of this size (inches), in points from its lower left corner."""
    axis.viewLim  # noqa: B018 -- limits that wait to be computed are computed when they are asked for
    to_panel = axis.transData - axis.transAxes
    return to_panel.transform([(label.x, label.y) for label in labels]) * np.array(size) / POINT


def _within(box: tuple[float, ...], size: np.ndarray) -> bool:
    x, y, half_width, half_height = box
    return half_width <= x <= size[0] - half_width and half_height <= y <= size[1] - half_height


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return abs(one[0] - other[0]) < one[2] + other[2] and abs(one[1] - other[1]) < one[3] + other[3]


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
