"""Ray tracing of a batch of scenes: the nearest solid, its pattern and material, light and shadow, one bounce."""

import math

import torch
from torch import Tensor

from clip360.world import solids
from clip360.world.backdrop import Rays, hit_backdrop
from clip360.world.gather import dot, indices, length, pick, pick_each, root
from clip360.world.scene_batch import SceneBatch
from clip360.world.vocabulary import MATERIALS, PATTERNS

NOTHING = -1  # the solid index of rays that hit none
SHADOWS_WITHIN = 25.0  # metres from the origin
_STRIPED, _CHEQUERED, _DOTTED = (PATTERNS.index(name) for name in ("striped", "chequered", "dotted"))
_METALLIC, _GLASS, _GLOWING = (MATERIALS.index(name) for name in ("metallic", "glass", "glowing"))


def trace_rays(batch: SceneBatch, rays: Rays) -> tuple[Tensor, Tensor]:
    """Colours [3, N] in [0, 1] of N rays, and the index [N] of the solid that each hits first, or NOTHING."""
    return _trace(batch, rays, None)


def _trace(batch: SceneBatch, rays: Rays, ignores_glass: Tensor | None) -> tuple[Tensor, Tensor]:
    """``ignores_glass`` [N] marks the bounced rays that pass through glass; None means that the rays come from the camera.

    A bounced ray neither bounces again nor computes shadows.
    """
    bounced = ignores_glass is not None
    back = hit_backdrop(batch, rays)
    ray, solid_index, crossing, local_point = _enter(batch, rays.scene, rays.origin, rays.direction, ignores_glass)
    nearest = back.t.clone().scatter_reduce_(0, ray, crossing.enter, "amin")
    first = indices((crossing.enter == pick(nearest, ray)) & crossing.enter.isfinite())
    # Of two solids at exactly the same distance, the one written last wins.
    winner = torch.full_like(rays.scene, NOTHING)
    winner[ray[first]] = first
    hits = indices(winner >= 0)
    behind = indices(winner < 0)

    point = rays.origin + rays.direction * nearest.clamp(max=400)
    scene, place, normal, lit = pick_each(behind, rays.scene, point, back.normal, back.lit)
    shade = _light_backdrop(batch, scene, place, normal, lit, bounced)
    colour = torch.empty_like(rays.direction)
    colour[:, behind] = pick(back.albedo, behind) * (1 - lit + lit * shade)
    solid = torch.full_like(rays.scene, NOTHING)
    if len(hits):
        pair = pick(winner, hits)
        hit = solids.Crossing(*pick_each(pair, *crossing))
        colour[:, hits] = _shade(
            batch, rays.pick(hits), pick(point, hits), pick(solid_index, pair), pick(local_point, pair), hit, bounced
        )
        solid[hits] = pick(solid_index, pair) // len(batch.indoors)
    return colour.clamp(0, 1), solid


def _enter(batch: SceneBatch, scene: Tensor, origin: Tensor, direction: Tensor, ignores_glass: Tensor | None = None):
    """Pairs (ray, solid) that may intersect: indices of both [P], the crossings, and the entry points [3, P] in the
    coordinates of the solid."""
    s, scenes = batch.solids, len(batch.indoors)
    rays, solids_hit = [], []
    max_bodies = int(pick(batch.bodies, scene).max()) if len(scene) else 1
    for start in range(0, max_bodies * scenes, scenes):
        solid_index = scene + start
        sphere = pick(s.sphere, solid_index)
        away, radius = sphere[:3].sub_(origin), sphere[3]
        along = dot(away, direction)
        # The ray passes through the bounding sphere, in front of its origin.
        passes = (dot(away, away) - along * along < radius * radius) & (along > -radius) & (radius > 0)
        if ignores_glass is not None:
            passes &= ~(ignores_glass & (pick(s.material, solid_index) == _GLASS))
        rays.append(indices(passes))
        solids_hit.append(pick(solid_index, rays[-1]))
    ray, solid_index = torch.cat(rays), torch.cat(solids_hit)

    (cos, sin), scale, centre = pick_each(solid_index, s.turn, s.scale, s.sphere[:3])
    origin, direction = pick_each(ray, origin, direction)

    def local(vector: Tensor) -> Tensor:
        x, y, z = vector
        return torch.stack([cos * x + sin * y, cos * y - sin * x, z]) / scale

    origin, direction = local(origin - centre), local(direction)
    crossing = solids.intersect(origin, direction, pick(s.body, solid_index))
    return ray, solid_index, crossing, origin + direction * crossing.enter.nan_to_num(posinf=0.0)


def _shade(
    batch: SceneBatch, rays: Rays, point: Tensor, solid_index: Tensor, local_point: Tensor, crossing, bounced: bool
) -> Tensor:
    """Colours [3, N] of solids where rays hit them, by material."""
    normal = _world_normal(batch, solid_index, crossing.normal)
    albedo = _albedo(batch, solid_index, local_point, crossing)
    facing = -dot(rays.direction, normal).clamp(-1, 0)
    towards, falling = _lamp(batch, rays.scene, point, normal)
    clear = 1.0 if bounced else _clearance(batch, rays.scene, point, normal, towards, falling > 0)
    ambient = batch.ambient[:, rays.scene] * (0.85 + 0.15 * normal[2])
    colour = albedo * (ambient + batch.direct[:, rays.scene] * (falling * clear))

    material = pick(batch.solids.material, solid_index)
    halo = albedo.lerp(torch.ones_like(albedo), 0.35 * facing**2)
    colour = torch.where(material == _GLOWING, halo * 1.08, colour)
    if bounced:
        return colour

    mirrored = rays.direction + 2 * facing * normal
    gleam = dot(mirrored, towards).clamp(min=0) ** 40
    metal, glass = (indices(material == kind) for kind in (_METALLIC, _GLASS))
    if not len(metal) and not len(glass):
        return colour
    # One call traces all secondary rays: reflections in metal, reflections in glass, and rays through glass.
    source, start = torch.cat([metal, glass, glass]), point + 1e-3 * normal
    straight = len(metal) + len(glass)
    origin = torch.cat([pick(start, source[:straight]), pick(point, glass)], 1)
    direction = torch.cat([pick(mirrored, source[:straight]), pick(rays.direction, glass)], 1)
    spread = torch.cat([4 * pick(rays.spread, source[:straight]), pick(rays.spread, glass)])
    bounced_from_glass = torch.arange(len(source), device=source.device) >= len(metal)
    secondary, _ = _trace(batch, Rays(origin, direction, pick(rays.scene, source), spread), bounced_from_glass)
    echo, rim, through = secondary.split([len(metal), len(glass), len(glass)], 1)

    grazing = (1 - facing) ** 3
    tint = pick(albedo, metal) * (0.55 + 0.75 * echo) * 0.8 + 0.25 * echo * pick(grazing, metal)
    colour[:, metal] = 0.35 * pick(colour, metal) + 0.65 * tint + 0.9 * pick(gleam, metal)
    tinted = through * (0.35 + 0.65 * pick(albedo, glass)) * 0.72 + 0.28 * pick(albedo, glass)
    colour[:, glass] = tinted.lerp(rim, 0.12 + 0.6 * pick(grazing, glass)) + 0.8 * pick(gleam, glass)
    return colour


def _world_normal(batch: SceneBatch, solid_index: Tensor, normal: Tensor) -> Tensor:
    x, y, z = normal / pick(batch.solids.scale, solid_index)
    cos, sin = pick(batch.solids.turn, solid_index)
    turned = torch.stack([cos * x - sin * y, sin * x + cos * y, z])
    return turned / length(turned).clamp(min=1e-12)


def _albedo(batch: SceneBatch, solid_index: Tensor, local_point: Tensor, crossing: solids.Crossing) -> Tensor:
    """Colours [3, N] of solids at points in their own coordinates, by pattern."""
    u, v = solids.surface_coordinates(local_point, crossing)
    column, row = u.floor(), v.floor()
    pattern = pick(batch.solids.pattern, solid_index)
    second = (
        ((pattern == _STRIPED) & (row % 2 == 1))
        | ((pattern == _CHEQUERED) & ((column + row) % 2 == 1))
        | ((pattern == _DOTTED) & (torch.hypot(u - column - 0.5, v - row - 0.5) < 0.30))
    )
    return torch.where(second, *pick_each(solid_index, batch.solids.second, batch.solids.colour))


def _lamp(batch: SceneBatch, scene: Tensor, point: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """Unit directions [3, N] to sun or lamp, and the unoccluded light [N] from there on the surface."""
    sun, indoors = pick(batch.sun, scene), pick(batch.indoors, scene)
    towards = torch.where(indoors, sun - point, sun)
    distance = length(towards).clamp(min=1e-3)
    towards = towards / distance
    strength = torch.where(indoors, 1.25 / (1 + (distance / 5.5) ** 2), 1.0)
    return towards, dot(towards, normal).clamp(min=0) * strength


def _light_backdrop(
    batch: SceneBatch, scene: Tensor, point: Tensor, normal: Tensor, lit: Tensor, bounced: bool
) -> Tensor:
    """Light [3, N] on ground and walls: ambient light, less around the feet of solids, and direct light outside shadows."""
    towards, falling = _lamp(batch, scene, point, normal)
    # The ground keeps some light under a low sun.
    falling = torch.where(pick(batch.indoors, scene), falling, falling.clamp(min=0.45))
    ambient = pick(batch.ambient, scene) * (0.92 + 0.08 * normal[2])
    if bounced:
        return ambient + pick(batch.direct, scene) * falling
    near = indices((lit > 0) & (point.abs().amax(0) < SHADOWS_WITHIN))
    place, spot, facing, lamp, shines = pick_each(near, scene, point, normal, towards, falling)
    clear = torch.ones_like(falling)
    clear[near] = _clearance(batch, place, spot, facing, lamp, shines > 0)
    ambient[:, near] *= _contact_shadow(batch, place, spot)
    return ambient + pick(batch.direct, scene) * (falling * clear)


def _clearance(batch: SceneBatch, scene: Tensor, point: Tensor, normal: Tensor, towards: Tensor, lit: Tensor) -> Tensor:
    """Fraction [N] of direct light that reaches points: less behind glass, least behind opaque solids."""
    part = indices(lit)
    origin, normal, towards, scene = pick_each(part, point, normal, towards, scene)
    origin = origin + 2e-3 * normal
    ray, solid_index, crossing, _ = _enter(batch, scene, origin, towards)
    inside, lamp = pick(batch.indoors, pick(scene, ray)), pick(batch.sun, pick(scene, ray))
    limit = torch.where(inside, 0.97 * length(lamp - pick(origin, ray)), math.inf)
    dim = torch.where(pick(batch.solids.material, solid_index) == _GLASS, 0.6, 0.12).to(point)
    fraction = torch.where(crossing.enter < limit, dim, 1.0)
    clear = torch.ones_like(lit, dtype=point.dtype)
    clear[part] = pick(clear, part).scatter_reduce(0, ray, fraction, "amin")
    return clear


def _contact_shadow(batch: SceneBatch, scene: Tensor, point: Tensor) -> Tensor:
    """Factor [N] that darkens the ground softly around the feet of solids."""
    s, scenes = batch.solids, len(batch.indoors)
    x, y, z, radius = s.sphere
    standing = (z - s.scale[2] < 0.05) & (radius > 0)
    feet = torch.stack([x, y, torch.where(standing, s.scale[:2].amax(0), 1e-3)])
    part = indices(point[2] < 0.05)
    place, here = pick_each(part, scene, point[:2])
    near = torch.ones_like(here[0])
    for start in range(0, int(pick(batch.bodies, scene).max()) * scenes if len(scene) else 0, scenes):
        x, y, reach = pick(feet, place + start)
        distance = root((x - here[0]) ** 2 + (y - here[1]) ** 2) / reach
        near *= 1 - 0.5 * (1.5 - distance).clamp(0, 0.7)
    dark = torch.ones_like(point[0])
    dark[part] = near
    return dark
