"""Everything that shows in a panorama where a sphere was laid flat, by name."""

import torch
from torch import Tensor

from clip360.geometry.cube_edges import VISIBLE_CUBE_EDGES, cube_edges
from clip360.geometry.poles import VISIBLE_POLES, poles
from clip360.geometry.seam import (
    VISIBLE_BLEND,
    VISIBLE_DISCONTINUITY,
    VISIBLE_SEAM,
    discontinuity,
    seam,
    seam_blend,
)

MEASURES = {
    "seam": seam,
    "seam_blend": seam_blend,
    "discontinuity": discontinuity,
    "poles": poles,
    "cube_edges": cube_edges,
}
VISIBLE = {  # above it, a measure reports a fault
    "seam": VISIBLE_SEAM,
    "seam_blend": VISIBLE_BLEND,
    "discontinuity": VISIBLE_DISCONTINUITY,
    "poles": VISIBLE_POLES,
    "cube_edges": VISIBLE_CUBE_EDGES,
}


def seam_measures(panoramas: Tensor) -> dict[str, Tensor]:
    """All measures of uint8 panoramas [..., 3, H, 2H] by name: float32 [...] each. Above ``VISIBLE`` a fault shows.

    One panorama at a time, because each is held as float32 meanwhile.

    >>> list(seam_measures(torch.zeros(3, 64, 128, dtype=torch.uint8)))
    ['seam', 'seam_blend', 'discontinuity', 'poles', 'cube_edges']
    """
    single, shape = panoramas.reshape(-1, *panoramas.shape[-3:]), panoramas.shape[:-3]
    return {
        name: torch.stack([measure(panorama) for panorama in single]).reshape(shape)
        for name, measure in MEASURES.items()
    }
