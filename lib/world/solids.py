"""Convex bodies as half-spaces and one quadric, so that one formula intersects a ray with every shape.

A body is {x : n_k · x <= d_k for all k, and q(x) <= 0} with q(x) = a · x² + b z + c, in its own coordinates (about
[-1, 1]³, z up). A ray crosses each of them in one interval, and the body in the intersection of these intervals.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from clip360.world.gather import dot, pick, root

PLANES = 8
_FAR = 1e9

CUBE = [(1, 0, 0, 1), (-1, 0, 0, 1), (0, 1, 0, 1), (0, -1, 0, 1), (0, 0, 1, 1), (0, 0, -1, 1)]
_BASE = [(0, 0, -1, 1)]
_CAPS = [(0, 0, 1, 1), (0, 0, -1, 1)]
_ROOF = [(s, 0, 0.5, 0.5) for s in (1, -1)]

# name: (half-spaces as (n_x, n_y, n_z, d), quadric as (a_x, a_y, a_z, b, c); the quadric (0, 0, 0, 0, -1) does not bound the body)
BODIES: dict[str, tuple[list, tuple]] = {
    "sphere": ([], (1, 1, 1, 0, -1)),
    "cube": (CUBE, (0, 0, 0, 0, -1)),
    "cylinder": (_CAPS, (1, 1, 0, 0, -1)),
    "cone": (_CAPS, (1, 1, -0.25, 0.5, -0.25)),
    "pyramid": (_BASE + _ROOF + [(0, s, 0.5, 0.5) for s in (1, -1)], (0, 0, 0, 0, -1)),
    "dome": (_BASE, (1, 1, 0.25, 0.5, -0.75)),
    "diamond": ([(x, y, z, 1) for x in (1, -1) for y in (1, -1) for z in (1, -1)], (0, 0, 0, 0, -1)),
    "pillar": (CUBE, (0, 0, 0, 0, -1)),
    "egg": ([], (1, 1, 1, 0, -1)),
    "wedge": (_BASE + _ROOF + [(0, 1, 0, 1), (0, -1, 0, 1)], (0, 0, 0, 0, -1)),
}
NAMES = tuple(BODIES)

# [4, PLANES, bodies] and [5, bodies]: one row a coefficient.
_HALF_SPACES = torch.tensor(
    [planes + [(0, 0, 0, 1)] * (PLANES - len(planes)) for planes, _ in BODIES.values()], dtype=torch.float64
).permute(2, 1, 0)
_QUADRICS = torch.tensor([quadric for _, quadric in BODIES.values()], dtype=torch.float64).T


class Crossing(NamedTuple):
    """Where N rays enter bodies, in the coordinates of each body."""

    enter: Tensor  # [N] ray parameter, infinite for a miss
    normal: Tensor  # [3, N], not normalised
    curved: Tensor  # [N] bool: the ray enters through the quadric


def _halfspace_interval(origin: Tensor, direction: Tensor, body: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Interval of the ray inside all half-spaces, and the index of the half-space through which it enters."""
    planes = pick(_HALF_SPACES.to(origin), body)  # [4, PLANES, N]
    along, gap = dot(planes, direction), planes[3] - dot(planes, origin)
    t = gap / torch.where(along == 0, 1e-12, along)
    never = (along == 0) & (gap < 0)
    enter, first = torch.where(along < 0, t, -_FAR).max(0)
    leave = torch.where(along > 0, t, _FAR).amin(0)
    return enter, torch.where(never.any(0), -_FAR, leave), first


def _quadric_interval(origin: Tensor, direction: Tensor, body: Tensor) -> tuple[Tensor, Tensor]:
    """Interval of the ray inside the quadric; for a cone, inside the lower nappe, which holds the body."""
    q = pick(_QUADRICS.to(origin), body)
    a, b, c = q[:3], q[3], q[4]
    quadratic = dot(a, direction * direction)
    linear = 2 * dot(a * origin, direction) + b * direction[2]
    constant = dot(a * origin, origin) + b * origin[2] + c

    discriminant = linear * linear - 4 * quadratic * constant
    spread = root(discriminant.clamp(min=0))
    flat = quadratic.abs() < 1e-9
    half = -0.5 / torch.where(flat, 1.0, quadratic)
    t1, t2 = (linear + spread) * half, (linear - spread) * half
    low, high = torch.minimum(t1, t2), torch.maximum(t1, t2)

    # A ray steeper than the cone is inside before the first root or after the second.
    opens = quadratic < 0
    down = direction[2] < 0
    enter = torch.where(opens, torch.where(down, high, -_FAR), low)
    leave = torch.where(opens, torch.where(down, _FAR, low), high)
    missed = (discriminant < 0) & ~opens
    enter, leave = torch.where(missed, _FAR, enter), torch.where(missed, -_FAR, leave)
    inside = torch.where(constant <= 0, _FAR, -_FAR)  # a quadric without quadratic part is constant along the ray
    return torch.where(flat, -_FAR, enter), torch.where(flat, inside, leave)


def intersect(origin: Tensor, direction: Tensor, body: Tensor) -> Crossing:
    """First crossing of N rays with one body each, in the coordinates of that body.

    ``origin`` and ``direction`` are [3, N], ``body`` [N] are indices into ``NAMES``. The ray parameter counts lengths of
    the given direction, so it is the same in body and world coordinates.

    >>> eye, ahead = torch.tensor([[0.0], [-3.0], [0.0]]), torch.tensor([[0.0], [1.0], [0.0]])
    >>> intersect(eye, ahead, torch.tensor([NAMES.index("sphere")])).enter
    tensor([2.])
    """
    plane_in, plane_out, first = _halfspace_interval(origin, direction, body)
    quad_in, quad_out = _quadric_interval(origin, direction, body)
    enter, leave = torch.maximum(plane_in, quad_in), torch.minimum(plane_out, quad_out)
    enter = torch.where((enter < leave) & (enter > 1e-4), enter, math.inf)

    curved = quad_in > plane_in
    point = origin + direction * enter.nan_to_num(posinf=0.0)
    q = pick(_QUADRICS.to(origin), body)
    gradient = 2 * q[:3] * point
    gradient[2] += q[3]
    normal = torch.where(curved, gradient, _HALF_SPACES.to(origin)[:3, first, body])
    return Crossing(enter, normal, curved)


def surface_coordinates(point: Tensor, crossing: Crossing) -> tuple[Tensor, Tensor]:
    """Two coordinates [N] on the surface, about one unit per cell of a pattern.

    On curved parts the angle about the axis and the height; on flat parts the two coordinates across the main axis.
    """
    x, y, z = point
    a, b, c = crossing.normal.abs()
    u = torch.where((a >= b) & (a >= c), y, x)
    v = torch.where((c > a) & (c > b), y, z)
    around = torch.atan2(y, x) * (4 / math.pi)
    return torch.where(crossing.curved, around, 2.0 * u), torch.where(crossing.curved, 2.0 * z, 2.0 * v)
