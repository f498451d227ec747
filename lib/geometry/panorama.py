"""Geometry of 360-degree panoramas as batched tensor operations on any device.

Conventions of the whole project
    image      float tensor [..., C, H, W], values in [0, 1]; a panorama is equirectangular, W = 2H
    angles     degrees; yaw turns the camera to the right, pitch turns it up
    axes       x right, y forward, z up; the direction of yaw 0, pitch 0 is (0, 1, 0)
    pixels     column j is centred on longitude (j + 1/2) / W * 360 - 180, row i on latitude 90 - (i + 1/2) / H * 180
    shift      δ in pixels, positive moves the content right: I^δ(x) = I((x - δ) mod W)  (arXiv 2604.24642)
    yaw, shift the camera at yaw ψ sees the panorama shifted by δ = -ψ W / 360
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def circular_shift(panorama: Tensor, delta: int) -> Tensor:
    """Roll a panorama by ``delta`` pixels: I^δ(x) = I((x - δ) mod W).

    >>> circular_shift(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), 1)
    tensor([[[4., 1., 2., 3.]]])
    """
    return torch.roll(panorama, shifts=delta, dims=-1)


def mirror(panorama: Tensor) -> Tensor:
    """Flip an image left to right.

    >>> mirror(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]))
    tensor([[[4., 3., 2., 1.]]])
    """
    return panorama.flip(-1)


def equirectangular_directions(height: int, *, device=None, dtype=torch.float64) -> Tensor:
    """Unit direction of every pixel of a height x 2 height panorama, [H, 2H, 3].

    >>> equirectangular_directions(4).shape
    torch.Size([4, 8, 3])
    """
    width = 2 * height
    lon = ((torch.arange(width, device=device, dtype=dtype) + 0.5) / width * 2 - 1) * math.pi
    lat = (0.5 - (torch.arange(height, device=device, dtype=dtype) + 0.5) / height) * math.pi
    lat, lon = torch.meshgrid(lat, lon, indexing="ij")
    return torch.stack([lat.cos() * lon.sin(), lat.cos() * lon.cos(), lat.sin()], dim=-1)


def pinhole_directions(
    size: int, fov: float, *, yaw: float = 0.0, pitch: float = 0.0, device=None, dtype=torch.float64
) -> Tensor:
    """Unit direction of every pixel of a square pinhole view, [size, size, 3].

    ``fov`` is the full angle of view; ValueError if it is not between 0 and 180 degrees.

    >>> pinhole_directions(3, 90.0)[1, 1]
    tensor([0., 1., 0.], dtype=torch.float64)
    """
    if not 0 < fov < 180:
        raise ValueError(f"fov is {fov}: expected an angle of view between 0 and 180 degrees")
    half = math.tan(math.radians(fov) / 2)
    axis = ((torch.arange(size, device=device, dtype=dtype) + 0.5) / size * 2 - 1) * half
    up, right = torch.meshgrid(-axis, axis, indexing="ij")
    rays = torch.stack([right, torch.ones_like(right), up], dim=-1)
    return rotate(rays / rays.norm(dim=-1, keepdim=True), yaw, pitch)


def rotate(directions: Tensor, yaw: float, pitch: float = 0.0) -> Tensor:
    """World directions [..., 3] of camera directions [..., 3]: pitch (up) first, then yaw (right)."""
    x, y, z = directions.unbind(-1)
    cos, sin = math.cos(math.radians(pitch)), math.sin(math.radians(pitch))
    y, z = cos * y - sin * z, sin * y + cos * z
    cos, sin = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
    x, y = cos * x + sin * y, cos * y - sin * x
    return torch.stack([x, y, z], dim=-1)


def perspective(panorama: Tensor, *, yaw: float = 0.0, pitch: float = 0.0, fov: float = 90.0, size: int) -> Tensor:
    """Gnomonic view [..., C, size, size] of a panorama [..., C, H, 2H]; see ``perspectives``.

    >>> perspective(torch.ones(3, 8, 16), yaw=180.0, size=4).shape
    torch.Size([3, 4, 4])
    """
    return perspectives(panorama, [yaw], pitch=pitch, fov=fov, size=size)[0]


def perspectives(
    panorama: Tensor, yaws: Sequence[float], *, pitch: float = 0.0, fov: float = 90.0, size: int
) -> Tensor:
    """Gnomonic views of a panorama [..., C, H, 2H] in K directions, bilinear: [K, ..., C, size, size].

    The panorama is padded by one column on each side and one row beyond each pole (where it continues half a turn
    further), so neither the seam at 180 degrees nor the poles are visible. Raises ValueError if it is not 2:1.
    """
    height, width = panorama.shape[-2:]
    if width != 2 * height:
        raise ValueError(f"panorama is {width} x {height}: expected twice as wide as high, resize or crop it")
    flat = panorama.reshape(-1, 1, height, width) if panorama.dim() < 4 else panorama.flatten(0, -4)
    over_pole = flat.roll(width // 2, dims=-1)
    flat = torch.cat([over_pole[..., :1, :], flat, over_pole[..., -1:, :]], dim=-2)
    flat = torch.cat([flat[..., -1:], flat, flat[..., :1]], dim=-1)

    rays = torch.cat([pinhole_directions(size, fov, yaw=yaw, pitch=pitch, device=panorama.device) for yaw in yaws])
    column = (torch.atan2(rays[..., 0], rays[..., 1]) / math.pi + 1) * width / 2
    x, y, z = rays.unbind(-1)
    elevation = torch.atan2(z, torch.hypot(x, y))  # torch.asin depends on the processor
    row = (0.5 - elevation / math.pi) * height
    # grid_sample maps -1 ... 1 to the outer edges of the pixels; the padding shifts everything by one pixel.
    grid = torch.stack([(column + 1) / (width + 2) * 2 - 1, (row + 1) / (height + 2) * 2 - 1], dim=-1)
    grid = grid.to(panorama.dtype).expand(len(flat), -1, -1, -1)
    views = F.grid_sample(flat, grid, mode="bilinear", align_corners=False)
    return views.unflatten(-2, (len(yaws), size)).movedim(-3, 0).reshape(len(yaws), *panorama.shape[:-2], size, size)
