"""Whether the edges of a cube show in a panorama: of generators that draw six faces and project them back."""

import math
from functools import cache
from itertools import combinations, product

import torch
from torch import Tensor

from clip360.geometry.poles import nearest_pixels
from clip360.geometry.seam import TOLERANCE

SIDE = 8  # steps compared on each side of an edge
STEP = 2  # pixels between samples across an edge: projecting a face back smooths its edge over two pixels
# Between 95 and 98 % of the intact panoramas, real and rendered, lie below in the development halves of
# tools/benchmark/seams.py; of those above, most are rooms whose corner stands on an edge.
VISIBLE_CUBE_EDGES = 1.6


def cube_edges(panorama: Tensor) -> Tensor:
    """Visibility in uint8 panoramas [..., 3, H, 2H] of the edges of a cube whose faces look along the axes: float32 [...].

    The fraction of points on the 12 edges at which the step across the edge exceeds, by more than TOLERANCE grey levels,
    each of the SIDE steps on both sides, times the number of steps compared. The expected value for edges like any
    other lines is at most 1; the maximum, 2 SIDE + 1, means every point. 0 for panoramas of less than 64 rows.

    >>> cube_edges(torch.zeros(3, 64, 128, dtype=torch.uint8))
    tensor(0.)
    """
    height, width = panorama.shape[-2:]
    if height < 64 or width != 2 * height:
        return torch.zeros(panorama.shape[:-3], device=panorama.device)
    profiles = panorama.flatten(-2)[..., _profiles(height).to(panorama.device)].float()
    steps = profiles.diff(dim=-1).abs().mean(-4)
    others = torch.cat([steps[..., :SIDE], steps[..., SIDE + 1 :]], dim=-1).amax(-1)
    return (steps[..., SIDE] > others + TOLERANCE).float().mean((-2, -1)) * (2 * SIDE + 1)


@cache
def _profiles(height: int) -> Tensor:
    """Indices of the pixels on lines across the edges of a cube: int64 [12, points, 2 SIDE + 2]."""
    axes = torch.eye(3, dtype=torch.float64)
    along = torch.arange(0.5, height // 4, dtype=torch.float64)[:, None, None] / (height // 4) * 2 - 1
    angle = (torch.arange(-SIDE, SIDE + 2, dtype=torch.float64)[:, None] - 0.5) * STEP * math.pi / height
    edges = []
    for (i, j), signs in product(combinations(range(3), 2), product((1, -1), repeat=2)):
        face, other = signs[0] * axes[i], signs[1] * axes[j]
        point = face + other + along * axes[3 - i - j]
        point = point / point.norm(dim=-1, keepdim=True)
        across = (face - other) / math.sqrt(2)
        edges.append(nearest_pixels(point * angle.cos() + across * angle.sin(), height))
    return torch.stack(edges)
