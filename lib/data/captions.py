"""The table of an image set, ``captions.csv``: read it, and match its rows with the images of a folder."""

import csv
from collections import Counter
from pathlib import Path
from unicodedata import category, normalize

import pandas as pd

from clip360.data.images import DataError, image_names, require_regular_file

OPTIONAL = ("category", "cue")  # columns that a table may have beside image and caption
INVISIBLE = {"Cc", "Cf", "Zl", "Zp", "Zs"}  # Unicode categories: control and format characters, separators


def is_blank(text: str) -> bool:
    """Whether a text has no visible character.

    >>> is_blank(""), is_blank(" \\u200b"), is_blank("a")
    (True, True, False)
    """
    return all(category(char) in INVISIBLE for char in text)


def read_captions(path: Path) -> pd.DataFrame:
    """The table at ``path``, all text: columns image, caption and maybe those of ``OPTIONAL``.

    Reads UTF-8, with or without the byte order mark that Excel writes. Every field is text, "NA" and "null" too; missing
    fields at the end of a row are empty. Raises DataError if the file is not such a table.
    """
    require_regular_file(path, "expected a table of the images, with the columns image and caption")
    # Not with pandas, whose time grows with the square of the number of fields in the header and in the first row.
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if len(row) > 1 or not is_blank("".join(row))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"is no UTF-8 table in CSV form ({error})", "save it again in that form") from error
    if not rows:
        raise DataError(path, "is empty", "expected a table with the columns image and caption")
    header = rows.pop(0)
    if sorted(header) != sorted({"caption", "image"} | {name for name in header if name in OPTIONAL}):
        problem = f"has the columns {', '.join(header)}"
        raise DataError(path, problem, f"expected image, caption and optionally {' and '.join(reversed(OPTIONAL))}")
    if not rows:
        raise DataError(path, "has no rows", "expected one for each image")
    for number, row in enumerate(rows, 2):
        if len(row) > len(header):
            problem = f"has {len(row)} fields in row {number} but {len(header)} columns"
            raise DataError(path, problem, "put texts that contain commas in quotes")
        row += [""] * (len(header) - len(row))
    table = pd.DataFrame(rows, columns=header, dtype=str)
    # A single \r in a text would end a row of any table to which the text is written.
    return table.replace(r"\r\n?", "\n", regex=True)


def match(path: Path, table: pd.DataFrame, images: Path) -> tuple[pd.DataFrame, list[DataError]]:
    """The table of ``path`` with file names as in the folder ``images``, and all contradictions between the two."""
    present = image_names(images)
    on_disk = {normalize("NFC", name): name for name in present} | {name: name for name in present}
    table = table.assign(image=[on_disk.get(name) or on_disk.get(normalize("NFC", name), name) for name in table.image])
    n_rows = Counter(name for name in table.image if not is_blank(name))

    def file(name: str) -> Path:
        return Path(f"{images}/{name}")  # in the folder, even if the name begins with a slash

    errors = []
    for column in table.columns:
        for row, name in table.image[table[column].map(is_blank)].items():
            location = path if is_blank(name) else file(name)
            errors.append(DataError(location, f"has no {column} in row {row + 2} of {path.name}", "expected text"))
    for name in sorted(n_rows.keys() - set(present)):
        problem = f"is named in {path.name}, but there is no such JPEG, PNG or WebP file"
        errors.append(DataError(file(name), problem, "add the image or remove its row"))
    for name, count in n_rows.items():
        if count > 1:
            errors.append(DataError(file(name), f"has {count} rows in {path.name}", "expected one for each image"))
    for name in sorted(set(present) - n_rows.keys()):
        errors.append(DataError(file(name), f"has no row in {path.name}", "add one or remove the image"))
    return table, errors
