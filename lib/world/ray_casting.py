"""Following rays through a stage: the nearest solid, its pattern and material, light and shadow, one bounce."""

import math

import torch
from torch import Tensor

from clip360.world import solids
from clip360.world.backdrop import Rays, meet_backdrop
from clip360.world.gather import dot, indices, length, pick, pick_each
from clip360.world.scene_batch import Stage
from clip360.world.vocabulary import MATERIALS, PATTERNS

NOTHING = -1  # the solid index of rays that meet none
SHADOWS_WITHIN = 25.0  # metres from the origin
_STRIPED, _CHEQUERED, _DOTTED = (PATTERNS.index(name) for name in ("striped", "chequered", "dotted"))
_METALLIC, _GLASS, _GLOWING = (MATERIALS.index(name) for name in ("metallic", "glass", "glowing"))


def cast(stage: Stage, rays: Rays) -> tuple[Tensor, Tensor]:
    """Colours [3, N] in [0, 1] of rays, and the index [N] of the solid each meets first, or NOTHING."""
    return _follow(stage, rays, None)


def _follow(stage: Stage, rays: Rays, through_glass: Tensor | None) -> tuple[Tensor, Tensor]:
    """``through_glass`` [N] marks bounced rays (None: rays from the camera) that do not see glass; a bounced ray
    neither bounces again nor sees shadows."""
    bounced = through_glass is not None
    back = meet_backdrop(stage, rays)
    ray, which, crossing, inside = _enter(stage, rays.scene, rays.origin, rays.direction, through_glass)
    nearest = back.t.clone().scatter_reduce_(0, ray, crossing.enter, "amin")
    first = indices((crossing.enter == pick(nearest, ray)) & crossing.enter.isfinite())
    # Of two solids met at the very same distance one wins, whichever is written last.
    winner = torch.full_like(rays.scene, NOTHING)
    winner[ray[first]] = first
    met = indices(winner >= 0)
    behind = indices(winner < 0)

    point = rays.origin + rays.direction * nearest.clamp(max=400)
    scene, seen, normal, lit = pick_each(behind, rays.scene, point, back.normal, back.lit)
    shade = _light_backdrop(stage, scene, seen, normal, lit, bounced)
    colour = torch.empty_like(rays.direction)
    colour[:, behind] = pick(back.albedo, behind) * (1 - lit + lit * shade)
    solid = torch.full_like(rays.scene, NOTHING)
    if len(met):
        pair = pick(winner, met)
        hit = solids.Crossing(*pick_each(pair, *crossing))
        colour[:, met] = _shade(
            stage, rays.pick(met), pick(point, met), pick(which, pair), pick(inside, pair), hit, bounced
        )
        solid[met] = pick(which, pair) // len(stage.indoors)
    return colour.clamp(0, 1), solid


def _enter(stage: Stage, scene: Tensor, origin: Tensor, direction: Tensor, through_glass: Tensor | None = None):
    """Pairs (ray, solid) that may meet: indices of both [P], the crossings, and the points [3, P] in the solid's own
    coordinates where the ray enters."""
    s, scenes = stage.solids, len(stage.indoors)
    rays, whichs = [], []
    most = int(pick(stage.bodies, scene).max()) if len(scene) else 1
    for start in range(0, most * scenes, scenes):
        which = scene + start
        sphere = pick(s.sphere, which)
        away, radius = sphere[:3].sub_(origin), sphere[3]
        along = dot(away, direction)
        # The ray passes through the bounding sphere, and not only behind its origin.
        passes = (dot(away, away) - along * along < radius * radius) & (along > -radius) & (radius > 0)
        if through_glass is not None:
            passes &= ~(through_glass & (pick(s.material, which) == _GLASS))
        rays.append(indices(passes))
        whichs.append(pick(which, rays[-1]))
    ray, which = torch.cat(rays), torch.cat(whichs)

    (cos, sin), scale, centre = pick_each(which, s.turn, s.scale, s.sphere[:3])
    origin, direction = pick_each(ray, origin, direction)

    def local(vector: Tensor) -> Tensor:
        x, y, z = vector
        return torch.stack([cos * x + sin * y, cos * y - sin * x, z]) / scale

    origin, direction = local(origin - centre), local(direction)
    crossing = solids.intersect(origin, direction, pick(s.body, which))
    return ray, which, crossing, origin + direction * crossing.enter.nan_to_num(posinf=0.0)


def _shade(stage: Stage, rays: Rays, point: Tensor, which: Tensor, inside: Tensor, crossing, bounced: bool) -> Tensor:
    """Colour of solids where rays meet them, by material."""
    normal = _world_normal(stage, which, crossing.normal)
    albedo = _albedo(stage, which, inside, crossing)
    facing = -dot(rays.direction, normal).clamp(-1, 0)
    towards, falling = _lamp(stage, rays.scene, point, normal)
    clear = 1.0 if bounced else _clearance(stage, rays.scene, point, normal, towards, falling > 0)
    ambient = stage.ambient[:, rays.scene] * (0.85 + 0.15 * normal[2])
    colour = albedo * (ambient + stage.direct[:, rays.scene] * (falling * clear))

    material = pick(stage.solids.material, which)
    halo = albedo.lerp(torch.ones_like(albedo), 0.35 * facing**2)
    colour = torch.where(material == _GLOWING, halo * 1.08, colour)
    if bounced:
        return colour

    mirrored = rays.direction + 2 * facing * normal
    gleam = dot(mirrored, towards).clamp(min=0) ** 40
    metal, glass = (indices(material == kind) for kind in (_METALLIC, _GLASS))
    if not len(metal) and not len(glass):
        return colour
    # One cast for all secondary rays: metal's mirror image, glass's mirror image, and what is seen through glass.
    source, start = torch.cat([metal, glass, glass]), point + 1e-3 * normal
    straight = len(metal) + len(glass)
    origin = torch.cat([pick(start, source[:straight]), pick(point, glass)], 1)
    direction = torch.cat([pick(mirrored, source[:straight]), pick(rays.direction, glass)], 1)
    spread = torch.cat([4 * pick(rays.spread, source[:straight]), pick(rays.spread, glass)])
    clear_of_glass = torch.arange(len(source), device=source.device) >= len(metal)
    seen, _ = _follow(stage, Rays(origin, direction, pick(rays.scene, source), spread), clear_of_glass)
    echo, rim, through = seen.split([len(metal), len(glass), len(glass)], 1)

    grazing = (1 - facing) ** 3
    tint = pick(albedo, metal) * (0.55 + 0.75 * echo) * 0.8 + 0.25 * echo * pick(grazing, metal)
    colour[:, metal] = 0.35 * pick(colour, metal) + 0.65 * tint + 0.9 * pick(gleam, metal)
    tinted = through * (0.35 + 0.65 * pick(albedo, glass)) * 0.72 + 0.28 * pick(albedo, glass)
    colour[:, glass] = tinted.lerp(rim, 0.12 + 0.6 * pick(grazing, glass)) + 0.8 * pick(gleam, glass)
    return colour


def _world_normal(stage: Stage, which: Tensor, normal: Tensor) -> Tensor:
    x, y, z = normal / pick(stage.solids.scale, which)
    cos, sin = pick(stage.solids.turn, which)
    turned = torch.stack([cos * x - sin * y, sin * x + cos * y, z])
    return turned / length(turned).clamp(min=1e-12)


def _albedo(stage: Stage, which: Tensor, inside: Tensor, crossing: solids.Crossing) -> Tensor:
    """Colour of solids at points in their own coordinates, by pattern."""
    u, v = solids.surface_coordinates(inside, crossing)
    column, row = u.floor(), v.floor()
    pattern = pick(stage.solids.pattern, which)
    second = (
        ((pattern == _STRIPED) & (row % 2 == 1))
        | ((pattern == _CHEQUERED) & ((column + row) % 2 == 1))
        | ((pattern == _DOTTED) & (torch.hypot(u - column - 0.5, v - row - 0.5) < 0.30))
    )
    return torch.where(second, *pick_each(which, stage.solids.second, stage.solids.colour))


def _lamp(stage: Stage, scene: Tensor, point: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """Unit direction [3, N] towards sun or lamp, and the light falling on a surface from there, if nothing blocks it."""
    sun, indoors = pick(stage.sun, scene), pick(stage.indoors, scene)
    towards = torch.where(indoors, sun - point, sun)
    distance = length(towards).clamp(min=1e-3)
    towards = towards / distance
    strength = torch.where(indoors, 1.25 / (1 + (distance / 5.5) ** 2), 1.0)
    return towards, dot(towards, normal).clamp(min=0) * strength


def _light_backdrop(stage: Stage, scene: Tensor, point: Tensor, normal: Tensor, lit: Tensor, bounced: bool) -> Tensor:
    """Light [3, N] on ground and walls: ambient, darker around the feet of solids, and direct light without shadows."""
    towards, falling = _lamp(stage, scene, point, normal)
    # A low sun still lights the ground.
    falling = torch.where(pick(stage.indoors, scene), falling, falling.clamp(min=0.45))
    ambient = pick(stage.ambient, scene) * (0.92 + 0.08 * normal[2])
    if bounced:
        return ambient + pick(stage.direct, scene) * falling
    near = indices((lit > 0) & (point.abs().amax(0) < SHADOWS_WITHIN))
    place, spot, facing, lamp, shines = pick_each(near, scene, point, normal, towards, falling)
    clear = torch.ones_like(falling)
    clear[near] = _clearance(stage, place, spot, facing, lamp, shines > 0)
    ambient[:, near] *= _contact(stage, place, spot)
    return ambient + pick(stage.direct, scene) * (falling * clear)


def _clearance(stage: Stage, scene: Tensor, point: Tensor, normal: Tensor, towards: Tensor, lit: Tensor) -> Tensor:
    """Share [N] of direct light that reaches points: less in shadow, least behind opaque solids."""
    part = indices(lit)
    origin, normal, towards, scene = pick_each(part, point, normal, towards, scene)
    origin = origin + 2e-3 * normal
    ray, which, crossing, _ = _enter(stage, scene, origin, towards)
    inside, lamp = pick(stage.indoors, pick(scene, ray)), pick(stage.sun, pick(scene, ray))
    limit = torch.where(inside, 0.97 * length(lamp - pick(origin, ray)), math.inf)
    dim = torch.where(pick(stage.solids.material, which) == _GLASS, 0.6, 0.12).to(point)
    share = torch.where(crossing.enter < limit, dim, 1.0)
    clear = torch.ones_like(lit, dtype=point.dtype)
    clear[part] = pick(clear, part).scatter_reduce(0, ray, share, "amin")
    return clear


def _contact(stage: Stage, scene: Tensor, point: Tensor) -> Tensor:
    """Soft darkening [N] of the ground around the feet of solids."""
    s, scenes = stage.solids, len(stage.indoors)
    x, y, z, radius = s.sphere
    standing = (z - s.scale[2] < 0.05) & (radius > 0)
    feet = torch.stack([x, y, torch.where(standing, s.scale[:2].amax(0), 1e-3)])
    part = indices(point[2] < 0.05)
    place, here = pick_each(part, scene, point[:2])
    near = torch.ones_like(here[0])
    for start in range(0, int(pick(stage.bodies, scene).max()) * scenes if len(scene) else 0, scenes):
        x, y, reach = pick(feet, place + start)
        apart = ((x - here[0]) ** 2 + (y - here[1]) ** 2).sqrt() / reach
        near *= 1 - 0.5 * (1.5 - apart).clamp(0, 0.7)
    dark = torch.ones_like(point[0])
    dark[part] = near
    return dark
