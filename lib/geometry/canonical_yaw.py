"""A yaw that belongs to the scene: a panorama turned to it is the same image after every circular shift."""

import math

import torch
from torch import Tensor


def at_canonical_yaw(panoramas: Tensor) -> Tensor:
    """Panoramas uint8 [B, 3, H, W], each shifted so that the circular mean of its brightness lies in the middle column.

    With m(x) the sum of column x over channels and rows, that direction is arg Σ_x m(x) exp(2πi (x + ½) / W). It moves with
    the content, so that all shifts by whole pixels give one and the same image, and a mirror image gives the mirror image:
    a canonicalisation (Kaba et al., arXiv 2211.06489). Where brightness is alike in all directions, noise decides.

    >>> at_canonical_yaw(torch.tensor([[[[9, 0, 0, 0]]], [[[0, 0, 5, 7]]]], dtype=torch.uint8)).flatten(1)
    tensor([[0, 0, 9, 0],
            [0, 5, 7, 0]], dtype=torch.uint8)
    """
    width = panoramas.shape[-1]
    angles = [2 * math.pi * (column + 0.5) / width for column in range(width)]
    cos, sin = (panoramas.new_tensor([f(a) for a in angles], dtype=torch.float64) for f in (math.cos, math.sin))
    brightness = panoramas.sum((1, 2), dtype=torch.int64).double()
    direction = torch.atan2((brightness * sin).sum(-1), (brightness * cos).sum(-1))
    shifts = (width / 2 * (1 - direction / math.pi)).round().long().tolist()
    return torch.stack([x.roll(shift, dims=-1) for x, shift in zip(panoramas, shifts, strict=True)])
