"""The images and captions that train and evaluate the embedded CLIPs: views and panoramas of the scenes of a split."""

import random
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from clip360.world.cameras import draw_camera, visible_objects
from clip360.world.captions import scene_caption
from clip360.world.render import Camera, render
from clip360.world.scene import Scene, sample_scenes

BATCH_SIZE = 250


class TrainingImages(NamedTuple):
    """N images of N scenes."""

    images: Tensor  # uint8 [N, 3, H, W]
    scenes: list[Scene]
    visible: list[list[int]]  # for each image the indices of the objects it shows


def render_training_images(
    name: str, *, split: str, seed: int, n_images: int, size: int, panoramas: bool
) -> TrainingImages:
    """Render the first ``n_images`` scenes of a split, each once: size x 2 size ``panoramas`` or size x size views.

    A panorama is rendered from the origin and shows all objects of its scene. ``name`` is part of the seed, so images
    of different names show different scenes.
    """
    scenes = list(islice(sample_scenes(f"{seed}/{name}", split), n_images))
    rng = random.Random(f"{seed}/cameras/{name}")
    images, visible = [], []
    for start in tqdm(range(0, n_images, BATCH_SIZE), desc=name):
        batch = scenes[start : start + BATCH_SIZE]
        rendered = render(batch, [Camera() if panoramas else draw_camera(scene, rng) for scene in batch], size)
        images.append((rendered.image * 255).round().byte())
        visible += [list(range(len(s.objects))) for s in batch] if panoramas else visible_objects(batch, rendered.solid)
    return TrainingImages(torch.cat(images), scenes, visible)


def caption_images(
    name: str, images: TrainingImages, *, cues: Sequence[str], captions_per_image: int, seed: int
) -> pd.DataFrame:
    """``captions_per_image`` captions for each image, each with a cue drawn from ``cues``.

    Columns: image (row of ``images``), caption_number, cue, caption; one row per caption.
    """
    rng = random.Random(f"{seed}/texts/{name}")
    rows = [
        {"image": k, "caption_number": n, "cue": rng.choice(list(cues)), "caption": scene_caption(scene, rng, visible)}
        for k, (scene, visible) in enumerate(zip(images.scenes, images.visible, strict=True))
        for n in range(captions_per_image)
    ]
    return pd.DataFrame(rows)


def label_images(images: TrainingImages) -> pd.DataFrame:
    """Class labels of each image: scene_category, and shape and colour of one object it shows ("" if it shows none)."""
    rows = []
    for scene, visible in zip(images.scenes, images.visible, strict=True):
        first = scene.objects[visible[0]] if visible else None
        rows.append(
            {
                "scene_category": scene.category,
                "shape": first.shape if first else "",
                "colour": first.colour if first else "",
            }
        )
    return pd.DataFrame(rows)
