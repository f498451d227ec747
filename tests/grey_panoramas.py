"""Panoramas of grey columns, whose content is known."""

from pathlib import Path

import numpy as np
import torch

from clip360.data.image_set import ImageRecord, ImageSet, load_image_set, write_image_set

HEIGHT, GREY = 32, 100


def grey_image_set(folder: Path, *panoramas: np.ndarray) -> ImageSet:
    """An image set of panoramas given as grey columns [W]."""
    images = [torch.tensor(columns, dtype=torch.uint8).expand(3, HEIGHT, -1).contiguous() for columns in panoramas]
    records = [ImageRecord(f"{k}.jpg", image, f"image {k}", "360 photo") for k, image in enumerate(images)]
    write_image_set(folder, records)
    return load_image_set(folder)


def one_object(at: int) -> np.ndarray:
    """Grey columns [2 * HEIGHT] with a bright object that begins in column ``at``."""
    columns = np.full(2 * HEIGHT, GREY)
    columns[at : at + 8] = 250
    return columns
