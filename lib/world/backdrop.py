"""What a ray hits when it misses every solid: ground, water and sky outdoors, the walls of a room indoors."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from clip360.world.gather import indices, pick, pick_each
from clip360.world.scene_batch import OPENINGS, SceneBatch
from clip360.world.sky import mist, sky_colour
from clip360.world.surfaces import KINDS, cell_hash, noise, paint, palette, smoothstep

FAR = 1e9
HAZE = 70.0  # metres
_PAINTING_COLOURS = (
    (0.75, 0.25, 0.20), (0.20, 0.35, 0.65), (0.90, 0.75, 0.30), (0.25, 0.50, 0.35), (0.85, 0.85, 0.80), (0.30, 0.20, 0.35)
)  # fmt: skip


class Rays(NamedTuple):
    """N rays, each in one scene of a batch."""

    origin: Tensor  # [3, N] metres
    direction: Tensor  # [3, N] unit vectors
    scene: Tensor  # [N] index of the scene
    spread: Tensor  # [N] angle between neighbouring rays, radians

    def pick(self, part: Tensor) -> "Rays":
        """The rays with the indices ``part``."""
        return Rays(*pick_each(part, *self))


class Backdrop(NamedTuple):
    """What N rays hit behind all solids."""

    t: Tensor  # [N] distance, metres
    normal: Tensor  # [3, N]
    albedo: Tensor  # [3, N]
    lit: Tensor  # [N] fraction of the colour that reflects light; the rest is emitted (sky, windows, lava)


def hit_backdrop(batch: SceneBatch, rays: Rays) -> Backdrop:
    """Distance, normal and colour of ground, sky or room for each ray."""
    t = torch.full_like(rays.spread, FAR)
    normal, albedo, lit = torch.zeros_like(rays.direction), torch.empty_like(rays.direction), torch.zeros_like(t)
    indoors, down = batch.indoors[rays.scene], rays.direction[2] < -1e-6
    parts = (indoors, _hit_room), (~indoors & down, _hit_ground), (~indoors & ~down, _hit_sky)
    for mask, hit in parts:
        part = indices(mask)
        if len(part):
            t[part], normal[:, part], albedo[:, part], lit[part] = hit(batch, rays.pick(part))
    return Backdrop(t, normal, albedo, lit)


def _hit_sky(batch: SceneBatch, rays: Rays) -> Backdrop:
    scene = rays.scene
    colour = sky_colour(
        batch.sky, scene, rays.direction, pick(batch.sun, scene), pick(batch.offset, scene), rays.spread
    )
    nothing = torch.zeros_like(rays.spread)
    return Backdrop(nothing + FAR, torch.zeros_like(colour), colour, nothing)


def _hit_ground(batch: SceneBatch, rays: Rays) -> Backdrop:
    scene, steep = rays.scene, -rays.direction[2]
    reach = rays.origin[2] / steep
    x, y = rays.origin[:2] + rays.direction[:2] * reach.clamp(max=400)
    footprint = reach * rays.spread / steep.clamp(min=1e-3)
    offset = pick(batch.offset, scene)
    ground = paint(batch.ground, scene, x + 40 * offset, y, footprint)
    ground = ground * (0.88 + 0.24 * noise(x / 60 + offset, y / 60))
    glows = pick(batch.ground.kind, scene) == KINDS.index("cracks")
    shines = torch.where(glows, smoothstep(ground[0], 0.45, 0.8), 0.0)
    a, b, c = pick(batch.shore, scene)
    wet = indices(x * a + y * b > c - 3)
    if len(wet):
        ground[:, wet], shines[wet] = _add_water(batch, *pick_each(wet, scene, ground, x, y, steep))
    # Haze reflects no light: it blends into the colour of the sky at the horizon.
    haze = mist(torch.zeros_like(reach)) * (1 - torch.exp(-((reach.clamp(max=400) / HAZE) ** 2)))
    albedo = ground.lerp(pick(batch.sky.horizon, scene) * 0.92, haze * (1 - 0.5 * shines))
    normal = torch.zeros_like(rays.direction)
    normal[2] = 1
    return Backdrop(reach, normal, albedo, (1 - haze) * (1 - shines))


def _add_water(
    batch: SceneBatch, scene: Tensor, sand: Tensor, x: Tensor, y: Tensor, steep: Tensor
) -> tuple[Tensor, Tensor]:
    """Colour and opacity of water beyond the shore: deep colour, mirrored sky at grazing angles, ripples, foam at the edge."""
    a, b, c = pick(batch.shore, scene)
    depth = x * a + y * b - c + 1.5 * (noise(x / 30, y / 30) - 0.5)
    ambient, sun = pick(batch.ambient, scene), pick(batch.direct, scene)
    sky = 0.5 * (pick(batch.sky.zenith, scene) + pick(batch.sky.horizon, scene))
    deep = sand.new_tensor((0.05, 0.30, 0.38))[:, None] * (ambient + sun)
    mirror = 0.15 + 0.75 * (1 - steep).clamp(0, 1) ** 5
    water = deep.lerp(sky, mirror) * (0.85 + 0.3 * noise(x / 9 + 0.2, y / 9))
    foam = smoothstep(depth, 0.0, 0.1) * (1 - smoothstep(depth, 0.25, 0.6)) * 0.8
    water = water.lerp(ambient + 0.6 * sun, foam).clamp(0, 1)
    wet = smoothstep(depth, 0.0, 0.06)
    return (sand * (1 - 0.35 * smoothstep(depth, -0.8, 0.0))).lerp(water, wet), wet


def _hit_room(batch: SceneBatch, rays: Rays) -> Backdrop:
    room, scene, direction = batch.room, rays.scene, rays.direction
    low, high = pick(room.low, scene), pick(room.high, scene)
    side = torch.where(direction > 0, high, low)
    t, axis = ((side - rays.origin) / torch.where(direction == 0, 1e-12, direction)).min(0)
    point = rays.origin + direction * t
    across = direction.gather(0, axis[None])[0]
    inward = -across.sign()
    normal = torch.zeros_like(direction).scatter_(0, axis[None], inward[None])
    footprint = t * rays.spread / across.abs().clamp(min=0.02)

    x, y, z = point
    u = torch.where(axis == 0, y, x)
    v = torch.where(axis == 2, y, z)
    is_wall, is_floor = axis < 2, (axis == 2) & (inward > 0)
    albedo, lit = torch.empty_like(direction), torch.ones_like(t)
    shifted = u + 7 * pick(batch.offset, scene)
    part = indices(is_wall)
    albedo[:, part], lit[part] = _paint_walls(batch, *pick_each(part, scene, u, v, axis, inward, footprint))
    for surface, mask in ((batch.ground, is_floor), (batch.ceiling, ~is_wall & ~is_floor)):
        part = indices(mask)
        albedo[:, part] = paint(surface, *pick_each(part, scene, shifted, v, footprint))
    sun = pick(batch.sun, scene)
    lamp = (axis == 2) & (inward < 0) & (torch.hypot(x - sun[0], y - sun[1]) < 0.26)
    albedo = torch.where(lamp, albedo.new_tensor((1.0, 0.97, 0.88))[:, None], albedo)
    lit = torch.where(lamp, 0.0, lit)

    # Less light reaches corners: darken within half a metre of the nearest edges.
    to_side = torch.minimum(point - low, high - point).scatter(0, axis[None], FAR)
    corner = (1 - 0.28 * torch.exp(-to_side / 0.45)).prod(0)
    return Backdrop(t, normal, albedo * (1 - (1 - corner) * lit), lit)


def _paint_walls(batch, scene, along, z, axis, inward, footprint) -> tuple[Tensor, Tensor]:
    """Albedo [3, N] and lit [N] of walls: texture, skirting, and windows or paintings on those with openings."""
    albedo = paint(batch.wall, scene, along, z, footprint)
    lit = torch.ones_like(along)
    albedo = torch.where(z < 0.12, albedo * 0.55, albedo)
    wall = (1 - inward).long() + axis  # 0 right, 1 front, 2 left, 3 back
    openings = torch.where(batch.room.open_walls[wall, scene], pick(batch.room.openings, scene), 0)
    part = indices(openings > 0)
    if not len(part):
        return albedo, lit
    glazed = pick(openings, part) == OPENINGS.index("windows")
    scene, wall, along, z = pick_each(part, scene, wall, along, z)

    def either(window: float, painting: float) -> Tensor:
        return torch.where(glazed, window, painting).to(along)

    cell = along / either(2.6, 2.8)
    number, sill, lintel = cell.floor(), either(0.95, 1.15), either(2.35, 2.45)
    u = (cell - number - 0.5) / (either(0.62, 0.58) / 2)  # -1 ... 1 across an opening
    v = (z - sill) / (lintel - sill)  # 0 ... 1 from sill to lintel
    inside = (u.abs() < 1) & (v > 0) & (v < 1)
    frame = (u.abs() > 0.9) | (v < 0.06) | (v > 0.94) | (glazed & ((u.abs() < 0.05) | ((v - 0.6).abs() < 0.03)))
    near, far = pick(batch.room.window, scene)
    view = torch.where(glazed, near.lerp(far, v.clamp(0, 1)), _painting(number, wall, u, v))
    view = torch.where(frame, either(0.96, 0.16), view)
    albedo[:, part] = torch.where(inside, view, pick(albedo, part))
    lit[part] = torch.where(inside & ~frame & glazed, 0.0, pick(lit, part))
    return albedo, lit


def _painting(number: Tensor, wall: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """An abstract painting: two colours divided by a wavy line, and a round spot of a third colour."""
    place = wall.to(u.dtype)
    draw = [cell_hash(number, place, salt=s) for s in (7, 8, 9, 10)]
    line = v > 0.35 + 0.3 * draw[3] + 0.15 * torch.sin(4 * u + 2 * math.pi * draw[0])
    canvas = torch.where(line, palette(_PAINTING_COLOURS, draw[0]), palette(_PAINTING_COLOURS, draw[1]))
    spot = torch.hypot(u - draw[1] + 0.5, 2 * (v - 0.3 - 0.4 * draw[2])) < 0.35
    return torch.where(spot, palette(_PAINTING_COLOURS, draw[2]), canvas)
