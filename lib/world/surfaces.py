"""Textures of flat surfaces: each kind mixes two colours as a function of the position (u, v).

Detail finer than a pixel fades to the mean of the texture, so distant ground does not alias. Colours are tensors
[3, N], one column per ray, so a factor [N] scales them by broadcasting.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from clip360.world.gather import indices, pick, pick_each, root

TILE = 256
_BOOK_COLOURS = ((0.55, 0.16, 0.14), (0.16, 0.26, 0.42), (0.18, 0.36, 0.22), (0.72, 0.60, 0.34), (0.36, 0.20, 0.34))
_FLOWER_COLOURS = ((1.0, 0.98, 0.92), (0.98, 0.86, 0.25), (0.92, 0.52, 0.74))


@lru_cache
def noise_tile(dtype=torch.float64, device=None, exponent: float = 1.7) -> Tensor:
    """Periodic 1/f noise, [TILE, TILE] in [0, 1] with mean near 1/2: filtered white noise."""
    white = torch.randn(TILE, TILE, generator=torch.Generator().manual_seed(360), dtype=torch.float64)
    k = torch.fft.fftfreq(TILE, dtype=torch.float64) * TILE
    radius = root(k[:, None] ** 2 + k[None] ** 2)
    gain = torch.where(radius > 2, radius.clamp(min=1) ** -exponent, 0.0)
    field = torch.fft.ifft2(torch.fft.fft2(white) * gain).real
    return (0.5 + field / field.std() / 5).clamp(0, 1).to(device=device, dtype=dtype)


def noise(u: Tensor, v: Tensor) -> Tensor:
    """Sample the noise tile bilinearly at u, v (one unit = one tile, repeating)."""
    tile = noise_tile(u.dtype, u.device).flatten()
    u, v = u * TILE, v * TILE
    u0, v0 = u.floor(), v.floor()
    fu, fv = u - u0, v - v0
    i, j = u0.long() & (TILE - 1), v0.long() & (TILE - 1)
    i1, j1 = ((i + 1) & (TILE - 1)) * TILE, (j + 1) & (TILE - 1)
    i = i * TILE
    near = pick(tile, i + j).lerp(pick(tile, i1 + j), fu)
    far = pick(tile, i + j1).lerp(pick(tile, i1 + j1), fu)
    return near.lerp(far, fv)


def cell_hash(i: Tensor, j: Tensor, salt: int = 0) -> Tensor:
    """Pseudo-random numbers in [0, 1) of integer cells (i, j), the same on every device."""
    h = (i.long() * 73856093) ^ (j.long() * 19349663) ^ (salt * 83492791 + 0x9E3779B9)
    h = ((h ^ (h >> 15)) * 2246822519) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 3266489917) & 0xFFFFFFFF
    return (h >> 8).to(torch.get_default_dtype() if not i.is_floating_point() else i.dtype) / 2**24


def smoothstep(x: Tensor, low: float, high: float) -> Tensor:
    """0 below ``low``, 1 above ``high``, smooth in between."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def palette(colours, index: Tensor) -> Tensor:
    """Colours [3, N] at the fractions ``index`` [N] in [0, 1) of the list ``colours``."""
    table = index.new_tensor(colours).T
    return pick(table, (index * len(colours)).long())


def _edge(x: Tensor, width: float) -> Tensor:
    """1 within ``width`` of an integer."""
    return ((x - x.round()).abs() < width).to(x.dtype)


def _planks(u, v):
    row = v.floor()
    along = u / 7 + 0.37 * row
    shade = 0.25 + 0.6 * cell_hash(row, along.floor())
    return torch.maximum(shade, _edge(v, 0.05)), 0.55


def _tiles(u, v):
    return torch.maximum(torch.maximum(_edge(u, 0.06), _edge(v, 0.06)), 0.25 * cell_hash(u.floor(), v.floor())), 0.33


def _paving(u, v):
    u = u + 0.5 * (v.floor() % 2)
    stone = 0.7 * cell_hash(u.floor(), v.floor())
    return torch.maximum(torch.maximum(_edge(u, 0.035), _edge(v, 0.035)), stone), 0.45


def _checker(u, v):
    return (u.floor() + v.floor()) % 2, 0.5


def _ripples(u, v):
    wave = 0.5 + 0.5 * torch.sin(2 * math.pi * (u + 3 * noise(u / 24, v / 24)))
    return wave * (0.35 + 0.65 * noise(u / 12 + 0.3, v / 12)), 0.35


def _noise(u, v):
    return smoothstep(0.6 * noise(u / 10, v / 10) + 0.4 * noise(u / 2.3, v / 2.3), 0.25, 0.75), 0.5


def _corrugated(u, v):
    return 0.5 + 0.5 * torch.sin(2 * math.pi * u), 0.5


def _cracks(u, v):
    ridge = (noise(u / 14, v / 14) - 0.5).abs()
    return 1 - smoothstep(ridge, 0.004, 0.03), 0.12


# Each returns the amount [N] of the second colour at u, v [N] (units of the scale), and its mean over the surface.
TEXTURES = {
    "noise": _noise,
    "ripples": _ripples,
    "planks": _planks,
    "tiles": _tiles,
    "paving": _paving,
    "checker": _checker,
    "corrugated": _corrugated,
    "cracks": _cracks,
    "flowers": _noise,
    "books": _planks,
}
KINDS = tuple(TEXTURES)


class Paint(NamedTuple):
    """One surface (ground or floor, wall, ceiling) of each of S scenes."""

    kind: Tensor  # [S] index into KINDS
    colour: Tensor  # [3, S]
    second: Tensor  # [3, S]
    scale: Tensor  # [S] metres


def paint(surface: Paint, scene: Tensor, u: Tensor, v: Tensor, footprint: Tensor) -> Tensor:
    """Colours [3, N] of the surfaces of ``scene`` [N] at u, v [N] metres, for pixels that cover ``footprint`` [N] metres."""
    scale = pick(surface.scale, scene)
    u, v = u / scale, v / scale
    sharp = 1 / (1 + (footprint / (0.5 * scale)) ** 2)
    colour = torch.empty(3, *u.shape, dtype=u.dtype, device=u.device)
    kinds = pick(surface.kind, scene)
    for kind in surface.kind.unique().tolist():
        part = indices(kinds == kind)
        x, y, fine, place = pick_each(part, u, v, sharp, scene)
        amount, mean = TEXTURES[KINDS[kind]](x, y)
        painted = pick(surface.colour, place).lerp(pick(surface.second, place), mean + (amount - mean) * fine)
        if KINDS[kind] == "flowers":
            painted = _add_flowers(painted, 2 * x, 2 * y, fine)
        if KINDS[kind] == "books":
            painted = _add_books(painted, x, y, fine)
        colour[:, part] = painted
    return colour


def _add_flowers(grass: Tensor, u: Tensor, v: Tensor, sharp: Tensor) -> Tensor:
    """Add flowers to one cell in five of a grid."""
    draw = cell_hash(u.floor(), v.floor(), salt=1)
    distance = torch.hypot(u - u.floor() - 0.3 - 0.4 * draw, v - v.floor() - 0.5)
    bloom = ((draw > 0.8) & (distance < 0.22)).to(u.dtype) * sharp
    return grass.lerp(palette(_FLOWER_COLOURS, cell_hash(u.floor(), v.floor(), salt=2)), bloom)


def _add_books(wood: Tensor, u: Tensor, v: Tensor, sharp: Tensor) -> Tensor:
    """Add rows of books of varying width, height and colour between shelf boards."""
    shelf, height = v.floor(), v - v.floor()
    book = (u * 5.5 + 0.25 * torch.sin(u * 7)).floor()
    top = 0.62 + 0.3 * cell_hash(book, shelf, salt=3)
    in_book = ((height > 0.1) & (height < top)).to(u.dtype)
    spine = palette(_BOOK_COLOURS, cell_hash(book, shelf, salt=4)) * (0.75 + 0.5 * cell_hash(book, shelf))
    behind = wood * (1 - 0.65 * (height > 0.1).to(u.dtype) * sharp)
    return behind.lerp(spine.clamp(0, 1), in_book * (0.6 + 0.4 * sharp))
