"""Measurement tables made of known numbers, in the columns of the real ones."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd


def measurements(
    conditions: Mapping[tuple[str, str, float], Sequence[float]], images: Sequence[str] | None = None, **labels
) -> pd.DataFrame:
    """Values [N] by (measure, condition, level), as one row for each observation; ``labels`` are the constant columns."""
    parts = []
    for (measure, condition, level), values in conditions.items():
        names = images or [f"{k:03d}.jpg" for k in range(len(values))]
        columns = {"model": "m", "image_set": "set", "image": names, "measure": measure, "condition": condition}
        parts.append(pd.DataFrame(columns | {"level": level, "value": np.asarray(values, dtype=float)} | labels))
    return pd.concat(parts, ignore_index=True)
