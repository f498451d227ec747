"""In which directions a panorama shows the things of its scene."""

from collections.abc import Sequence

import pandas as pd
import torch

from clip360.world.render import Camera, render
from clip360.world.scene import Scene

BATCH = 64


def thing_columns(scenes: Sequence[Scene], names: Sequence[str], *, height: int) -> pd.DataFrame:
    """How each thing's visible pixels lie over the columns of a panorama height x 2 height pixels, taken from the origin.

    Columns image (of ``names``), thing (its index in the scene), column, share; the shares of a thing sum to 1. A thing that
    others hide is not in the table.
    """
    rows = []
    for start in range(0, len(scenes), BATCH):
        batch = scenes[start : start + BATCH]
        solids = render(batch, [Camera()] * len(batch), height).solid
        for name, scene, solid in zip(names[start:], batch, solids, strict=False):
            for thing in range(len(scene.things)):
                counts = (solid == thing).sum(0)
                for column in torch.nonzero(counts).flatten().tolist():
                    share = counts[column].item() / counts.sum().item()
                    rows.append({"image": name, "thing": thing, "column": column, "share": share})
    return pd.DataFrame(rows)
