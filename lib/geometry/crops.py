"""Crops: ordinary pictures cut out of panoramas, each in directions of its own, to show one thing."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from clip360.geometry.panorama import perspectives


def crops(
    batches: Iterable[Tensor], directions: Sequence[Sequence[float]], *, pitch: float, fov: float, size: int
) -> Iterator[Tensor]:
    """Pinhole views of panoramas uint8 [B, 3, H, 2H] in the yaws ``directions`` (degrees) of each, one after the other.

    ``directions`` go with the panoramas of all batches in order; yields uint8 [K, 3, size, size] a batch, K its directions.
    """
    ahead = iter(directions)
    for panoramas in batches:
        cuts = [
            perspectives(panorama.float() / 255, yaws, pitch=pitch, fov=fov, size=size)
            for panorama, yaws in zip(panoramas, ahead, strict=False)
        ]
        yield (torch.cat(cuts) * 255).round().byte()
