"""Render the embedded image sets again: the same bytes every time.

    python -m pipeline.render_embedded_data

Writes data/NAME for each entry of `probe_sets.environment` in params.yaml.
"""

import argparse
import math
import random
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch
from tqdm import tqdm

from clip360.data.image_set import ImageRecord, write_image_set
from clip360.world.captions import scene_caption
from clip360.world.render import Camera, render
from clip360.world.scene import EYE_HEIGHT, sample_scenes
from pipeline.error_messages import report
from pipeline.parameters import read_params

BATCH_SIZE = 16


def render_panoramas(
    name: str,
    *,
    split: str,
    environment: str | None,
    seed: int,
    n_images: int,
    height: int,
    format_cues: Sequence[str],
    yaw: float = 0.0,
    camera_offset: float = 0.0,
) -> Iterator[ImageRecord]:
    """Panoramas (uint8 [3, height, 2 height]) of the scenes of a split, with captions, and format cues in equal parts.

    The camera is turned by ``yaw`` degrees, and stands ``camera_offset`` metres from the origin in a direction drawn for each
    scene. ``name`` and ``seed`` determine the captions and these directions.

    Rendered in float64, whose rounding differs between processors too little to reach the 8 bits of a pixel.
    """
    scenes = list(islice(sample_scenes(seed, split, environment=environment), n_images))
    rng, directions = random.Random(f"{seed}/captions/{name}"), random.Random(f"{seed}/moved/{name}")
    for start in tqdm(range(0, n_images, BATCH_SIZE), desc=name):
        batch = scenes[start : start + BATCH_SIZE]
        cameras = [
            Camera(yaw=yaw, position=_position(camera_offset, directions.uniform(0, 2 * math.pi))) for _ in batch
        ]
        images = render(batch, cameras, height, dtype=torch.float64).image
        for k, (scene, image) in enumerate(zip(batch, images, strict=True), start):
            pixels = (image * 255).round().byte()
            cue = format_cues[k % len(format_cues)]
            yield ImageRecord(f"{name}_{k:03d}.jpg", pixels, scene_caption(scene, rng), cue)


def _position(distance: float, direction: float) -> tuple[float, float, float]:
    """Where a camera at eye height stands, in metres; the direction is in radians."""
    return distance * math.cos(direction), distance * math.sin(direction), EYE_HEIGHT


def main(*arguments: str) -> None:
    argparse.ArgumentParser(
        prog="python -m pipeline.render_embedded_data", description="Render the embedded image sets again."
    ).parse_args(arguments)
    recipe = read_params().probe_sets.model_dump()
    for name, environment in recipe.pop("environment").items():
        write_image_set(Path("data", name), render_panoramas(name, split="probe", environment=environment, **recipe))


if __name__ == "__main__":
    report(main, *sys.argv[1:])
