"""What the benchmark runs on, made for it: rendered panoramas with captions, and networks with random weights."""

from pathlib import Path

import open_clip
import pandas as pd

from clip360.data.image_set import ImageSet, load_image_set, write_image_set
from clip360.models.clip import Clip, new_clip, write_configuration
from pipeline.render_embedded_data import panoramas

CUES = ["360 panorama", "360 photo", "360 image", "360-degree view"]


def render_set(folder: Path, *, count: int, height: int) -> ImageSet:
    """An image set of ``count`` panoramas, height x 2 height pixels, as those that the pipeline reads."""
    write_image_set(
        folder, panoramas(folder.name, split="probe", where=None, seed=0, count=count, height=height, cues=CUES)
    )
    return load_image_set(folder)


def multiply(pictures: ImageSet, folder: Path, count: int) -> None:
    """Write a set of ``count`` pictures, hard links to those given, each with a caption of its own."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for k in range(count):
        row = pictures.table.iloc[k % len(pictures.table)]
        name = f"{k:06d}{Path(row.image).suffix}"
        (folder / "images" / name).hardlink_to(pictures.images / row.image)
        rows.append({"image": name, "caption": f"{row.caption}, number {k}"})
    pd.DataFrame(rows).to_csv(folder / "captions.csv", index=False)


def random_clip(architecture: str, folder: Path, *, device: str) -> Clip:
    """An architecture of open_clip with random weights; ValueError if there is none of that name."""
    if architecture not in open_clip.list_models():
        raise ValueError(f"{architecture} is no architecture of open_clip: see open_clip.list_models()")
    write_configuration(folder / architecture, open_clip.get_model_config(architecture))
    return new_clip(folder / architecture, seed=0, device=device)
