"""In which directions a panorama shows the objects of its scene."""

from collections.abc import Sequence

import pandas as pd
import torch

from clip360.world.render import Camera, render
from clip360.world.scene import Scene

BATCH_SIZE = 64
COLUMNS = ["image", "object", "column", "fraction"]


def object_visibility(scenes: Sequence[Scene], names: Sequence[str], *, height: int) -> pd.DataFrame:
    """How the visible pixels of each object are distributed over the columns of a height x 2 height panorama.

    The camera is at the origin. Columns: image (of ``names``), object (its index in the scene), column (pixels from the
    left edge), fraction (of the object's visible pixels); the fractions of an object sum to 1. An object that others
    occlude has no rows.
    """
    rows = []
    for start in range(0, len(scenes), BATCH_SIZE):
        batch = scenes[start : start + BATCH_SIZE]
        solids = render(batch, [Camera()] * len(batch), height).solid
        for name, scene, solid in zip(names[start:], batch, solids, strict=False):
            for index in range(len(scene.objects)):
                pixels = (solid == index).sum(0)
                for column in torch.nonzero(pixels).flatten().tolist():
                    fraction = pixels[column].item() / pixels.sum().item()
                    rows.append({"image": name, "object": index, "column": column, "fraction": fraction})
    return pd.DataFrame(rows, columns=COLUMNS)
