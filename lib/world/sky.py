"""The outdoor backdrop above the ground: sky gradient, sun or moon, clouds, stars and the skyline."""

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.world.settings import Skyline
from lib.world.surfaces import cell_hash, mix, noise, smoothstep
from lib.world.vocabulary import RGB

COLUMNS = 1024  # of a skyline's height profile


@dataclass(frozen=True)
class Light:
    """How a kind of light colours the world outdoors."""

    zenith: RGB
    horizon: RGB
    sun: RGB  # strength of direct light
    ambient: RGB
    elevation: float  # of sun or moon, degrees
    clouds: float  # share of the sky
    cloud: RGB
    stars: bool = False


LIGHT = {
    "sunny": Light((0.20, 0.46, 0.88), (0.76, 0.88, 0.98), (0.72, 0.68, 0.60), (0.46, 0.48, 0.52), 42, 0.40, (1, 1, 1)),
    "cloudy": Light(
        (0.55, 0.59, 0.65), (0.80, 0.82, 0.85), (0.20, 0.20, 0.20), (0.62, 0.63, 0.65), 55, 0.95, (0.88, 0.89, 0.91)
    ),
    "sunset": Light(
        (0.30, 0.28, 0.52), (0.99, 0.62, 0.34), (0.70, 0.46, 0.28), (0.44, 0.38, 0.42), 9, 0.55, (0.98, 0.60, 0.50)
    ),
    "starry": Light(
        (0.02, 0.03, 0.10), (0.10, 0.14, 0.28), (0.22, 0.25, 0.34), (0.24, 0.26, 0.36), 38, 0.0, (1, 1, 1), stars=True
    ),
}


def sun_direction(light: str, azimuth: float) -> tuple[float, float, float]:
    """Unit vector towards the sun (or moon), standing at ``azimuth`` degrees."""
    high, az = math.radians(LIGHT[light].elevation), math.radians(azimuth)
    return (math.cos(high) * math.sin(az), math.cos(high) * math.cos(az), math.sin(high))


def skyline_profile(skyline: Skyline, rng: random.Random) -> Tensor:
    """Height of the horizon in degrees for every azimuth, [COLUMNS], wrapping around."""
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
        profile = 0.15 + 0.85 * (0.7 * waves(range(2, 9), 0.6) + 0.3 * waves(range(9, 48), 0.9))
    else:
        profile = 0.15 + 0.85 * waves(range(1, 7), 1.0)
    return profile * skyline.height


def sky_colour(
    direction: Tensor, light: str, sun: Tensor, offset: float, skyline: Skyline, profile: Tensor, spread: float
) -> Tensor:
    """Colours [N, 3] seen along unit directions [N, 3] that miss ground and solids.

    ``offset`` moves the clouds, ``profile`` is the skyline's, ``spread`` the angle of a pixel in radians.
    """
    look = LIGHT[light]
    up = direction[:, 2].clamp(min=0)
    zenith, horizon = direction.new_tensor(look.zenith), direction.new_tensor(look.horizon)
    colour = mix(horizon, zenith, up**0.6)

    toward = (direction * sun).sum(-1).clamp(min=0)
    glow = direction.new_tensor(look.sun)
    if look.stars:
        colour = colour + _stars(direction, spread)[:, None]
        disc = smoothstep(toward, 0.9985, 0.9992)
    else:
        disc = smoothstep(toward, 0.9975, 0.9988)
    colour = colour + glow * (0.45 * toward**24 + 0.5 * toward**220)[:, None] * (1 - 0.7 * float(look.stars))
    colour = mix(colour, torch.ones_like(zenith), disc * float(look.clouds < 0.9))
    if look.clouds:
        colour = mix(colour, *_clouds(direction, look, toward, offset))
    return _stand_skyline(colour.clamp(0, 1), direction, look, skyline, profile)


def _clouds(direction: Tensor, look: Light, toward: Tensor, offset: float) -> tuple[Tensor, Tensor]:
    """Colour and density of clouds on a plane high above."""
    reach = 0.16 / (direction[:, 2].clamp(min=0) + 0.12)
    u, v = direction[:, 0] * reach + offset, direction[:, 1] * reach
    thick = 0.75 * noise(u, v) + 0.25 * noise(4 * u, 4 * v)
    edge = 0.68 - 0.40 * look.clouds
    density = smoothstep(thick, edge, edge + 0.22) * smoothstep(direction[:, 2], 0.0, 0.15) * 0.92
    shade = (1.12 - 0.35 * thick + 0.15 * toward**4).clamp(0, 1.1)
    return direction.new_tensor(look.cloud) * shade[:, None], density


def _stars(direction: Tensor, spread: float) -> Tensor:
    """Brightness of stars: one in a few of the cells of a fine grid in space."""
    place = direction * 55
    cell = place.floor()
    i, j, k = cell.unbind(-1)
    draw = cell_hash(i + 512 * k, j, salt=5)
    size = max(0.22, 30 * spread)
    near = ((place - cell - 0.5) ** 2).sum(-1) / size**2
    return (draw > 0.972) * torch.exp(-near) * (0.5 + 18 * (draw - 0.972))


def _stand_skyline(sky: Tensor, direction: Tensor, look: Light, skyline: Skyline, profile: Tensor) -> Tensor:
    """Paint the skyline over the sky, lit like its surroundings and hazy."""
    height = torch.asin(direction[:, 2].clamp(-1, 1)) * (180 / math.pi)
    low = (height < skyline.height + 1).nonzero()[:, 0]
    height, direction = height[low], direction[low]
    turn = torch.atan2(direction[:, 0], direction[:, 1]) / (2 * math.pi) % 1
    at = turn * COLUMNS
    left = at.floor()
    index = left.long() % COLUMNS
    top = profile[index].lerp(profile[(index + 1) % COLUMNS], at - left)
    if skyline.kind == "buildings":
        top = profile[index]

    body, accent = direction.new_tensor(skyline.colour), direction.new_tensor(skyline.second)
    rise = height / skyline.height
    if skyline.kind == "mountains":
        share = smoothstep(rise + 0.5 * noise(turn * 4, rise * 0.3), 0.70, 0.85)
    elif skyline.kind == "buildings":
        floors, flats = height / 2.0, at / 5.0
        pane = ((floors % 1 > 0.35) & (flats % 1 > 0.4)).to(turn.dtype)
        lit = cell_hash(flats.floor(), floors.floor(), salt=6) < (0.75 if look.stars else 0.45)
        share = pane * lit * (height < top - 0.8)
        body = body * (0.7 + 0.5 * top / skyline.height)[:, None]
    elif skyline.kind == "trees":
        share = smoothstep(noise(turn * 9, rise * 0.12), 0.5, 0.75)
    else:
        share = noise(turn * 3, rise * 0.4)
    bright = direction.new_tensor(look.ambient) + 0.45 * direction.new_tensor(look.sun)
    lamps = 1.0 if skyline.kind == "buildings" and look.stars else bright
    colour = mix(body * bright, accent * lamps, share).clamp(0, 1)
    if skyline.kind in ("hills", "mountains"):
        colour = mix(colour, direction.new_tensor(look.horizon), torch.full_like(share, 0.28))
    painted = sky.clone()
    painted[low] = mix(sky[low], colour, (height < top).to(turn.dtype))
    return painted
