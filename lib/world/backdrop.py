"""What a ray meets when it misses every solid: ground, water and sky outdoors, the walls of a room indoors."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lib.world.sky import LIGHT, sky_colour
from lib.world.stage import Stage
from lib.world.surfaces import cell_hash, mix, noise, paint, palette, smoothstep

_FAR = 1e9
_SKY_BY_DAY, _SKY_BY_NIGHT = ((0.97, 0.98, 1.0), (0.55, 0.75, 0.98)), ((0.16, 0.18, 0.30), (0.03, 0.04, 0.10))
_PAINT_COLOURS = (
    (0.75, 0.25, 0.20), (0.20, 0.35, 0.65), (0.90, 0.75, 0.30), (0.25, 0.50, 0.35), (0.85, 0.85, 0.80), (0.30, 0.20, 0.35)
)  # fmt: skip


class Backdrop(NamedTuple):
    """Per ray: ``t`` [N] the distance, ``normal`` [N, 3], ``albedo`` [N, 3], ``lit`` [N] share of the colour that takes
    the light of the scene (the rest shines by itself: sky, windows, lava)."""

    t: Tensor
    normal: Tensor
    albedo: Tensor
    lit: Tensor


def meet_backdrop(stage: Stage, origin: Tensor, direction: Tensor, spread: float) -> Backdrop:
    """Colour what lies behind all solids for rays [N, 3] of ``spread`` radians a pixel."""
    return (_meet_ground if stage.room is None else _meet_room)(stage, origin, direction, spread)


def _meet_ground(stage: Stage, origin: Tensor, direction: Tensor, spread: float) -> Backdrop:
    down = direction[:, 2] < -1e-6
    t = torch.full_like(direction[:, 0], _FAR)
    albedo, lit = torch.empty_like(direction), torch.zeros_like(t)
    setting = stage.setting

    above = (~down).nonzero()[:, 0]
    albedo[above] = sky_colour(
        direction[above], stage.light, stage.sun, stage.offset, setting.skyline, stage.profile, spread
    )
    below = down.nonzero()[:, 0]
    o, d = origin[below], direction[below]
    reach = -o[:, 2] / d[:, 2]
    t[below] = reach
    point = o + d * reach.clamp(max=400)[:, None]
    x, y = point[:, 0], point[:, 1]
    footprint = reach * spread / (-d[:, 2]).clamp(min=1e-3)
    ground = paint(setting.ground, x + 40 * stage.offset, y, footprint)
    ground = ground * (0.88 + 0.24 * noise(x / 60 + stage.offset, y / 60))[:, None]
    shines = torch.zeros_like(reach)
    horizon = direction.new_tensor(LIGHT[stage.light].horizon)
    if setting.ground.kind == "cracks":
        shines = smoothstep(ground[:, 0], 0.45, 0.8)
    if stage.shore:
        ground, shines = _flood(stage, ground, x, y, d, horizon)
    haze = 1 - torch.exp(-((reach.clamp(max=400) / 70) ** 2))
    # Haze takes no light of its own: it mixes towards the sky at the horizon.
    albedo[below] = mix(ground, horizon * 0.92, haze * (1 - 0.5 * shines))
    lit[below] = (1 - haze) * (1 - shines)
    normal = torch.zeros_like(direction)
    normal[:, 2] = 1
    return Backdrop(t, normal, albedo, lit)


def _flood(stage: Stage, sand: Tensor, x: Tensor, y: Tensor, d: Tensor, horizon: Tensor) -> tuple[Tensor, Tensor]:
    """Water beyond the shore: deep colour, mirrored sky at grazing angles, ripples, foam along the edge."""
    a, b, c = stage.shore
    depth = x * a + y * b - c + 1.5 * (noise(x / 30, y / 30) - 0.5)
    look = LIGHT[stage.light]
    sky = 0.5 * (d.new_tensor(look.zenith) + d.new_tensor(look.horizon))
    deep = d.new_tensor((0.05, 0.30, 0.38)) * (d.new_tensor(look.ambient) + d.new_tensor(look.sun))
    mirror = 0.15 + 0.75 * (1 + d[:, 2]).clamp(0, 1) ** 5
    ripple = (0.85 + 0.3 * noise(x / 9 + 0.2, y / 9))[:, None]
    water = mix(deep, sky, mirror) * ripple
    foam = smoothstep(depth, 0.0, 0.1) * (1 - smoothstep(depth, 0.25, 0.6)) * 0.8
    bright = d.new_tensor(look.ambient) + 0.6 * d.new_tensor(look.sun)
    water = mix(water, bright.expand_as(water), foam).clamp(0, 1)
    wet = smoothstep(depth, 0.0, 0.06)
    return mix(sand * (1 - 0.35 * smoothstep(depth, -0.8, 0.0))[:, None], water, wet), wet


def _meet_room(stage: Stage, origin: Tensor, direction: Tensor, spread: float) -> Backdrop:
    room, setting = stage.room, stage.setting
    x_half, y_half = room.half
    low = origin.new_tensor((-x_half, -y_half, 0.0))
    high = origin.new_tensor((x_half, y_half, room.height))
    side = torch.where(direction > 0, high, low)
    reach = (side - origin) / torch.where(direction == 0, 1e-12, direction)
    t, axis = reach.min(-1)
    point = origin + direction * t[:, None]
    inward = -direction.gather(1, axis[:, None])[:, 0].sign()
    normal = torch.zeros_like(direction).scatter_(1, axis[:, None], inward[:, None])
    footprint = t * spread / direction.gather(1, axis[:, None])[:, 0].abs().clamp(min=0.02)

    albedo, lit = torch.empty_like(direction), torch.ones_like(t)
    x, y, z = point.unbind(-1)
    walls = (axis < 2).nonzero()[:, 0]
    along = torch.where(axis == 0, y, x)[walls]
    albedo[walls], lit[walls] = _paper_walls(stage, along, z[walls], axis[walls], inward[walls], footprint[walls])
    for flat, surface in (((axis == 2) & (inward > 0), setting.floor), ((axis == 2) & (inward < 0), setting.ceiling)):
        part = flat.nonzero()[:, 0]
        albedo[part] = paint(surface, x[part] + 7 * stage.offset, y[part], footprint[part])
    lamp = (axis == 2) & (inward < 0) & (torch.hypot(x - stage.sun[0], y - stage.sun[1]) < 0.45)
    albedo[lamp], lit[lamp] = albedo.new_tensor((1.0, 0.97, 0.88)), 0.0

    # Corners gather less light: darken within half a metre of the nearest edges.
    to_side = torch.stack([x_half - x.abs(), y_half - y.abs(), torch.minimum(z, room.height - z)], dim=-1)
    to_side = to_side.scatter(1, axis[:, None], _FAR)
    corner = (1 - 0.28 * torch.exp(-to_side / 0.45)).prod(-1)
    return Backdrop(t, normal, albedo * mix(torch.ones_like(albedo), albedo.new_zeros(3), (1 - corner) * lit), lit)


def _paper_walls(stage, along, z, axis, inward, footprint) -> tuple[Tensor, Tensor]:
    """Walls with their texture, skirting, and windows or paintings on the open ones."""
    albedo = paint(stage.setting.wall, along, z, footprint)
    lit = torch.ones_like(along)
    skirting = (z < 0.12)[:, None]
    albedo = torch.where(skirting, albedo * 0.55, albedo)
    wall = (1 - inward).long() + axis  # 0 right, 1 front, 2 left, 3 back
    if stage.setting.openings == "windows":
        is_open = sum(wall == w for w in stage.room.open_walls).bool()
        cell, width, sill, lintel = along / 2.6, 0.62, 0.95, 2.35
    elif stage.setting.openings == "paintings":
        is_open = torch.ones_like(wall, dtype=torch.bool)
        cell, width, sill, lintel = along / 2.8, 0.58, 1.15, 2.45
    else:
        return albedo, lit
    number = cell.floor()
    u = (cell - number - 0.5) / (width / 2)  # -1 ... 1 across an opening
    v = (z - sill) / (lintel - sill)  # 0 ... 1 from sill to lintel
    inside = is_open & (u.abs() < 1) & (v > 0) & (v < 1)
    frame = (u.abs() > 0.9) | (v < 0.06) | (v > 0.94)
    if stage.setting.openings == "windows":
        frame = frame | (u.abs() < 0.05) | ((v - 0.6).abs() < 0.03)
        near, far = _SKY_BY_DAY if stage.light == "daylight" else _SKY_BY_NIGHT
        view, frame_colour, glow = mix(albedo.new_tensor(near), albedo.new_tensor(far), v.clamp(0, 1)), 0.96, 0.0
    else:
        view = _canvas(number, wall, u, v)
        frame_colour, glow = 0.16, 1.0
    albedo = torch.where((inside & ~frame)[:, None], view, albedo)
    albedo = torch.where((inside & frame)[:, None], albedo.new_tensor(frame_colour), albedo)
    return albedo, torch.where(inside & ~frame, glow, lit)


def _canvas(number: Tensor, wall: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """An abstract painting: two colours divided by a wavy line, and a round spot of a third."""
    place = wall.to(u.dtype)
    pick = [cell_hash(number, place, salt=s) for s in (7, 8, 9, 10)]
    line = v > 0.35 + 0.3 * pick[3] + 0.15 * torch.sin(4 * u + 2 * math.pi * pick[0])
    canvas = torch.where(line[:, None], palette(_PAINT_COLOURS, pick[0]), palette(_PAINT_COLOURS, pick[1]))
    spot = torch.hypot(u - pick[1] + 0.5, 2 * (v - 0.3 - 0.4 * pick[2])) < 0.35
    return torch.where(spot[:, None], palette(_PAINT_COLOURS, pick[2]), canvas)
