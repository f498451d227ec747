"""What each view mode shows of the sphere, and how much the network computes for it."""

import math

import torch
from torch import Tensor

from clip360.geometry.panorama import equirectangular_directions, rotate
from clip360.models.clip import Clip
from clip360.scoring.views import input_size, network_inputs, network_views

GRID_ROWS = 360  # rows of the grid of directions on which the area is summed


def visible_directions(view: str, directions: Tensor, *, n_views: int, fov: float) -> Tensor:
    """Which unit directions [..., 3] a view mode shows: bool [...]; ``n_views`` and ``fov`` (degrees) are of multi_view."""
    if view == "center_crop":
        return directions[..., 1] > 0
    if view != "multi_view":
        return torch.ones(directions.shape[:-1], dtype=torch.bool)
    half_width = math.tan(math.radians(fov) / 2)  # of the image plane at distance 1
    visible = torch.zeros(directions.shape[:-1], dtype=torch.bool)
    for k in range(n_views):
        right, ahead, up = rotate(directions, -360 / n_views * k).unbind(-1)
        visible |= (ahead > 0) & (torch.maximum(right.abs(), up.abs()) <= half_width * ahead)
    return visible


def sphere_fraction(view: str, *, n_views: int, fov: float) -> float:
    """Fraction of the sphere's area that a view mode shows, to four digits; ``fov`` in degrees.

    >>> sphere_fraction("center_crop", n_views=4, fov=90.0)
    0.5
    """
    directions = equirectangular_directions(GRID_ROWS)
    area = (1 - directions[..., 2].square()).sqrt()  # of a grid cell: the cosine of its latitude
    visible = visible_directions(view, directions, n_views=n_views, fov=fov)
    return round((area * visible).sum().item() / area.sum().item(), 4)


def cost(clip: Clip) -> dict[str, float]:
    """Cost of embedding one panorama.

    ``passes``  forward passes through the image tower
    ``input``   size of all inputs together, in squares of the input's height
    """
    passes = clip.protocol.n_views if clip.view == "multi_view" else 1
    height, width = input_size(clip)
    return {"passes": passes, "input": passes * width / height}


def shown_images(clip: Clip, panorama: Tensor) -> Tensor:
    """What the network receives of a panorama uint8 [3, H, 2H], not normalised: float32 [K, 3, S, S or 2S] in [0, 1]."""
    inputs = network_inputs(clip, network_views(clip, panorama[None])[0])
    mean, std = (
        torch.tensor(x)[:, None, None] for x in (clip.network.visual.image_mean, clip.network.visual.image_std)
    )
    return (inputs * std + mean).clamp(0, 1)
