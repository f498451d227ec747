"""How the long measurement tables are read: by what was measured, under which conditions."""

import pandas as pd

KEYS = ["model", "image_set", "view"]


def select(measurements: pd.DataFrame, measure: str, *conditions: str) -> pd.DataFrame:
    """The rows of one measure, and of the given conditions where there are any.

    ``measurements`` has one row for each observation: model, image_set, image, measure, condition, level, view, value.

    >>> table = pd.DataFrame({"measure": ["clip_score", "rank"], "condition": ["shift", "shift"], "value": [50.0, 1.0]})
    >>> select(table, "clip_score", "shift", "mirror").value.tolist()
    [50.0]
    """
    chosen = measurements.measure == measure
    if conditions:
        chosen &= measurements.condition.isin(conditions)
    return measurements[chosen]


def by_image(rows: pd.DataFrame, columns: str | list[str] = "level") -> pd.DataFrame:
    """Values as a table: one row for each image, in the order of names, one column for each value of ``columns``."""
    return rows.pivot(index="image", columns=columns, values="value")
