"""Crops: pinhole views cut out of panoramas, each in given directions, to show one object."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from clip360.geometry.panorama import perspectives


def crops(
    batches: Iterable[Tensor], directions: Sequence[Sequence[float]], *, pitch: float, fov: float, size: int
) -> Iterator[Tensor]:
    """Pinhole views of panoramas uint8 [B, 3, H, 2H] in the yaws ``directions`` (degrees) of each panorama.

    ``directions`` follow the panoramas of all batches in order. Yields one uint8 [K, 3, size, size] per batch, where K is
    the number of its directions.
    """
    remaining = iter(directions)
    for panoramas in batches:
        views = [
            perspectives(panorama.float() / 255, yaws, pitch=pitch, fov=fov, size=size)
            for panorama, yaws in zip(panoramas, remaining, strict=False)
        ]
        yield (torch.cat(views) * 255).round().byte()
