"""Scenes made ready for rendering: their solids and the places around them as tensors, S scenes side by side."""

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from clip360.world import solids
from clip360.world.furniture import Body, furnish
from clip360.world.scene import Scene, Thing
from clip360.world.scene_categories import SETTINGS, Indoors, Surface
from clip360.world.sky import LIGHT, SKYLINES, Sky, skyline_profile, sun_direction
from clip360.world.surfaces import KINDS, Paint
from clip360.world.vocabulary import COLOURS, MATERIALS, PATTERNS, RGB, SHAPES, SIZES

OPENINGS = ("none", "windows", "paintings")
_NOWHERE = Surface("noise", (0, 0, 0), (0, 0, 0), 1.0)
_DRY = (0.0, 0.0, 1e9)
# Indoor light: (lamp, ambient, what a window shows near the sill, and near the lintel).
_ROOM_LIGHT: dict[str, tuple[RGB, RGB, RGB, RGB]] = {
    "daylight": ((0.42, 0.42, 0.42), (0.64, 0.64, 0.65), (0.97, 0.98, 1.0), (0.55, 0.75, 0.98)),
    "lamplight": ((0.62, 0.50, 0.33), (0.44, 0.37, 0.29), (0.16, 0.18, 0.30), (0.03, 0.04, 0.10)),
}


class Solids(NamedTuple):
    """K bodies in each of S scenes: the things first, in order, then furniture, then none; body k of scene s at k S + s."""

    sphere: Tensor  # [4, K S] centre and radius of the bounding sphere, metres; the radius is below 0 where there is no body
    scale: Tensor  # [3, K S] half extents, metres
    turn: Tensor  # [2, K S] cosine and sine of the heading
    body: Tensor  # [K S] index into solids.NAMES
    colour: Tensor  # [3, K S]
    second: Tensor  # [3, K S] the pattern's other colour
    pattern: Tensor  # [K S] index into PATTERNS
    material: Tensor  # [K S] index into MATERIALS


class Room(NamedTuple):
    """Boxes around the origin, 1 x 1 x 1 for scenes outdoors, where they are never met."""

    low: Tensor  # [3, S] corner, metres
    high: Tensor  # [3, S]
    open_walls: Tensor  # [4, S] whether wall 0 right, 1 front, 2 left, 3 back has windows
    openings: Tensor  # [S] index into OPENINGS
    window: Tensor  # [2, 3, S] colours behind a window: near the sill, near the lintel


class Stage(NamedTuple):
    """Everything that rays can meet in S scenes."""

    indoors: Tensor  # [S] bool
    bodies: Tensor  # [S] how many bodies there are
    solids: Solids
    sun: Tensor  # [3, S] outdoors the direction of the sun, indoors the position of the lamp
    direct: Tensor  # [3, S] colour of direct light
    ambient: Tensor  # [3, S]
    offset: Tensor  # [S] moves textures and clouds between scenes
    sky: Sky
    shore: Tensor  # [3, S] water where x a + y b > c
    ground: Paint  # the floor of a room
    wall: Paint
    ceiling: Paint
    room: Room


def set_stage(scenes: Sequence[Scene], *, device=None, dtype=torch.float32) -> Stage:
    """Resolve the looks of scenes; everything random comes from each scene's ``detail``."""
    rows = [_outfit(scene) for scene in scenes]

    def tensor(values) -> Tensor:
        values = torch.as_tensor(values)
        return values.to(device=device, dtype=dtype if values.is_floating_point() else None)

    def column(name: str) -> Tensor:
        """One attribute of all scenes, the scene last."""
        values = tensor([row[name] for row in rows])
        return values.movedim(0, -1) if values.dim() else values

    def surfaces(name: str) -> Paint:
        kind, colour, second, scale = zip(*(row[name] for row in rows), strict=True)
        return Paint(tensor(kind), tensor(colour).T, tensor(second).T, tensor(scale))

    sky = {name: column(name) for name in Sky._fields if name != "profile"}
    return Stage(
        bodies=tensor([len(row["bodies"]) for row in rows]),
        solids=_stack_bodies([row["bodies"] for row in rows], tensor),
        sky=Sky(**sky, profile=tensor(torch.stack([row["profile"] for row in rows]))),
        room=Room(**{name: column(name) for name in Room._fields}),
        ground=surfaces("ground"),
        wall=surfaces("wall"),
        ceiling=surfaces("ceiling"),
        **{name: column(name) for name in ("indoors", "sun", "direct", "ambient", "offset", "shore")},
    )


def _outfit(scene: Scene) -> dict:
    """The looks of one scene by the names of the tensors they become."""
    setting, rng = SETTINGS[scene.setting], random.Random(scene.detail)
    bodies = [_stand(thing) for thing in scene.things]
    row = {"offset": rng.random(), "indoors": scene.indoors}
    if isinstance(setting, Indoors):
        half = (rng.uniform(4.4, 5.2), rng.uniform(4.4, 5.2))
        first = rng.randrange(4)
        openings = {first, (first + rng.choice((1, 2))) % 4}
        bodies += furnish(setting.furniture, half, rng)
        lamp, ambient, *window = _ROOM_LIGHT[scene.light]
        row |= _sky_row(None, None) | {
            "sun": (rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.8), setting.height - 0.25),
            "low": (-half[0], -half[1], 0.0),
            "high": (*half, setting.height),
            "open_walls": [setting.openings == "paintings" or wall in openings for wall in range(4)],
            "openings": OPENINGS.index(setting.openings),
            "window": window,
            "shore": _DRY,
        }
        surfaces = (setting.floor, setting.wall, setting.ceiling)
    else:
        look = LIGHT[scene.light]
        lamp, ambient, away = look.sun, look.ambient, rng.uniform(0, 2 * math.pi)
        row |= {
            "sun": sun_direction(scene.light, rng.uniform(-180, 180)),
            **_sky_row(look, setting.skyline),
            "profile": skyline_profile(setting.skyline, rng),
            "shore": (math.cos(away), math.sin(away), rng.uniform(5.5, 7.0)) if setting.water else _DRY,
            "low": (-0.5, -0.5, 0.0),
            "high": (0.5, 0.5, 1.0),
            "open_walls": [False] * 4,
            "openings": 0,
            "window": ((0.0,) * 3,) * 2,
        }
        surfaces = (setting.ground, _NOWHERE, _NOWHERE)
    for name, surface in zip(("ground", "wall", "ceiling"), surfaces, strict=True):
        row[name] = (KINDS.index(surface.kind), surface.colour, surface.second, float(surface.scale))
    return row | {"direct": lamp, "ambient": ambient, "bodies": bodies}


def _sky_row(look, skyline) -> dict:
    """The sky of one scene; of an indoor scene, an empty one."""
    if look is None:
        black = (0.0, 0.0, 0.0)
        colours = dict.fromkeys(("zenith", "horizon", "glow", "cloud", "body", "accent", "lamps", "bright"), black)
        numbers = {"clouds": 0.0, "stars": 0.0, "height": 1.0, "skyline": 0}
        return colours | numbers | {"profile": torch.zeros(1024, dtype=torch.float64)}
    bright = tuple(a + 0.45 * s for a, s in zip(look.ambient, look.sun, strict=True))
    shines = look.stars and skyline.kind == "buildings"
    return {
        "zenith": look.zenith,
        "horizon": look.horizon,
        "glow": look.sun,
        "clouds": float(look.clouds),
        "cloud": tuple(map(float, look.cloud)),
        "stars": float(look.stars),
        "skyline": SKYLINES.index(skyline.kind),
        "body": skyline.colour,
        "accent": skyline.second,
        "lamps": (1.0, 1.0, 1.0) if shines else bright,
        "bright": bright,
        "height": float(skyline.height),
    }


def _stack_bodies(scenes: list[list[Body]], tensor) -> Solids:
    """The bodies of all scenes, filled up to the same number."""
    most = max(map(len, scenes))
    none = Body((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 0.0, "cube", (0.0, 0.0, 0.0))
    bodies = [scene[k] if k < len(scene) else none for k in range(most) for scene in scenes]
    scale = tensor([b.scale for b in bodies]).T
    radius = torch.where(tensor([b is none for b in bodies]), -1.0, scale.norm(dim=0) * 1.01)
    angle = [math.radians(b.heading) for b in bodies]
    return Solids(
        sphere=torch.cat([tensor([b.centre for b in bodies]).T, radius[None]]),
        scale=scale.contiguous(),
        turn=tensor([(math.cos(a), math.sin(a)) for a in angle]).T.contiguous(),
        body=tensor([solids.NAMES.index(b.shape) for b in bodies]),
        colour=tensor([b.colour for b in bodies]).T.contiguous(),
        second=tensor([_other(b.colour) for b in bodies]).T.contiguous(),
        pattern=tensor([PATTERNS.index(b.pattern) for b in bodies]),
        material=tensor([MATERIALS.index(b.material) for b in bodies]),
    )


def _stand(thing: Thing) -> Body:
    """A thing as a body on the ground."""
    scale = tuple(SIZES[thing.size] * extent for extent in SHAPES[thing.shape])
    az = math.radians(thing.azimuth)
    centre = (thing.distance * math.sin(az), thing.distance * math.cos(az), scale[2])
    return Body(centre, scale, thing.heading, thing.shape, COLOURS[thing.colour], thing.pattern, thing.material)


def _other(colour: RGB) -> RGB:
    """What a pattern sets beside a colour: white beside dark ones, near black beside light ones."""
    brightness = 0.30 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]
    return (0.97, 0.97, 0.95) if brightness < 0.62 else (0.10, 0.10, 0.12)
