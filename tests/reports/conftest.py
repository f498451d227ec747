"""Panoramas of noise, and a small model, that tests of scores share; some files have others of the same name."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clip360.data.image_set import load_image_set
from clip360.models.clip import load_clip
from tests.small_clips import small_clip


def noise(height: int, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, 2 * height, 3), dtype=np.uint8))


@pytest.fixture
def image_set(tmp_path):
    """Seven panoramas of two sizes with unruly names and captions, the images without a folder images/."""
    folder = tmp_path / "my panoramas"
    folder.mkdir()
    rows = []
    for k, name in enumerate(("a.png", "b b.png", "ç.jpg", "d.webp", "<e>.png", "f.png", "g.png")):
        noise(32 if k < 5 else 48, seed=k).save(folder / name)
        rows.append({"image": name, "caption": f'object {k}, "quoted",\nin <b>two</b> lines'})
    pd.DataFrame(rows).to_csv(tmp_path / "texts.csv", index=False)
    return load_image_set(folder, tmp_path / "texts.csv")


@pytest.fixture
def clip(tmp_path):
    small_clip(tmp_path / "models" / "small")
    return load_clip(tmp_path / "models" / "small", device="cpu")
