"""A scene made ready for rendering: its solids as tensors, and the place around them (outdoors or a room)."""

import math
import random
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lib.world import solids
from lib.world.scene import Scene, Thing
from lib.world.settings import SETTINGS, Indoors
from lib.world.sky import LIGHT, skyline_profile, sun_direction
from lib.world.vocabulary import COLOURS, MATERIALS, PATTERNS, RGB, SHAPES, SIZES

ROOM_LIGHT: dict[str, tuple[RGB, RGB]] = {  # (lamp, ambient)
    "daylight": ((0.42, 0.42, 0.42), (0.62, 0.62, 0.63)),
    "lamplight": ((0.62, 0.48, 0.30), (0.36, 0.30, 0.24)),
}


class Solids(NamedTuple):
    """K bodies: the scene's things first, in order, then furniture."""

    centre: Tensor  # [K, 3] metres
    scale: Tensor  # [K, 3] half extents, metres
    turn: Tensor  # [K, 2] cosine and sine of the heading
    bound: Tensor  # [K] radius of the bounding sphere
    body: Tensor  # [K] index into solids.NAMES
    colour: Tensor  # [K, 3]
    second: Tensor  # [K, 3] the pattern's other colour
    pattern: Tensor  # [K] index into PATTERNS
    material: Tensor  # [K] index into MATERIALS


@dataclass(frozen=True)
class Room:
    """A box around the origin: half widths, height, and the walls (0 right, 1 front, 2 left, 3 back) with openings."""

    half: tuple[float, float]
    height: float
    open_walls: tuple[int, ...]


@dataclass(frozen=True)
class Stage:
    """Everything a ray can meet."""

    setting: object
    light: str
    solids: Solids
    sun: Tensor  # [3] outdoors the direction of the sun, indoors the position of the lamp
    direct: Tensor  # [3] colour of direct light
    ambient: Tensor  # [3]
    offset: float  # moves textures and clouds between scenes
    profile: Tensor | None = None  # of the skyline, outdoors
    shore: tuple[float, float, float] | None = None  # water where x a + y b > c, outdoors
    room: Room | None = None


def set_stage(scene: Scene, *, device=None, dtype=torch.float32) -> Stage:
    """Resolve a scene's looks; everything random comes from ``scene.detail``."""
    setting, rng = SETTINGS[scene.setting], random.Random(scene.detail)
    bodies = [_stand(thing) for thing in scene.things]
    shared = {"setting": setting, "light": scene.light, "offset": rng.random()}

    def tensor(values):
        return torch.as_tensor(values, device=device, dtype=dtype)

    if isinstance(setting, Indoors):
        half = (rng.uniform(5.0, 6.2), rng.uniform(5.0, 6.2))
        first = rng.randrange(4)
        room = Room(half, setting.height, (first, (first + rng.choice((1, 2))) % 4))
        bodies += _furnish(setting.furniture, room, rng)
        lamp, ambient = ROOM_LIGHT[scene.light]
        place = {"room": room, "sun": tensor((rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.8), setting.height - 0.25))}
    else:
        look = LIGHT[scene.light]
        lamp, ambient = look.sun, look.ambient
        away = rng.uniform(0, 2 * math.pi)
        place = {
            "sun": tensor(sun_direction(scene.light, rng.uniform(-180, 180))),
            "profile": skyline_profile(setting.skyline, rng).to(tensor(0.0)),
            "shore": (math.cos(away), math.sin(away), rng.uniform(5.5, 7.0)) if setting.water else None,
        }
    centre, scale, heading, body, colour, pattern, material = zip(*bodies, strict=True)
    angle = [math.radians(degrees) for degrees in heading]
    solid = Solids(
        centre=tensor(centre),
        scale=tensor(scale),
        turn=tensor([(math.cos(a), math.sin(a)) for a in angle]),
        bound=tensor(scale).norm(dim=-1) * 1.01,
        body=torch.tensor([solids.NAMES.index(b) for b in body], device=device),
        colour=tensor(colour),
        second=tensor([_other(c) for c in colour]),
        pattern=torch.tensor([PATTERNS.index(p) for p in pattern], device=device),
        material=torch.tensor([MATERIALS.index(m) for m in material], device=device),
    )
    return Stage(solids=solid, direct=tensor(lamp), ambient=tensor(ambient), **place, **shared)


def _stand(thing: Thing) -> tuple:
    """A thing as a body on the ground."""
    scale = tuple(SIZES[thing.size] * extent for extent in SHAPES[thing.shape])
    az = math.radians(thing.azimuth)
    centre = (thing.distance * math.sin(az), thing.distance * math.cos(az), scale[2])
    return centre, scale, thing.heading, thing.shape, COLOURS[thing.colour], thing.pattern, thing.material


def _other(colour: RGB) -> RGB:
    """What a pattern sets beside a colour: white beside dark ones, near black beside light ones."""
    brightness = 0.30 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]
    return (0.97, 0.97, 0.95) if brightness < 0.62 else (0.10, 0.10, 0.12)


def _furnish(kind: str, room: Room, rng: random.Random) -> list[tuple]:
    """Furniture along the walls, clear of the things in the middle."""
    wood, dark, pale = (0.46, 0.31, 0.19), (0.20, 0.17, 0.16), (0.88, 0.88, 0.86)
    parts: list[tuple] = []

    def box(wall, along, depth, wide, deep, low, high, colour, body="cube"):
        """A body at a wall: ``along`` it, its back ``depth`` from it, ``low`` to ``high`` above the floor."""
        turn = wall * math.pi / 2
        reach = room.half[wall % 2] - depth - deep
        x = reach * math.cos(turn) - along * math.sin(turn)
        y = reach * math.sin(turn) + along * math.cos(turn)
        half = (high - low) / 2
        parts.append(((x, y, low + half), (deep, wide, half), math.degrees(turn), body, colour, "plain", "matte"))

    for wall in rng.sample(range(4), 3):
        along = rng.uniform(-1.8, 1.8)
        if kind == "sofas":
            fabric = rng.choice(((0.36, 0.40, 0.46), (0.60, 0.50, 0.42), (0.42, 0.46, 0.36)))
            box(wall, along, 0.1, 1.1, 0.42, 0.0, 0.45, fabric)
            box(wall, along, 0.1, 1.1, 0.12, 0.45, 0.95, fabric)
        elif kind == "counters":
            box(wall, along, 0.0, 1.7, 0.32, 0.0, 0.86, pale)
            box(wall, along, 0.0, 1.75, 0.35, 0.86, 0.93, wood)
        elif kind == "benches":
            box(wall, along, 1.0, 0.9, 0.22, 0.32, 0.45, wood)
            box(wall, along, 1.1, 0.7, 0.12, 0.0, 0.32, dark)
        elif kind == "shelves":
            box(wall, along, 0.0, 0.9, 0.30, 0.0, 1.0, wood)
            box(wall, along, 0.0, 0.95, 0.34, 1.0, 1.06, dark)
        elif kind == "tubs":
            box(wall, along, 0.0, 0.95, 0.42, 0.0, 0.55, (0.97, 0.98, 0.99))
            box(wall, along + 1.6, 0.0, 0.25, 0.25, 0.0, 0.8, (0.97, 0.98, 0.99), "cylinder")
        elif kind == "crates":
            box(wall, along, 0.1, 0.6, 0.6, 0.0, 1.2, (0.56, 0.43, 0.27))
            box(wall, along + 1.35, 0.15, 0.5, 0.5, 0.0, 1.0, (0.50, 0.38, 0.23))
        else:
            box(wall, along, 0.2, 0.95, 0.40, 0.70, 0.76, wood)
            box(wall, along, 0.2, 0.06, 0.36, 0.0, 0.70, dark)
            box(wall, along, 0.35, 0.35, 0.03, 0.82, 1.25, dark)
    return parts
