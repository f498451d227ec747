"""The findings of the study of crop and model: each with its number, its interval, and a verdict."""

import pandas as pd

from clip360.stats.claims import judge

FINDINGS = {
    "content": "Under the centre crop, content that comes and goes explains more than half of the variance over shifts",
    "things": "Part of it are the things that the caption names, coming into sight and leaving it",
    "whole": "Shown whole and squashed, a panorama's score varies less over shifts than under the centre crop",
    "stable": "Shown so, even the worst shift's change stays below the paper's bound",
    "phase": "More than half of the model's own sensitivity is to where the grid of patches falls",
    "positions": "More than half of it is to the column that the positional embedding names",
    "seam": "A thing that the seam cuts costs score",
}
MEASURES = {
    "content": "share of content in the variance",
    "things": "share of the difference between shifts that goes with things",
    "whole": "variance shown squashed over that under the crop",
    "stable": "median change at the worst shift over β, squashed",
    "phase": "variance left by whole patches only, squashed",
    "positions": "variance left with positions by row, squashed",
    "seam": "score with the seam through a thing minus in an empty direction, squashed, points",
}
# Column, and the claimed side of a threshold.
RULES = {
    "content": ("share", "above", 0.5),
    "things": ("explained", "above", 0.0),
    "whole": ("to_crop", "below", 1.0),
    "stable": ("of_beta", "below", 1.0),
    "phase": ("left", "below", 0.5),
    "positions": ("left", "below", 0.5),
    "seam": ("drop", "below", 0.0),
}


def causes(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """All findings for every model and image set, in the columns of ``claims.claims``; ``tables`` maps findings to rows.

    A finding holds where its interval lies on the claimed side of its threshold, fails where it lies on the other.
    """
    rows = []
    for finding, table in tables.items():
        column, side, threshold = RULES[finding]
        for row in table.to_dict("records"):
            value, low, high = (row[f"{column}{end}"] for end in ("", "_low", "_high"))
            above, below = low > threshold, high < threshold
            holds, fails = (above, below) if side == "above" else (below, above)
            keys = {"claim": finding, "finding": FINDINGS[finding], "model": row["model"], "tuning": ""}
            numbers = {"measure": MEASURES[finding], "value": value, "low": low, "high": high}
            rows.append(keys | {"image_set": row["image_set"]} | numbers | {"verdict": judge(holds, fails)})
    return pd.DataFrame(rows)
