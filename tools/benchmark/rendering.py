"""Pictures a second that the renderer makes, of the three kinds that the pipeline wants."""

from itertools import islice

import torch
from torch import Tensor

from clip360.world.render import Camera, render
from clip360.world.scene import sample_scenes
from tools.benchmark.rounds import interleave

PINHOLE, PANORAMA = Camera(yaw=10.0, pitch=-10.0, fov=75.0), Camera()
# How many at once, camera, height, numbers: of models' training, and of image sets.
KINDS = {
    "views of 48 x 48, float32": (100, PINHOLE, 48, torch.float32),
    "panoramas of 96 x 48, float32": (100, PANORAMA, 48, torch.float32),
    "panoramas of 512 x 256, float64": (4, PANORAMA, 256, torch.float64),
}


def render_rates(*, most: int, rounds: int, device: str) -> list[dict]:
    """A row for each kind: pictures a second, ``most`` at once, median, lowest and highest over the rounds."""
    scenes = list(islice(sample_scenes(0, "probe"), most))

    def draw(count: int, camera: Camera, height: int, dtype: torch.dtype) -> Tensor:
        shown = scenes[:count]
        image = render(shown, [camera] * len(shown), height, device=device, dtype=dtype).image
        return (image * 255).round().byte().cpu()

    timed = interleave({name: lambda kind=kind: draw(*kind) for name, kind in KINDS.items()}, rounds)
    rows = []
    for name in KINDS:
        rates = len(timed.results[name]) / timed.clock[name]
        speeds = {"pictures a second": rates.median(), "lowest": rates.min(), "highest": rates.max()}
        rows.append({"rendered": name} | speeds)
    return rows
