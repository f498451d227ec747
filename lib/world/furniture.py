"""Furniture along the walls of a room: bodies that captions never mention."""

import math
import random
from typing import NamedTuple

from clip360.world.vocabulary import RGB

_WOOD, _DARK, _PALE, _ENAMEL = (0.46, 0.31, 0.19), (0.20, 0.17, 0.16), (0.88, 0.88, 0.86), (0.97, 0.98, 0.99)


class Body(NamedTuple):
    """A convex body in the world: centre and half extents in metres, heading in degrees."""

    centre: tuple[float, float, float]
    scale: tuple[float, float, float]
    heading: float
    shape: str
    colour: RGB
    pattern: str = "plain"
    material: str = "matte"


# Parts of each kind: (along the wall, from the wall, half width, half depth, bottom, top, colour, shape), in metres.
_PARTS: dict[str, list[tuple]] = {
    "sofas": [
        (0.0, 0.10, 1.1, 0.42, 0.0, 0.45, (0.42, 0.43, 0.46), "cube"),
        (0.0, 0.10, 1.1, 0.12, 0.45, 0.95, (0.42, 0.43, 0.46), "cube"),
    ],
    "counters": [
        (0.0, 0.0, 1.70, 0.32, 0.0, 0.86, _PALE, "cube"),
        (0.0, 0.0, 1.75, 0.35, 0.86, 0.93, _WOOD, "cube"),
    ],
    "benches": [
        (0.0, 1.0, 0.9, 0.22, 0.32, 0.45, _WOOD, "cube"),
        (0.0, 1.1, 0.7, 0.12, 0.0, 0.32, _DARK, "cube"),
    ],
    "shelves": [
        (0.0, 0.0, 0.90, 0.30, 0.0, 1.0, _WOOD, "cube"),
        (0.0, 0.0, 0.95, 0.34, 1.0, 1.06, _DARK, "cube"),
    ],
    "tubs": [
        (0.0, 0.0, 0.95, 0.42, 0.0, 0.55, _ENAMEL, "cube"),
        (1.6, 0.0, 0.25, 0.25, 0.0, 0.8, _ENAMEL, "cylinder"),
    ],
    "crates": [
        (0.0, 0.10, 0.6, 0.6, 0.0, 1.2, (0.56, 0.43, 0.27), "cube"),
        (1.35, 0.15, 0.5, 0.5, 0.0, 1.0, (0.50, 0.38, 0.23), "cube"),
    ],
    "desks": [
        (0.0, 0.20, 0.95, 0.40, 0.70, 0.76, _WOOD, "cube"),
        (0.0, 0.20, 0.06, 0.36, 0.0, 0.70, _DARK, "cube"),
        (0.0, 0.35, 0.35, 0.03, 0.82, 1.25, _DARK, "cube"),
    ],
}


def furnish(kind: str, half_widths: tuple[float, float], rng: random.Random) -> list[Body]:
    """Furniture of one kind at two walls of a room of half widths ``half_widths`` (metres), away from the objects in the middle."""
    bodies = []
    for wall in rng.sample(range(4), 2):
        shift, angle = rng.uniform(-1.8, 1.8), wall * math.pi / 2
        for along, gap, half_width, half_depth, bottom, top, colour, shape in _PARTS[kind]:
            reach, side, half_height = half_widths[wall % 2] - gap - half_depth, along + shift, (top - bottom) / 2
            x = reach * math.cos(angle) - side * math.sin(angle)
            y = reach * math.sin(angle) + side * math.cos(angle)
            centre, extents = (x, y, bottom + half_height), (half_depth, half_width, half_height)
            bodies.append(Body(centre, extents, math.degrees(angle), shape, colour))
    return bodies
