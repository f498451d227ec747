"""How visible the seam of a panorama is, where its right edge meets its left edge: as a step, or as a blurred strip."""

import torch
import torch.nn.functional as F
from torch import Tensor

NEIGHBOURS = 16  # columns compared on each side of the seam; they include edges of JPEG blocks
TOLERANCE = 2  # grey levels that rounding and compression can add to the step between two columns
# Chosen on half of 512 rendered panoramas, against copies with 10 % of the width cut off and the rest stretched, both
# uncompressed and at JPEG quality 70. On the other 256, one intact panorama exceeds it (a beam stands right on its edge)
# and two cut ones do not; at quality 70, four and one.
VISIBLE_SEAM = 4.0
# Between 95 and 98 % of the intact real panoramas lie below in the development half of tools/benchmark/seams.py.
VISIBLE_DISCONTINUITY = 0.31
DISCONTINUITY_OFFSET = 0.1  # c of the discontinuity score: an edge response that counts as no edge

BLEND_WIDTHS = (8, 16, 32)  # widths in columns of the blurred strips that are looked for
BLEND_EXTREME = 0.02  # a seam is visible if it is among this fraction of the places of its own picture, the strongest
VISIBLE_BLEND = (
    1.0  # by construction: 2 % of intact panoramas at most exceed it if they are cut open in random directions
)
JPEG_BLOCK = 8  # the seam lies on an edge of JPEG blocks: only such columns are like it
BANDS = 16  # bands of rows that count alike, so that no single object decides
EMPTY = 0.002  # second difference of grey in [0, 1] that counts as no detail: a quarter of a grey level is 0.001


def seam(panorama: Tensor) -> Tensor:
    """Visibility of the line where the right edge of uint8 panoramas [..., 3, H, W] meets the left edge: float32 [...].

    The fraction of rows in which the step from the last column to the first exceeds, by more than TOLERANCE grey levels,
    every step between neighbouring columns within NEIGHBOURS columns on both sides, times the number of steps compared.
    The expected value for an invisible seam is at most 1; the maximum, 2 NEIGHBOURS + 1, means every row. Above
    VISIBLE_SEAM a viewer notices the seam.

    >>> seam(torch.zeros(3, 50, 100, dtype=torch.uint8)), seam(torch.arange(200).byte().expand(3, 100, 200))
    (tensor(0.), tensor(33.))
    """
    side = max(1, min(NEIGHBOURS, panorama.shape[-1] // 2 - 1))
    strip = torch.cat([panorama[..., -side - 1 :], panorama[..., : side + 1]], dim=-1).float()
    steps = strip.diff(dim=-1).abs().mean(-3)
    other_steps = torch.cat([steps[..., :side], steps[..., side + 1 :]], dim=-1).amax(-1)
    return (steps[..., side] > other_steps + TOLERANCE).float().mean(-1) * (2 * side + 1)


def grey(panorama: Tensor) -> Tensor:
    """Luma (ITU-R BT.601) in [0, 1] of uint8 panoramas [..., 3, H, W]: float32 [..., H, W]."""
    red, green, blue = (panorama.float() / 255).unbind(-3)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def discontinuity(panorama: Tensor) -> Tensor:
    """The discontinuity score (DS, arXiv 2407.18207) of uint8 panoramas [..., 3, H, W]: float32 [...], 0 without edges.

    DS = mean over rows y of 1/2 [|g(2, y)| / (|g(1, y)| + c) + |g(3, y)| / (|g(4, y)| + c)], where columns 2 and 3 flank
    the seam (the last and the first), 1 and 4 are the next ones away from it, and g is the horizontal Scharr filter
    [[3, 0, -3], [10, 0, -10], [3, 0, -3]] / 16 on grey in [0, 1]. Rows beyond the poles repeat the outermost row.

    >>> discontinuity(torch.zeros(3, 50, 100, dtype=torch.uint8))
    tensor(0.)
    """
    strip = grey(panorama[..., torch.arange(-3, 3, device=panorama.device) % panorama.shape[-1]])
    strip = torch.cat([strip[..., :1, :], strip, strip[..., -1:, :]], dim=-2)
    smooth = (3 * strip[..., :-2, :] + 10 * strip[..., 1:-1, :] + 3 * strip[..., 2:, :]) / 16
    left, last, first, right = (smooth[..., 2:] - smooth[..., :-2]).abs().unbind(-1)
    c = DISCONTINUITY_OFFSET
    return ((last / (left + c) + first / (right + c)) / 2).mean(-1)


def seam_blend(panorama: Tensor) -> Tensor:
    """How much the seam of uint8 panoramas [..., 3, H, W] looks like a blurred strip between two contents: float32 [...].

    The strength of a place is the lack of detail in a strip around it (the strongest over BLEND_WIDTHS), plus half of the
    step in content across the strip, each as a robust z-score among the places of the same picture. The measure is the
    strength of the seam over the k-th largest of the other places, where the n places lie JPEG_BLOCK columns apart and k is
    BLEND_EXTREME n, rounded down, and at least 1. Whatever an intact panorama shows, it exceeds VISIBLE_BLEND with
    probability k / n if it is cut open in a random direction, in whole blocks. 0 for panoramas of less than 128 columns,
    which have too few places.

    >>> seam_blend(torch.zeros(3, 64, 128, dtype=torch.uint8))
    tensor(0.)
    """
    if panorama.shape[-1] < 16 * JPEG_BLOCK:
        return torch.zeros(panorama.shape[:-3], device=panorama.device)
    luma = grey(panorama)
    detail = _bands((luma.roll(-1, -1) - 2 * luma + luma.roll(1, -1)).abs())
    dips = torch.stack([_robust_z(_lack_of_detail(detail, width)) for width in BLEND_WIDTHS]).amax(0)
    steps = _robust_z(_content_step(_bands(panorama.float() / 255)))
    strength = dips + steps.clamp(min=0) / 2
    k = max(1, int(BLEND_EXTREME * strength.shape[-1]))
    others = strength[..., 1:].topk(k).values[..., -1]
    return (strength[..., 0] / others.clamp(min=0.5)).clamp(min=0)


def _bands(image: Tensor) -> Tensor:
    """Means over BANDS bands of rows of [..., H, W]: [..., BANDS, W]. An eighth of the rows at each pole is left out."""
    height, width = image.shape[-2:]
    rows = image[..., round(height / 8) : height - round(height / 8), :]
    return F.adaptive_avg_pool2d(rows.reshape(-1, 1, *rows.shape[-2:]), (BANDS, width)).view(
        *image.shape[:-2], BANDS, width
    )


def _strips(bands: Tensor, start: int, stop: int) -> Tensor:
    """Means of [..., W] over the columns from ``start`` to ``stop`` right of every place: [..., W / JPEG_BLOCK]."""
    width = bands.shape[-1]
    places = torch.arange(0, width, JPEG_BLOCK, device=bands.device)
    return bands[..., (places[:, None] + torch.arange(start, stop, device=bands.device)) % width].mean(-1)


def _lack_of_detail(detail: Tensor, width: int) -> Tensor:
    """Log of the detail beside a strip over that in it, mean over bands: [..., BANDS, W] -> [..., places]."""
    half, gap = width // 2, 2
    inside = _strips(detail, 1 - half, half - 1)  # second differences that no column outside the strip enters
    beside = torch.minimum(
        _strips(detail, -half - gap - width, -half - gap), _strips(detail, half + gap, half + gap + width)
    )
    return ((beside + EMPTY) / (inside + EMPTY)).log().mean(-2)


def _content_step(colours: Tensor) -> Tensor:
    """Log of the difference between both sides of 8 columns, mean over bands: [..., 3, BANDS, W] -> [..., places]."""
    return ((_strips(colours, -12, -4) - _strips(colours, 4, 12)).abs().mean(-3) + 0.01).log().mean(-2)


def _robust_z(values: Tensor) -> Tensor:
    """(x - median) / (1.4826 median absolute deviation), along the last axis."""
    deviation = values - values.median(-1, keepdim=True).values
    spread = 1.4826 * deviation.abs().median(-1, keepdim=True).values
    return deviation / (spread + 0.02)  # a picture without any detail has no spread
