"""The ray caster: what a camera in a scene sees, as a panorama or a pinhole view, on any device.

One sample a pixel everywhere, then ``SUBSAMPLES`` more where neighbours differ: edges are smooth at little cost.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from lib.panorama import equirectangular_directions, pinhole_directions, rotate
from lib.world import solids
from lib.world.backdrop import meet_backdrop
from lib.world.scene import EYE_HEIGHT, Scene
from lib.world.stage import Stage, set_stage
from lib.world.surfaces import mix
from lib.world.vocabulary import MATERIALS, PATTERNS

NOTHING = -1  # the solid index of rays that meet none
SUBSAMPLES = ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))  # pixels
EDGE = 0.06  # colour difference between neighbours that calls for more samples
CHUNK = 1 << 15  # rays traced at once: their tensors stay in the processor's cache


@dataclass(frozen=True)
class Camera:
    """Where a view is taken from: angles in degrees, position in metres; ``fov`` None is a full panorama."""

    yaw: float = 0.0
    pitch: float = 0.0
    fov: float | None = None
    position: tuple[float, float, float] = field(default=(0.0, 0.0, EYE_HEIGHT))


class Picture(NamedTuple):
    """``image`` [3, H, W] in [0, 1]; ``solid`` [H, W] the index of the body each pixel's centre shows, or NOTHING (the
    first indices are the scene's things, in order)."""

    image: Tensor
    solid: Tensor


def render(scene: Scene, camera: Camera, height: int, *, device=None, dtype=torch.float32) -> Picture:
    """Render one picture, height x 2 height for a panorama, height x height for a pinhole view."""
    stage = set_stage(scene, device=device, dtype=dtype)
    wide = camera.fov is None
    spread = math.pi / height if wide else 2 * math.tan(math.radians(camera.fov) / 2) / height
    base = _directions(camera, height, device)
    origin = torch.tensor(camera.position, device=device, dtype=dtype)

    def trace(directions: Tensor) -> tuple[Tensor, Tensor]:
        parts = [
            cast(stage, origin.expand_as(d), d, spread) for d in directions.to(dtype).reshape(-1, 3).split(CHUNK)
        ]
        return torch.cat([colour for colour, _ in parts]), torch.cat([solid for _, solid in parts])

    colour, solid = trace(base)
    image, solid = colour.reshape(*base.shape), solid.reshape(base.shape[:2])
    rough = _edges(image, wide).nonzero(as_tuple=True)
    if len(rough[0]):
        around = torch.stack([_directions(camera, height, device, offset)[rough] for offset in SUBSAMPLES])
        image[rough] = trace(around)[0].reshape(len(SUBSAMPLES), -1, 3).mean(0)
    return Picture(image.permute(2, 0, 1).contiguous(), solid)


def render_panoramas(scenes: Sequence[Scene], height: int, *, yaw: float = 0.0, device=None) -> Tensor:
    """Panoramas of several scenes, [B, 3, height, 2 height]."""
    return torch.stack([render(scene, Camera(yaw), height, device=device).image for scene in scenes])


def _directions(camera: Camera, height: int, device, offset: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """World directions of all pixels, moved by a fraction of a pixel (right, down)."""
    if camera.fov is None:
        lifted = 180 / height * offset[1]
        rays = _shifted_equirectangular(height, lifted, device)
        return rotate(rotate(rays, 0.0, camera.pitch), camera.yaw + 180 / height * offset[0])
    step = 2 * math.tan(math.radians(camera.fov) / 2) / height
    rays = pinhole_directions(height, camera.fov, device=device)
    rays = rays / rays[..., 1:2] + torch.tensor([offset[0] * step, 0.0, -offset[1] * step], device=device)
    return rotate(rays / rays.norm(dim=-1, keepdim=True), camera.yaw, camera.pitch)


def _shifted_equirectangular(height: int, lowered: float, device) -> Tensor:
    rays = equirectangular_directions(height, device=device)
    if not lowered:
        return rays
    flat = torch.hypot(rays[..., 0], rays[..., 1])
    latitude = torch.atan2(rays[..., 2], flat) - math.radians(lowered)
    return torch.cat([rays[..., :2] / flat[..., None] * latitude.cos()[..., None], latitude.sin()[..., None]], dim=-1)


def _edges(image: Tensor, wraps: bool) -> Tensor:
    """Pixels [H, W] that differ from a neighbour (across the seam too, for a panorama)."""
    right = (image.roll(-1, 1) - image).abs().amax(-1) > EDGE
    below = (image[1:] - image[:-1]).abs().amax(-1) > EDGE
    if not wraps:
        right[:, -1] = False
    edge = right | right.roll(1, 1)
    edge[:-1] |= below
    edge[1:] |= below
    return edge


def _nearby(stage: Stage, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs (ray, solid) whose ray passes through the solid's bounding sphere."""
    centre = stage.solids.centre
    along = direction @ centre.T - (origin * direction).sum(-1, keepdim=True)
    apart = (centre * centre).sum(-1) + (origin * origin).sum(-1, keepdim=True) - 2 * origin @ centre.T
    passes = (apart - along * along < stage.solids.bound**2) & (along > -stage.solids.bound)
    return passes.nonzero(as_tuple=True)


def _enter(stage: Stage, origin: Tensor, direction: Tensor, ray: Tensor, which: Tensor):
    """Crossings of (ray, solid) pairs, with the rays in the solids' own coordinates."""
    s = stage.solids
    cos, sin = s.turn[which].unbind(-1)

    def local(v):
        x, y, z = v.unbind(-1)
        return torch.stack([cos * x + sin * y, cos * y - sin * x, z], dim=-1) / s.scale[which]

    o, d = local(origin[ray] - s.centre[which]), local(direction[ray])
    return o, d, solids.intersect(o, d, s.body[which])


def cast(stage: Stage, origin: Tensor, direction: Tensor, spread: float, *, bounce: bool = True):
    """Colours [N, 3] and solid indices [N] of rays [N, 3]; ``bounce``: follow mirrors and glass once."""
    back = meet_backdrop(stage, origin, direction, spread)
    ray, which = _nearby(stage, origin, direction)
    o, d, crossing = _enter(stage, origin, direction, ray, which)
    enter = torch.where(crossing.hit, crossing.enter, math.inf)
    nearest = back.t.clone().scatter_reduce_(0, ray, enter, "amin")
    first = (crossing.hit & (enter == nearest[ray])).nonzero()[:, 0]
    solid = torch.full_like(back.t, NOTHING, dtype=torch.long)
    solid[ray[first]] = which[first]

    behind = (solid == NOTHING).nonzero()[:, 0]
    point = origin + direction * nearest.clamp(max=400)[:, None]
    shade = _illuminate(stage, point[behind], back.normal[behind], grounded=True, active=back.lit[behind] > 0)
    lit = back.lit[behind, None]
    colour = torch.empty_like(direction)
    colour[behind] = back.albedo[behind] * (1 - lit + lit * shade)

    # Of two solids hit at the very same distance the later pair wins, in `solid` and below alike.
    keep = first[which[first] == solid[ray[first]]]
    ray, which = ray[keep], which[keep]
    crossing = solids.Crossing(*(part[keep] for part in crossing))
    inside = o[keep] + d[keep] * crossing.enter[:, None]
    if len(ray):
        colour[ray] = _shade(stage, origin[ray], direction[ray], point[ray], which, inside, crossing, spread, bounce)
    return colour.clamp(0, 1), solid


def _world_normal(stage: Stage, which: Tensor, normal: Tensor) -> Tensor:
    x, y, z = (normal / stage.solids.scale[which]).unbind(-1)
    cos, sin = stage.solids.turn[which].unbind(-1)
    turned = torch.stack([cos * x - sin * y, sin * x + cos * y, z], dim=-1)
    return turned / turned.norm(dim=-1, keepdim=True).clamp(min=1e-12)


def _albedo(stage: Stage, which: Tensor, inside: Tensor, crossing: solids.Crossing) -> Tensor:
    """Colour of solids at points in their own coordinates, by pattern."""
    u, v = solids.surface_coordinates(inside, crossing)
    pattern = stage.solids.pattern[which]
    striped = (v.floor() % 2) == 1
    chequered = ((u.floor() + v.floor()) % 2) == 1
    dotted = torch.hypot(u - u.floor() - 0.5, v - v.floor() - 0.5) < 0.30
    second = (
        ((pattern == PATTERNS.index("striped")) & striped)
        | ((pattern == PATTERNS.index("chequered")) & chequered)
        | ((pattern == PATTERNS.index("dotted")) & dotted)
    )
    return torch.where(second[:, None], stage.solids.second[which], stage.solids.colour[which])


def _shade(stage, origin, direction, point, which, inside, crossing, spread, bounce) -> Tensor:
    """Colour of solids where rays meet them, by material."""
    normal = _world_normal(stage, which, crossing.normal)
    albedo = _albedo(stage, which, inside, crossing)
    facing = -(direction * normal).sum(-1).clamp(-1, 0)
    grazing = (1 - facing) ** 3
    colour = albedo * _illuminate(stage, point, normal, grounded=False)

    mirrored = direction + 2 * facing[:, None] * normal
    towards = stage.sun.expand_as(point) if stage.room is None else stage.sun - point
    towards = towards / towards.norm(dim=-1, keepdim=True)
    gleam = (mirrored * towards).sum(-1).clamp(min=0) ** 40
    material = stage.solids.material[which]

    glowing = material == MATERIALS.index("glowing")
    halo = mix(albedo, torch.ones_like(albedo), 0.35 * facing**2)
    colour = torch.where(glowing[:, None], halo * 1.08, colour)
    if not bounce:
        return colour

    metallic = (material == MATERIALS.index("metallic")).nonzero()[:, 0]
    start = point + 1e-3 * normal
    echo, _ = cast(stage, start[metallic], mirrored[metallic], 4 * spread, bounce=False)
    tint = albedo[metallic] * (0.55 + 0.75 * echo) * 0.8 + 0.25 * echo * grazing[metallic, None]
    colour[metallic] = 0.35 * colour[metallic] + 0.65 * tint + 0.9 * gleam[metallic, None]

    glass = (material == MATERIALS.index("glass")).nonzero()[:, 0]
    through, _ = cast(_without_glass(stage), point[glass], direction[glass], spread, bounce=False)
    rim, _ = cast(_without_glass(stage), start[glass], mirrored[glass], 4 * spread, bounce=False)
    clear = through * (0.35 + 0.65 * albedo[glass]) * 0.72 + 0.28 * albedo[glass]
    colour[glass] = mix(clear, rim, 0.12 + 0.6 * grazing[glass]) + 0.8 * gleam[glass, None]
    return colour


def _without_glass(stage: Stage) -> Stage:
    """The stage as seen through glass: glass bodies are left out."""
    opaque = (stage.solids.material != MATERIALS.index("glass")).nonzero()[:, 0]
    kept = type(stage.solids)(*(part[opaque] for part in stage.solids))
    return Stage(**{**stage.__dict__, "solids": kept})


def _illuminate(stage: Stage, point: Tensor, normal: Tensor, *, grounded: bool, active: Tensor | None = None) -> Tensor:
    """Light [N, 3] arriving at points: ambient, and direct light where no solid is in the way."""
    if stage.room is None:
        towards, strength = stage.sun.expand_as(point), 1.0
    else:
        towards = stage.sun - point
        distance = towards.norm(dim=-1, keepdim=True).clamp(min=1e-3)
        towards, strength = towards / distance, 1.25 / (1 + (distance[:, 0] / 5.5) ** 2)
    falling = (towards * normal).sum(-1).clamp(min=0) * strength
    if grounded and stage.room is None:
        falling = falling.clamp(min=0.45)  # a low sun still lights the ground

    clear = torch.ones_like(falling)
    lit = falling > 0 if active is None else (falling > 0) & active & (point.abs().amax(-1) < 25)
    part = lit.nonzero()[:, 0]
    start = point[part] + 2e-3 * normal[part]
    ray, which = _nearby(stage, start, towards[part])
    _, _, crossing = _enter(stage, start, towards[part], ray, which)
    limit = math.inf if stage.room is None else 0.97 * distance[part[ray], 0]
    blocks = crossing.hit & (crossing.enter < limit)
    glassy = stage.solids.material[which] == MATERIALS.index("glass")
    dim = torch.where(glassy, 0.6, 0.12).to(point.dtype)
    clear[part] = clear[part].scatter_reduce(0, ray, torch.where(blocks, dim, 1.0), "amin")

    ambient = (0.80 + 0.20 * normal[:, 2]) * (_contact(stage, point) if grounded else 1.0)
    return stage.ambient * ambient[:, None] + stage.direct * (falling * clear)[:, None]


def _contact(stage: Stage, point: Tensor) -> Tensor:
    """Soft darkening of the ground around the feet of solids."""
    centre, scale = stage.solids.centre, stage.solids.scale
    apart = torch.cdist(point[:, :2], centre[:, :2]) / scale[:, :2].amax(-1)
    low = (point[:, 2:3] < 0.05) & (centre[:, 2] - scale[:, 2] < 0.05)
    return (1 - 0.5 * torch.where(low, (1.5 - apart).clamp(0, 0.7), 0.0)).prod(-1)
