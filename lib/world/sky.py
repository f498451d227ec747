"""The outdoor backdrop above the ground: sky gradient, sun or moon, clouds, stars and the skyline."""

import math
import random
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from clip360.world.gather import dot, indices, pick, pick_each
from clip360.world.scene_categories import Skyline
from clip360.world.surfaces import cell_hash, noise, smoothstep
from clip360.world.vocabulary import RGB

COLUMNS = 1024  # of a skyline's height profile
SKYLINES = ("hills", "mountains", "buildings", "trees")


@dataclass(frozen=True)
class Light:
    """The colours of an outdoor scene under one kind of light."""

    zenith: RGB
    horizon: RGB
    sun: RGB  # strength of direct light
    ambient: RGB
    elevation: float  # of sun or moon, degrees
    clouds: float  # fraction of the sky
    cloud: RGB
    stars: bool = False


LIGHT = {
    "sunny": Light((0.20, 0.46, 0.88), (0.76, 0.88, 0.98), (0.72, 0.68, 0.60), (0.46, 0.48, 0.52), 42, 0.40, (1, 1, 1)),
    "cloudy": Light(
        (0.55, 0.59, 0.65), (0.80, 0.82, 0.85), (0.20, 0.20, 0.20), (0.62, 0.63, 0.65), 55, 0.95, (0.88, 0.89, 0.91)
    ),
    "sunset": Light(
        (0.30, 0.28, 0.52), (0.99, 0.62, 0.34), (0.70, 0.46, 0.28), (0.46, 0.40, 0.44), 9, 0.55, (0.98, 0.60, 0.50)
    ),
    "starry": Light(
        (0.02, 0.03, 0.10), (0.10, 0.14, 0.28), (0.30, 0.33, 0.42), (0.34, 0.37, 0.48), 38, 0.0, (1, 1, 1), stars=True
    ),
}


class Sky(NamedTuple):
    """The skies of S scenes (no ray reaches those of indoor scenes)."""

    zenith: Tensor  # [3, S]
    horizon: Tensor  # [3, S]
    glow: Tensor  # [3, S] colour around the sun
    clouds: Tensor  # [S] fraction of the sky
    cloud: Tensor  # [3, S]
    stars: Tensor  # [S] 1 where there are stars and a moon, else 0
    skyline: Tensor  # [S] index into SKYLINES
    body: Tensor  # [3, S] of the skyline
    accent: Tensor  # [3, S]
    lamps: Tensor  # [3, S] the light on the accent colour
    bright: Tensor  # [3, S] the light on the body colour
    height: Tensor  # [S] degrees
    profile: Tensor  # [S, COLUMNS] degrees


def sun_direction(light: str, azimuth: float) -> tuple[float, float, float]:
    """Unit vector towards the sun (or moon) at ``azimuth`` degrees; ``light`` is a key of ``LIGHT``."""
    high, az = math.radians(LIGHT[light].elevation), math.radians(azimuth)
    return (math.cos(high) * math.sin(az), math.cos(high) * math.cos(az), math.sin(high))


def skyline_profile(skyline: Skyline, rng: random.Random) -> Tensor:
    """Height of the skyline in degrees at every azimuth, periodic: float64 [COLUMNS]."""
    azimuth = torch.arange(COLUMNS, dtype=torch.float64) * (2 * math.pi / COLUMNS)

    def waves(frequencies, power):
        terms = [(k, k**-power * rng.uniform(0.4, 1), rng.uniform(0, 2 * math.pi)) for k in frequencies]
        k, strength, phase = torch.tensor(terms, dtype=torch.float64).T[..., None]
        total = (strength * torch.sin(k * azimuth + phase)).sum(0)
        return (total - total.min()) / (total.max() - total.min())

    if skyline.kind == "buildings":
        profile, column = torch.zeros(COLUMNS, dtype=torch.float64), 0
        while column < COLUMNS:
            width = rng.randint(22, 60)
            profile[column : column + width] = rng.uniform(0.3, 1.0) if rng.random() > 0.12 else 0.1
            column += width
    elif skyline.kind == "trees":
        profile = 0.45 + 0.25 * waves(range(3, 12), 0.5)
        crowns = [(rng.uniform(0, 2 * math.pi), rng.uniform(0.03, 0.07), rng.uniform(0.55, 1)) for _ in range(70)]
        centre, half, tall = torch.tensor(crowns, dtype=torch.float64).T[..., None]
        off = (azimuth - centre + math.pi) % (2 * math.pi) - math.pi
        profile = torch.maximum(profile, (tall * (1 - (off / half).abs()).clamp(min=0) ** 0.6).amax(0))
    elif skyline.kind == "mountains":
        profile = 0.15 + 0.85 * (0.7 * waves(range(3, 11), 0.5) + 0.3 * waves(range(11, 60), 0.8))
    else:
        profile = 0.15 + 0.85 * waves(range(1, 7), 1.0)
    return profile * skyline.height


def sky_colour(sky: Sky, scene: Tensor, direction: Tensor, sun: Tensor, offset: Tensor, spread: Tensor) -> Tensor:
    """Colours [3, N] of the sky of ``scene`` [N] in the unit directions [3, N].

    ``sun`` [3, N] is its direction, ``offset`` [N] moves the clouds, ``spread`` [N] is the angle of a pixel in radians.
    """
    stars, clouds = pick(sky.stars, scene), pick(sky.clouds, scene)
    up = direction[2].clamp(min=0)
    colour = pick(sky.horizon, scene).lerp(pick(sky.zenith, scene), up**0.6)
    toward = dot(direction, sun).clamp(min=0)
    glow = (0.45 * toward**24 + 0.5 * toward**220) * (1 - 0.7 * stars)
    colour = colour + pick(sky.glow, scene) * glow
    night = indices(stars > 0)
    colour[:, night] += _stars(pick(direction, night), pick(spread, night))
    disc = smoothstep(toward, 0.9975, 0.9988) * (clouds < 0.9)
    colour = colour.lerp(torch.ones_like(colour), disc)
    cloudy = indices(clouds > 0)
    tint, density = _clouds(*pick_each(cloudy, direction, clouds, toward, offset))
    colour[:, cloudy] = pick(colour, cloudy).lerp(pick(sky.cloud, pick(scene, cloudy)) * tint, density)
    return _paint_skyline(colour.clamp(0, 1), sky, scene, direction)


def mist(height: Tensor) -> Tensor:
    """Opacity in [0, 1] of the haze at ``height`` degrees above the horizon."""
    return 0.12 + 0.43 * torch.exp(-height / 2.5)


def _clouds(direction: Tensor, clouds: Tensor, toward: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Brightness and opacity [N] of clouds on a plane above the scene."""
    reach = 0.16 / (direction[2].clamp(min=0) + 0.12)
    u, v = direction[0] * reach + offset, direction[1] * reach
    thick = 0.75 * noise(u, v) + 0.25 * noise(4 * u, 4 * v)
    edge = 0.68 - 0.40 * clouds
    density = smoothstep(thick - edge, 0.0, 0.22) * smoothstep(direction[2], 0.0, 0.15) * 0.92
    return (1.12 - 0.35 * thick + 0.15 * toward**4).clamp(0, 1.1), density


def _stars(direction: Tensor, spread: Tensor) -> Tensor:
    """Brightness [N] of stars: one each in 3 % of the cells of a grid on the sphere."""
    place = direction * 55
    cell = place.floor()
    i, j, k = cell
    draw = cell_hash(i + 512 * k, j, salt=5)
    offset = place - cell - 0.5
    near = dot(offset, offset) / (30 * spread).clamp(min=0.22) ** 2
    return (draw > 0.972) * torch.exp(-near) * (0.5 + 18 * (draw - 0.972))


def _paint_skyline(colour: Tensor, sky: Sky, scene: Tensor, direction: Tensor) -> Tensor:
    """Paint the skyline over the sky, lit like the rest of the scene and hazy near the ground."""
    # torch.asin depends on the processor, atan2 does not.
    height = torch.atan2(direction[2], torch.hypot(direction[0], direction[1])) * (180 / math.pi)
    low = indices(height < pick(sky.height, scene))
    height, scene, direction = pick_each(low, height, scene, direction)
    turn = torch.atan2(direction[0], direction[1]) / (2 * math.pi) % 1
    at = turn * COLUMNS
    index = at.floor().long() % COLUMNS
    top = sky.profile[scene, index]
    kind, rise = pick(sky.skyline, scene), height / pick(sky.height, scene)
    smooth = top.lerp(sky.profile[scene, (index + 1) % COLUMNS], at - at.floor())
    top = torch.where(kind == SKYLINES.index("buildings"), top, smooth)

    body, accent = pick(sky.body, scene) * pick(sky.bright, scene), pick(sky.accent, scene) * pick(sky.lamps, scene)
    accent_amount = torch.empty_like(turn)
    for name, cover in _COVERS.items():
        part = indices(kind == SKYLINES.index(name))
        if len(part):
            accent_amount[part] = cover(*pick_each(part, turn, rise, height, top), pick(sky.stars, pick(scene, part)))
    painted = body.lerp(accent, accent_amount).lerp(pick(sky.horizon, scene) * 0.92, mist(height))
    colour[:, low] = torch.where(height < top, painted, pick(colour, low))
    return colour


# The amount [N] of accent colour on a skyline of each kind: turn is the azimuth in [0, 1), rise the height as a fraction of
# the maximum, height and top (of the profile) are in degrees, night is 1 or 0.


def _rolling(turn, rise, height, top, night):
    return noise(turn * 3, rise * 0.4)


def _snowcaps(turn, rise, height, top, night):
    return smoothstep(height / top + 0.9 * (noise(turn * 5, rise * 0.5) - 0.5), 0.50, 0.62)


def _lit_panes(turn, rise, height, top, night):
    floors, flats = height / 2.0, turn * (COLUMNS / 5)
    pane = (floors % 1 > 0.35) & (flats % 1 > 0.4) & (height < top - 0.8)
    return (pane & (cell_hash(flats.floor(), floors.floor(), salt=6) < 0.45 + 0.3 * night)).to(turn.dtype)


def _trunks(turn, rise, height, top, night):
    return smoothstep(noise(turn * 9, rise * 0.12), 0.5, 0.75)


_COVERS = {"hills": _rolling, "mountains": _snowcaps, "buildings": _lit_panes, "trees": _trunks}
