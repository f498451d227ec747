"""How visible the seam of a panorama is, where its right edge meets its left."""

import torch
from torch import Tensor

NEAR = 16  # columns to either side of the seam; the edges of a JPEG file's blocks are among them
STEP = 2  # grey levels that rounding and compression may add to a step
# Chosen on half of the 512 rendered panoramas against the same with 10 % of their width cut off and stretched back, as
# they are and at JPEG quality 70. Of the other 256, 1 is said to have a seam (a beam stands right on its edge) and 2
# cut ones are not; at quality 70, 4 and 1.
VISIBLE_SEAM = 4.0


def seam(panorama: Tensor) -> Tensor:
    """How visible the line is where the right edge of uint8 panoramas [..., 3, H, W] meets the left: float32 [...].

    The share of the rows in which the step from the last column to the first is larger, by more than STEP grey levels,
    than every step between neighbouring columns within NEAR columns on either side, times the number of steps compared:
    1 = it is as often the largest as any other column would be, 2 NEAR + 1 = it is in every row. Above VISIBLE_SEAM it shows.

    >>> seam(torch.zeros(3, 50, 100, dtype=torch.uint8)), seam(torch.arange(200).byte().expand(3, 100, 200))
    (tensor(0.), tensor(33.))
    """
    near = max(1, min(NEAR, panorama.shape[-1] // 2 - 1))
    around = torch.cat([panorama[..., -near - 1 :], panorama[..., : near + 1]], dim=-1).float()
    steps = around.diff(dim=-1).abs().mean(-3)
    others = torch.cat([steps[..., :near], steps[..., near + 1 :]], dim=-1).amax(-1)
    return (steps[..., near] > others + STEP).float().mean(-1) * (2 * near + 1)
