"""Labels beside lines and points that do not overlap."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patheffects import withStroke
from scipy.optimize import isotonic_regression

from clip360.figures.layout import LETTER, POINT
from clip360.figures.style import BLACK, SMALL

CONTRAST = 4.5  # of letters against white (WCAG 2, 1.4.3)
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
