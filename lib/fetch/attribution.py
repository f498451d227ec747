"""``attribution.csv`` of a fetched image set: of each panorama its source, author and licence, and the caption it came with."""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from clip360.data.images import DataError
from clip360.fetch.source import Panorama

ATTRIBUTION = "attribution.csv"
COLUMNS = [
    *("image", "source", "id", "title", "author", "licence", "licence_url", "page", "url", "checksum"),
    *("fetched_caption", "fetched_cue"),
]


def attribution_row(panorama: Panorama, source: str, cue: str) -> dict[str, str]:
    """The row of a panorama of ``source``, whose caption comes with the format cue ``cue``."""
    row = vars(panorama) | {"source": source, "fetched_caption": panorama.caption, "fetched_cue": cue}
    return {column: row[column] for column in COLUMNS}


def read_attribution(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of a folder's attribution.csv by image, none if there is no such file; DataError if it is another table."""
    path = folder / ATTRIBUTION
    if not path.is_file():
        return {}
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(
            path, f"is no UTF-8 table in CSV form ({error})", "restore it, or choose a new folder"
        ) from error
    if list(table.columns) != COLUMNS:
        advice = f"expected {', '.join(COLUMNS)}: choose a new folder"
        raise DataError(path, f"has the columns {', '.join(table)}", advice)
    for name in table.image:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,200}\.jpg", name):  # a name becomes a path
            raise DataError(
                path, f"names the image {name!r}", "expected a file name of letters, digits, _ and -, and .jpg"
            )
    return {row["image"]: row for row in table.to_dict("records")}


def write_attribution(folder: Path, rows: dict[str, dict[str, str]]) -> None:
    """Write a folder's attribution.csv, sorted by image, complete or not at all."""
    table = pd.DataFrame([rows[name] for name in sorted(rows)], columns=COLUMNS)
    replace_file(folder / ATTRIBUTION, partial(table.to_csv, index=False, lineterminator="\n"))


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under a temporary name, then move it into place."""
    partial_path = path.with_name(path.name + ".partial")
    write(partial_path)
    os.replace(partial_path, path)
