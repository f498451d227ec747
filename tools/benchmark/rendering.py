"""Images per second of the renderer, for the three kinds of images that the pipeline renders."""

from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from clip360.world.render import Camera, render
from clip360.world.scene import sample_scenes
from tools.benchmark.rounds import interleave

PINHOLE, PANORAMA = Camera(yaw=10.0, pitch=-10.0, fov=75.0), Camera()


class Kind(NamedTuple):
    """How many images are rendered at once, by which camera, how high in pixels, and in which numbers."""

    n_images: int
    camera: Camera
    height: int
    dtype: torch.dtype


KINDS = {  # the first two are training images, the last those of image sets
    "perspective views of 48 x 48, float32": Kind(100, PINHOLE, 48, torch.float32),
    "panoramas of 96 x 48, float32": Kind(100, PANORAMA, 48, torch.float32),
    "panoramas of 512 x 256, float64": Kind(4, PANORAMA, 256, torch.float64),
}


def render_rates(*, n_scenes: int, rounds: int, device: str) -> list[dict]:
    """A row for each kind: images per second, at most ``n_scenes`` at once; median, lowest and highest over the rounds."""
    scenes = list(islice(sample_scenes(0, "probe"), n_scenes))

    def render_kind(kind: Kind) -> Tensor:
        batch = scenes[: kind.n_images]
        image = render(batch, [kind.camera] * len(batch), kind.height, device=device, dtype=kind.dtype).image
        return (image * 255).round().byte().cpu()

    timings = interleave({name: lambda kind=kind: render_kind(kind) for name, kind in KINDS.items()}, rounds)
    rows = []
    for name in KINDS:
        rates = len(timings.results[name]) / timings.wall[name]
        speeds = {"images per second": rates.median(), "lowest": rates.min(), "highest": rates.max()}
        rows.append({"rendered": name} | speeds)
    return rows
