"""Render the embedded image sets: the same bytes every time.

    python -m stages.make_data [FOLDER]

Writes FOLDER/world_outdoor and FOLDER/world_indoor (default: data) as params.yaml says in its section `probe_sets`.
"""

import random
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from tqdm import tqdm

from lib.imageset import Picture, write_image_set
from lib.world.captions import scene_caption
from lib.world.render import Camera, render
from lib.world.scene import sample_scenes
from stages.parameters import read_params

BATCH = 16


def probe_pictures(name: str, *, where: str, seed: int, count: int, height: int, cues: list[str]) -> Iterator[Picture]:
    """Panoramas of scenes kept for probing, with captions, and format cues in equal parts.

    Rendered in float64, where the rounding that differs between processors does not reach the 8 bits of a pixel.
    """
    scenes = list(islice(sample_scenes(seed, "probe", where=where), count))
    rng = random.Random(f"{seed}/captions/{name}")
    for start in tqdm(range(0, count, BATCH), desc=name):
        batch = scenes[start : start + BATCH]
        panoramas = render(batch, [Camera()] * len(batch), height, dtype=torch.float64).image
        for k, (scene, panorama) in enumerate(zip(batch, panoramas, strict=True), start):
            image = (panorama * 255).round().byte()
            yield Picture(f"{name}_{k:03d}.jpg", image, scene_caption(scene, rng), cues[k % len(cues)])


def main(folder: Path) -> None:
    params = read_params()["probe_sets"]
    for name, where in params.pop("where").items():
        write_image_set(folder / name, probe_pictures(name, where=where, **params))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data"))
