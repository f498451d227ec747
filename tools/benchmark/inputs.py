"""Inputs made for the benchmark: rendered panoramas with captions, and networks with random weights."""

from pathlib import Path

import open_clip
import pandas as pd

from clip360.data.image_set import ImageSet, load_image_set, write_image_set
from clip360.models.clip import Clip, new_clip, write_configuration
from pipeline.render_embedded_data import render_panoramas

FORMAT_CUES = ["360 panorama", "360 photo", "360 image", "360-degree view"]


def render_set(folder: Path, *, n_images: int, height: int) -> ImageSet:
    """An image set of ``n_images`` panoramas of 2 height x height pixels, like those of the pipeline."""
    panoramas = render_panoramas(
        folder.name,
        split="probe",
        environment=None,
        seed=0,
        n_images=n_images,
        height=height,
        format_cues=FORMAT_CUES,
    )
    write_image_set(folder, panoramas)
    return load_image_set(folder)


def repeat_images(image_set: ImageSet, folder: Path, n_images: int) -> None:
    """Write a set of ``n_images`` hard links to the images of ``image_set``, each with a caption of its own."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for k in range(n_images):
        row = image_set.table.iloc[k % len(image_set.table)]
        name = f"{k:06d}{Path(row.image).suffix}"
        (folder / "images" / name).hardlink_to(image_set.images / row.image)
        rows.append({"image": name, "caption": f"{row.caption}, number {k}"})
    pd.DataFrame(rows).to_csv(folder / "captions.csv", index=False)


def random_clip(architecture: str, folder: Path, *, device: str) -> Clip:
    """A model of an architecture of open_clip with random weights; ValueError if open_clip has none of that name."""
    if architecture not in open_clip.list_models():
        raise ValueError(
            f"architecture is {architecture!r}: expected an architecture of open_clip, see open_clip.list_models()"
        )
    write_configuration(folder / architecture, open_clip.get_model_config(architecture))
    return new_clip(folder / architecture, seed=0, device=device)
