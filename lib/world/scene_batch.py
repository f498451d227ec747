"""S scenes as tensors for the ray tracer: their solids and the places around them."""

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from clip360.world import solids
from clip360.world.furniture import Body, furnish
from clip360.world.scene import Scene, SceneObject
from clip360.world.scene_categories import SCENE_CATEGORIES, Indoors, Surface
from clip360.world.sky import LIGHT, SKYLINES, Sky, skyline_profile, sun_direction
from clip360.world.surfaces import KINDS, Paint
from clip360.world.vocabulary import COLOURS, MATERIALS, PATTERNS, RGB, SHAPES, SIZES

OPENINGS = ("none", "windows", "paintings")
_NO_SURFACE = Surface("noise", (0, 0, 0), (0, 0, 0), 1.0)
_NO_WATER = (0.0, 0.0, 1e9)
# Indoor light: (lamp, ambient, what a window shows near the sill, and near the lintel).
_ROOM_LIGHT: dict[str, tuple[RGB, RGB, RGB, RGB]] = {
    "daylight": ((0.42, 0.42, 0.42), (0.64, 0.64, 0.65), (0.97, 0.98, 1.0), (0.55, 0.75, 0.98)),
    "lamplight": ((0.62, 0.50, 0.33), (0.44, 0.37, 0.29), (0.16, 0.18, 0.30), (0.03, 0.04, 0.10)),
}


class Solids(NamedTuple):
    """K bodies in each of S scenes: first the objects in order, then furniture, then padding. Body k of scene s is k S + s."""

    sphere: Tensor  # [4, K S] centre and radius of the bounding sphere, metres; the radius of padding is negative
    scale: Tensor  # [3, K S] half extents, metres
    turn: Tensor  # [2, K S] cosine and sine of the heading
    body: Tensor  # [K S] index into solids.NAMES
    colour: Tensor  # [3, K S]
    second: Tensor  # [3, K S] the pattern's other colour
    pattern: Tensor  # [K S] index into PATTERNS
    material: Tensor  # [K S] index into MATERIALS


class Room(NamedTuple):
    """Boxes around the origin; those of outdoor scenes are unused."""

    low: Tensor  # [3, S] corner, metres
    high: Tensor  # [3, S]
    open_walls: Tensor  # [4, S] whether wall 0 right, 1 front, 2 left, 3 back has windows
    openings: Tensor  # [S] index into OPENINGS
    window: Tensor  # [2, 3, S] colours behind a window: near the sill, near the lintel


class SceneBatch(NamedTuple):
    """Everything that rays can hit in S scenes."""

    indoors: Tensor  # [S] bool
    bodies: Tensor  # [S] number of bodies
    solids: Solids
    sun: Tensor  # [3, S] outdoors the direction of the sun, indoors the position of the lamp
    direct: Tensor  # [3, S] colour of direct light
    ambient: Tensor  # [3, S]
    offset: Tensor  # [S] shift of textures and clouds, different in each scene
    sky: Sky
    shore: Tensor  # [3, S] water where x a + y b > c
    ground: Paint  # the floor of a room
    wall: Paint
    ceiling: Paint
    room: Room


def batch_scenes(scenes: Sequence[Scene], *, device=None, dtype=torch.float32) -> SceneBatch:
    """The tensors of scenes; each scene's ``detail`` seeds all that its content does not determine."""
    rows = [_scene_row(scene) for scene in scenes]

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
    return SceneBatch(
        bodies=tensor([len(row["bodies"]) for row in rows]),
        solids=_stack_bodies([row["bodies"] for row in rows], tensor),
        sky=Sky(**sky, profile=tensor(torch.stack([row["profile"] for row in rows]))),
        room=Room(**{name: column(name) for name in Room._fields}),
        ground=surfaces("ground"),
        wall=surfaces("wall"),
        ceiling=surfaces("ceiling"),
        **{name: column(name) for name in ("indoors", "sun", "direct", "ambient", "offset", "shore")},
    )


def _scene_row(scene: Scene) -> dict:
    """The values of one scene, by the names of the tensors."""
    category, rng = SCENE_CATEGORIES[scene.category], random.Random(scene.detail)
    bodies = [_object_body(scene_object) for scene_object in scene.objects]
    row = {"offset": rng.random(), "indoors": scene.indoors}
    if isinstance(category, Indoors):
        half = (rng.uniform(4.4, 5.2), rng.uniform(4.4, 5.2))
        first = rng.randrange(4)
        openings = {first, (first + rng.choice((1, 2))) % 4}
        bodies += furnish(category.furniture, half, rng)
        lamp, ambient, *window = _ROOM_LIGHT[scene.light]
        row |= _sky_row(None, None) | {
            "sun": (rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.8), category.height - 0.25),
            "low": (-half[0], -half[1], 0.0),
            "high": (*half, category.height),
            "open_walls": [category.openings == "paintings" or wall in openings for wall in range(4)],
            "openings": OPENINGS.index(category.openings),
            "window": window,
            "shore": _NO_WATER,
        }
        surfaces = (category.floor, category.wall, category.ceiling)
    else:
        light = LIGHT[scene.light]
        lamp, ambient, shore_angle = light.sun, light.ambient, rng.uniform(0, 2 * math.pi)
        row |= {
            "sun": sun_direction(scene.light, rng.uniform(-180, 180)),
            **_sky_row(light, category.skyline),
            "profile": skyline_profile(category.skyline, rng),
            "shore": (math.cos(shore_angle), math.sin(shore_angle), rng.uniform(5.5, 7.0))
            if category.water
            else _NO_WATER,
            "low": (-0.5, -0.5, 0.0),
            "high": (0.5, 0.5, 1.0),
            "open_walls": [False] * 4,
            "openings": 0,
            "window": ((0.0,) * 3,) * 2,
        }
        surfaces = (category.ground, _NO_SURFACE, _NO_SURFACE)
    for name, surface in zip(("ground", "wall", "ceiling"), surfaces, strict=True):
        row[name] = (KINDS.index(surface.kind), surface.colour, surface.second, float(surface.scale))
    return row | {"direct": lamp, "ambient": ambient, "bodies": bodies}


def _sky_row(light, skyline) -> dict:
    """The sky of one scene; an empty one if ``light`` is None (indoors)."""
    if light is None:
        black = (0.0, 0.0, 0.0)
        colours = dict.fromkeys(("zenith", "horizon", "glow", "cloud", "body", "accent", "lamps", "bright"), black)
        numbers = {"clouds": 0.0, "stars": 0.0, "height": 1.0, "skyline": 0}
        return colours | numbers | {"profile": torch.zeros(1024, dtype=torch.float64)}
    bright = tuple(a + 0.45 * s for a, s in zip(light.ambient, light.sun, strict=True))
    lamps_lit = light.stars and skyline.kind == "buildings"
    return {
        "zenith": light.zenith,
        "horizon": light.horizon,
        "glow": light.sun,
        "clouds": float(light.clouds),
        "cloud": tuple(map(float, light.cloud)),
        "stars": float(light.stars),
        "skyline": SKYLINES.index(skyline.kind),
        "body": skyline.colour,
        "accent": skyline.second,
        "lamps": (1.0, 1.0, 1.0) if lamps_lit else bright,
        "bright": bright,
        "height": float(skyline.height),
    }


def _stack_bodies(scenes: list[list[Body]], tensor) -> Solids:
    """The bodies of all scenes, padded to the same number."""
    n_bodies = max(map(len, scenes))
    padding = Body((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 0.0, "cube", (0.0, 0.0, 0.0))
    bodies = [scene[k] if k < len(scene) else padding for k in range(n_bodies) for scene in scenes]
    scale = tensor([b.scale for b in bodies]).T
    radius = torch.where(tensor([b is padding for b in bodies]), -1.0, scale.norm(dim=0) * 1.01)
    angle = [math.radians(b.heading) for b in bodies]
    return Solids(
        sphere=torch.cat([tensor([b.centre for b in bodies]).T, radius[None]]),
        scale=scale.contiguous(),
        turn=tensor([(math.cos(a), math.sin(a)) for a in angle]).T.contiguous(),
        body=tensor([solids.NAMES.index(b.shape) for b in bodies]),
        colour=tensor([b.colour for b in bodies]).T.contiguous(),
        second=tensor([_second_colour(b.colour) for b in bodies]).T.contiguous(),
        pattern=tensor([PATTERNS.index(b.pattern) for b in bodies]),
        material=tensor([MATERIALS.index(b.material) for b in bodies]),
    )


def _object_body(scene_object: SceneObject) -> Body:
    """An object as a body on the ground."""
    scale = tuple(SIZES[scene_object.size] * extent for extent in SHAPES[scene_object.shape])
    az = math.radians(scene_object.azimuth)
    centre = (scene_object.distance * math.sin(az), scene_object.distance * math.cos(az), scale[2])
    return Body(
        centre,
        scale,
        scene_object.heading,
        scene_object.shape,
        COLOURS[scene_object.colour],
        scene_object.pattern,
        scene_object.material,
    )


def _second_colour(colour: RGB) -> RGB:
    """The second colour of a pattern: white with dark colours, near black with light ones."""
    brightness = 0.30 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]
    return (0.97, 0.97, 0.95) if brightness < 0.62 else (0.10, 0.10, 0.12)
