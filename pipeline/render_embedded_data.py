"""Render the embedded image sets: the same bytes every time.

    python -m pipeline.render_embedded_data

Writes data/NAME as params.yaml says in its section `probe_sets`.
"""

import math
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from tqdm import tqdm

from clip360.data.image_set import Picture, write_image_set
from clip360.world.captions import scene_caption
from clip360.world.render import Camera, render
from clip360.world.scene import EYE_HEIGHT, sample_scenes
from pipeline.parameters import read_params

BATCH = 16


def panoramas(
    name: str,
    *,
    split: str,
    where: str | None,
    seed: int,
    count: int,
    height: int,
    cues: list[str],
    yaw: float = 0.0,
    moved: float = 0.0,
) -> Iterator[Picture]:
    """Panoramas of the scenes of a split, with captions, and format cues in equal parts.

    The camera is turned by ``yaw`` degrees, and stands ``moved`` metres from the origin in a direction drawn for each scene.

    Rendered in float64, where the rounding that differs between processors does not reach the 8 bits of a pixel.
    """
    scenes = list(islice(sample_scenes(seed, split, where=where), count))
    rng, steps = random.Random(f"{seed}/captions/{name}"), random.Random(f"{seed}/moved/{name}")
    for start in tqdm(range(0, count, BATCH), desc=name):
        batch = scenes[start : start + BATCH]
        cameras = [Camera(yaw=yaw, position=_at(moved, steps.uniform(0, 2 * math.pi))) for _ in batch]
        pictures = render(batch, cameras, height, dtype=torch.float64).image
        for k, (scene, picture) in enumerate(zip(batch, pictures, strict=True), start):
            image = (picture * 255).round().byte()
            yield Picture(f"{name}_{k:03d}.jpg", image, scene_caption(scene, rng), cues[k % len(cues)])


def _at(distance: float, direction: float) -> tuple[float, float, float]:
    """Where the camera stands, at the height of the eyes."""
    return distance * math.cos(direction), distance * math.sin(direction), EYE_HEIGHT


def main() -> None:
    params = read_params()["probe_sets"]
    for name, where in params.pop("where").items():
        write_image_set(Path("data", name), panoramas(name, split="probe", where=where, **params))


if __name__ == "__main__":
    main()
