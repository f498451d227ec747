"""Whether the poles of a panorama are points of the sphere, as any other, or the edges of a flat picture."""

import math
from functools import cache

import torch
from torch import Tensor

from clip360.geometry.seam import grey

POLE_ROWS = (0, 1, 2)  # rows, counted from the pole, that are measured; a row is a small circle around the pole
CIRCLE_SAMPLES = 32
POLE_EXTREME = 0.99  # a pole around which the picture varies more than around this fraction of points is distorted
FLAT = 2 / 255  # variation of grey in [0, 1] that counts as none
# By construction one of two poles that are like any point of the sphere exceeds 1 with a probability of about 2 %. Two things
# make real poles differ: compression adds noise, since the pixels of a pole lie far apart in the file, and a camera stands in
# the middle of a room. Above 1.4 lie 2 to 3 % of the intact rooms, and no other intact panorama, of the development halves of
# tools/benchmark/seams.py.
VISIBLE_POLES = 1.4


def poles(panorama: Tensor) -> Tensor:
    """How much uint8 panoramas [..., 3, H, 2H] vary around a pole, relative to other points: float32 [...].

    On the sphere a row near a pole is a small circle, along which grey varies as along a circle of the same radius around
    any other point. The variation is the root mean square difference of neighbours among CIRCLE_SAMPLES pixels, mean over
    POLE_ROWS. The measure divides that of the pole by the POLE_EXTREME quantile over points within 60 degrees of the
    horizon, and is the larger one of both poles. 0 for panoramas of less than 32 rows.

    >>> poles(torch.zeros(3, 64, 128, dtype=torch.uint8))
    tensor(0.)
    """
    height, width = panorama.shape[-2:]
    if height < 32 or width != 2 * height:
        return torch.zeros(panorama.shape[:-3], device=panorama.device)
    pixels = grey(panorama).flatten(-2)
    samples = pixels[..., _circles(height).to(panorama.device)]
    variation = (samples - samples.roll(1, -1)).square().mean(-1).sqrt().mean(-1)
    at_poles, elsewhere = variation[..., :2].amax(-1), variation[..., 2:].quantile(POLE_EXTREME, dim=-1)
    return at_poles / (elsewhere + FLAT)


@cache
def _circles(height: int) -> Tensor:
    """Indices of the pixels on circles around points: int64 [points, len(POLE_ROWS), CIRCLE_SAMPLES]; the poles first."""
    lat = torch.linspace(-math.pi / 3, math.pi / 3, 9, dtype=torch.float64)
    lon = torch.arange(16, dtype=torch.float64) * (2 * math.pi / 16)
    lat, lon = (axis.flatten() for axis in torch.meshgrid(lat, lon, indexing="ij"))
    lat = torch.cat([torch.tensor([math.pi / 2, -math.pi / 2], dtype=torch.float64), lat])
    lon = torch.cat([torch.zeros(2, dtype=torch.float64), lon])
    point = torch.stack([lat.cos() * lon.sin(), lat.cos() * lon.cos(), lat.sin()], dim=-1)
    east = torch.stack([lon.cos(), -lon.sin(), torch.zeros_like(lon)], dim=-1)
    north = torch.linalg.cross(point, east) * -1
    radius = (torch.tensor(POLE_ROWS, dtype=torch.float64)[:, None] + 0.5) / height * math.pi
    angle = (torch.arange(CIRCLE_SAMPLES, dtype=torch.float64) + 0.5) / CIRCLE_SAMPLES * 2 * math.pi
    point, east, north = (axis[:, None, None] for axis in (point, east, north))
    radius, angle = radius[..., None], angle[:, None]
    return nearest_pixels(point * radius.cos() + (east * angle.cos() + north * angle.sin()) * radius.sin(), height)


def nearest_pixels(directions: Tensor, height: int) -> Tensor:
    """Index row * 2 height + column of the pixel that holds each direction [..., 3]: int64 [...]."""
    x, y, z = directions.unbind(-1)
    row = (0.5 - torch.atan2(z, torch.hypot(x, y)) / math.pi) * height
    column = (torch.atan2(x, y) / math.pi + 1) * height
    return row.long().clamp(0, height - 1) * 2 * height + column.long() % (2 * height)
