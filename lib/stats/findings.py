"""The findings of the study of crop and model: each with its number, its interval, and a verdict."""

from collections.abc import Mapping

import pandas as pd

from clip360.stats.claims import judge, require_numbers

FINDINGS = {
    "content": "Under the centre crop, changing content explains more than half of the variance over shifts",
    "objects": "A part of it is the objects that the caption names, which enter and leave the crop",
    "whole": "Squashed, a panorama's score varies less over shifts than under the centre crop",
    "stable": "Squashed, even the worst shift changes the score by less than the paper's bound",
    "phase": "More than half of the model's own sensitivity is to the position of the patch grid",
    "positions": "More than half of it is to the column that the positional embedding encodes",
    "seam": "A seam that cuts an object lowers the score",
}
MEASURES = {
    "content": "fraction of the content in the variance",
    "objects": "fraction of the difference between shifts that goes with objects",
    "whole": "position variance squashed over the variance under the crop",
    "stable": "median change at the worst shift over β, squashed",
    "phase": "variance left with shifts by whole patches only, squashed",
    "positions": "variance left with positions by row, squashed",
    "seam": "score with the seam through an object minus in an empty direction, squashed, points",
}
RULES = {  # finding: (column, the side of the threshold on which the finding holds, threshold)
    "content": ("content_fraction", "above", 0.5),
    "objects": ("explained", "above", 0.0),
    "whole": ("relative_to_crop", "below", 1.0),
    "stable": ("of_beta", "below", 1.0),
    "phase": ("variance_left", "below", 0.5),
    "positions": ("variance_left", "below", 0.5),
    "seam": ("drop", "below", 0.0),
}


def findings_table(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """All findings for every model and image set, in the columns of ``claims.claims_table``.

    ``tables`` maps a finding (a key of FINDINGS) to rows with the columns model, image_set and that of its rule with its
    interval. A finding holds where the interval lies on its side of the threshold, and does not hold where it lies on the
    other. Raises ValueError for a number that is NaN.
    """
    rows = []
    for finding, table in tables.items():
        column, side, threshold = RULES[finding]
        for row in table.to_dict("records"):
            value, low, high = (row[f"{column}{end}"] for end in ("", "_low", "_high"))
            require_numbers(f"{finding}, {row['model']}, {row['image_set']}", value, low, high)
            above, below = low > threshold, high < threshold
            holds, fails = (above, below) if side == "above" else (below, above)
            keys = {"claim": finding, "finding": FINDINGS[finding], "model": row["model"], "finetuning": ""}
            numbers = {"measure": MEASURES[finding], "value": value, "low": low, "high": high}
            rows.append(keys | {"image_set": row["image_set"]} | numbers | {"verdict": judge(holds, fails)})
    return pd.DataFrame(rows)
