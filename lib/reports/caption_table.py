"""The table of an image set that is no folder: checked as that of a folder is."""

from pathlib import Path

import pandas as pd

from clip360.data.captions import is_blank
from clip360.data.images import DataError, printable

ONE_LINE = "expected one panorama for each"


def checked_table(path: Path, rows: list[dict[str, str]]) -> pd.DataFrame:
    """The table of an image set; DataError where it is empty, a text is blank or missing, or an image occurs twice."""
    if not rows:
        raise DataError(path, "holds no panoramas", "expected images with captions")
    columns = ["image", "caption"] + ["cue"] * any("cue" in row for row in rows)
    seen: set[str] = set()
    for row in rows:
        for name in columns[1:]:
            if is_blank(row.get(name, "")):
                raise DataError(path, f"has no {name} for {printable(row['image'])}", "expected text")
        if row["image"] in seen:
            raise DataError(path, f"names {printable(row['image'])} twice", ONE_LINE)
        seen.add(row["image"])
    # A single \r in a text would end a row of any table to which the text is written.
    return pd.DataFrame(rows, columns=columns, dtype=str).replace(r"\r\n?", "\n", regex=True)
