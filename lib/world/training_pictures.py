"""The pictures and texts that the embedded CLIPs are trained and tested on: views and panoramas of scenes of a split."""

import random
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from clip360.world.cameras import draw_camera, shown_things
from clip360.world.captions import scene_caption
from clip360.world.render import Camera, render
from clip360.world.scene import Scene, sample_scenes

BATCH = 250


class Pool(NamedTuple):
    """N pictures of N scenes: ``images`` uint8 [N, 3, H, W], the ``scenes``, and the indices of the things ``shown``."""

    images: Tensor
    scenes: list[Scene]
    shown: list[list[int]]


def photograph(name: str, *, split: str, seed: int, count: int, size: int, wide: bool) -> Pool:
    """Render ``count`` scenes of a split, each once: as size x 2 size panoramas if ``wide``, else as size x size views.

    A panorama is taken from the origin and shows all things of its scene; ``name`` sets this pool's draws apart.
    """
    scenes = list(islice(sample_scenes(f"{seed}/{name}", split), count))
    rng = random.Random(f"{seed}/cameras/{name}")
    images, shown = [], []
    for start in tqdm(range(0, count, BATCH), desc=name):
        batch = scenes[start : start + BATCH]
        pictures = render(batch, [Camera() if wide else draw_camera(scene, rng) for scene in batch], size)
        images.append((pictures.image * 255).round().byte())
        shown += [list(range(len(s.things))) for s in batch] if wide else shown_things(batch, pictures.solid)
    return Pool(torch.cat(images), scenes, shown)


def describe(name: str, pool: Pool, *, cues: Sequence[str], wordings: int, seed: int) -> pd.DataFrame:
    """``wordings`` captions for each picture, each with a cue drawn from ``cues``: columns picture, wording, cue, caption."""
    rng = random.Random(f"{seed}/texts/{name}")
    rows = [
        {"picture": k, "wording": wording, "cue": rng.choice(list(cues)), "caption": scene_caption(scene, rng, shown)}
        for k, (scene, shown) in enumerate(zip(pool.scenes, pool.shown, strict=True))
        for wording in range(wordings)
    ]
    return pd.DataFrame(rows)


def label(pool: Pool) -> pd.DataFrame:
    """What can be asked of each picture: its setting, and shape and colour of a thing it shows ("" if none)."""
    rows = []
    for scene, shown in zip(pool.scenes, pool.shown, strict=True):
        thing = scene.things[shown[0]] if shown else None
        rows.append(
            {"setting": scene.setting, "shape": thing.shape if thing else "", "colour": thing.colour if thing else ""}
        )
    return pd.DataFrame(rows)
