"""Convex bodies: half-spaces and one quadric, so that a single formula intersects a ray with every shape.

A body is {x : n_k · x <= d_k for all k, and q(x) <= 0} with q(x) = a · x² + b z + c, in its own coordinates (about
[-1, 1]³, z up). A ray meets each of them in one interval; the body in the intersection of the intervals.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from clip360.world.gather import dot, pick

PLANES = 8
_FAR = 1e9

CUBE = [(1, 0, 0, 1), (-1, 0, 0, 1), (0, 1, 0, 1), (0, -1, 0, 1), (0, 0, 1, 1), (0, 0, -1, 1)]
_BASE = [(0, 0, -1, 1)]
_CAPS = [(0, 0, 1, 1), (0, 0, -1, 1)]
_ROOF = [(s, 0, 0.5, 0.5) for s in (1, -1)]

# name: (half-spaces as (n_x, n_y, n_z, d), quadric as (a_x, a_y, a_z, b, c); a quadric of (0, 0, 0, 0, -1) is no limit
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
    """Where N rays enter bodies: ``enter`` [N] the ray parameter, infinite for a miss, ``normal`` [3, N] (not
    normalised), ``curved`` [N] bool: the entry lies on the quadric; all in the body's own coordinates."""

    enter: Tensor
    normal: Tensor
    curved: Tensor


def _halfspace_interval(origin: Tensor, direction: Tensor, body: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Interval of the ray inside all half-spaces, and the index of the one it enters by."""
    planes = pick(_HALF_SPACES.to(origin), body)  # [4, PLANES, N]
    along, gap = dot(planes, direction), planes[3] - dot(planes, origin)
    t = gap / torch.where(along == 0, 1e-12, along)
    never = (along == 0) & (gap < 0)
    enter, first = torch.where(along < 0, t, -_FAR).max(0)
    leave = torch.where(along > 0, t, _FAR).amin(0)
    return enter, torch.where(never.any(0), -_FAR, leave), first


def _quadric_interval(origin: Tensor, direction: Tensor, body: Tensor) -> tuple[Tensor, Tensor]:
    """Interval of the ray inside the quadric; of a cone's two nappes the lower one, which holds the body."""
    q = pick(_QUADRICS.to(origin), body)
    a, b, c = q[:3], q[3], q[4]
    quadratic = dot(a, direction * direction)
    linear = 2 * dot(a * origin, direction) + b * direction[2]
    constant = dot(a * origin, origin) + b * origin[2] + c

    discriminant = linear * linear - 4 * quadratic * constant
    root = discriminant.clamp(min=0).sqrt()
    flat = quadratic.abs() < 1e-9
    half = -0.5 / torch.where(flat, 1.0, quadratic)
    t1, t2 = (linear + root) * half, (linear - root) * half
    low, high = torch.minimum(t1, t2), torch.maximum(t1, t2)

    opens = quadratic < 0  # steeper than the cone: the ray is inside before the first or after the second root
    down = direction[2] < 0
    enter = torch.where(opens, torch.where(down, high, -_FAR), low)
    leave = torch.where(opens, torch.where(down, _FAR, low), high)
    missed = (discriminant < 0) & ~opens
    enter, leave = torch.where(missed, _FAR, enter), torch.where(missed, -_FAR, leave)
    inside = torch.where(constant <= 0, _FAR, -_FAR)  # of a quadric without quadratic part: constant along the ray
    return torch.where(flat, -_FAR, enter), torch.where(flat, inside, leave)


def intersect(origin: Tensor, direction: Tensor, body: Tensor) -> Crossing:
    """First crossing of rays with bodies, each in the body's own coordinates.

    Parameters are ``origin`` and ``direction`` [3, N] and ``body`` [N], an index into ``NAMES``. The ray parameter is
    that of the given direction, whatever its length, so it survives scaling into body coordinates.

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
    """Two coordinates [N] on the surface for patterns, about one unit a pattern cell.

    On curved parts the angle about the axis and the height; on flat parts the plane seen along its main axis.
    """
    x, y, z = point
    a, b, c = crossing.normal.abs()
    u = torch.where((a >= b) & (a >= c), y, x)
    v = torch.where((c > a) & (c > b), y, z)
    around = torch.atan2(y, x) * (4 / math.pi)
    return torch.where(crossing.curved, around, 2.0 * u), torch.where(crossing.curved, 2.0 * z, 2.0 * v)
