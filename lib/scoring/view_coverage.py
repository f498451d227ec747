"""What each view shows of the sphere, and what it costs."""

import math

import torch
from torch import Tensor

from clip360.evaluation.token_analysis import network_inputs
from clip360.geometry.panorama import equirectangular_directions, rotate
from clip360.models.clip import Clip
from clip360.scoring.views import input_size, looks

FINENESS = 360  # rows of the grid of directions that shares are counted on


def seen(view: str, directions: Tensor, *, count: int, fov: float) -> Tensor:
    """Which unit directions [..., 3] a view of a panorama shows: bool [...]; ``count`` and ``fov`` are of multi_view."""
    if view == "center_crop":
        return directions[..., 1] > 0
    if view != "multi_view":
        return torch.ones(directions.shape[:-1], dtype=torch.bool)
    reach = math.tan(math.radians(fov) / 2)
    shown = torch.zeros(directions.shape[:-1], dtype=torch.bool)
    for k in range(count):
        right, ahead, up = rotate(directions, -360 / count * k).unbind(-1)
        shown |= (ahead > 0) & (torch.maximum(right.abs(), up.abs()) <= reach * ahead)
    return shown


def share_of_sphere(view: str, *, count: int, fov: float) -> float:
    """Share of the sphere's area that a view shows.

    >>> share_of_sphere("center_crop", count=4, fov=90.0)
    0.5
    """
    directions = equirectangular_directions(FINENESS)
    area = (1 - directions[..., 2].square()).sqrt()  # of a pixel, by the cosine of its latitude
    return round((area * seen(view, directions, count=count, fov=fov)).sum().item() / area.sum().item(), 4)


def cost(clip: Clip) -> dict[str, float]:
    """``passes`` through the image tower for a panorama, and ``input``, the size of all they read in squares of the height."""
    passes = clip.protocol.view_count if clip.view == "multi_view" else 1
    height, width = input_size(clip)
    return {"passes": passes, "input": passes * width / height}


def read_pictures(clip: Clip, panorama: Tensor) -> Tensor:
    """What the network reads of a panorama uint8 [3, H, 2H], without its normalisation: float [K, 3, S, S or 2S] in [0, 1]."""
    inputs = network_inputs(clip, looks(clip, panorama[None])[0])
    mean, std = (
        torch.tensor(x)[:, None, None] for x in (clip.network.visual.image_mean, clip.network.visual.image_std)
    )
    return (inputs * std + mean).clamp(0, 1)
