"""How visible the seam of a panorama is, where its right edge meets its left edge."""

import torch
from torch import Tensor

NEIGHBOURS = 16  # columns compared on each side of the seam; they include edges of JPEG blocks
TOLERANCE = 2  # grey levels that rounding and compression can add to the step between two columns
# Chosen on half of 512 rendered panoramas, against copies with 10 % of the width cut off and the rest stretched, both
# uncompressed and at JPEG quality 70. On the other 256, one intact panorama exceeds it (a beam stands right on its edge)
# and two cut ones do not; at quality 70, four and one.
VISIBLE_SEAM = 4.0


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
