"""Compare a run of the pipeline with the committed results: the same bytes, or which files differ, and by how much.

    python -m tools.verify

Reads FIGURES/checksums.csv as committed, and the files that it names as they are now. Tables and figures that git tracks are compared
with their committed content, number by number and pixel by pixel. Ends with status 1 where anything differs.
"""

import argparse
import hashlib
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.error_messages import report
from pipeline.parameters import read_params
from pipeline.write_checksums import NAME

SAME, DIFFERS, MISSING = "same", "differs", "missing"


def committed(path: Path) -> bytes | None:
    """The content of a file in git's last commit; None if git does not track it."""
    shown = subprocess.run(["git", "show", f"HEAD:./{path.as_posix()}"], capture_output=True)
    return None if shown.returncode else shown.stdout


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table of checksums with the column ``state``: is a file now the same, does it differ, or is it missing?"""

    def state(path: Path, sha256: str) -> str:
        if not path.is_file():
            return MISSING
        return SAME if hashlib.sha256(path.read_bytes()).hexdigest() == sha256 else DIFFERS

    states = [state(Path(row.file), row.sha256) for row in table.itertuples()]
    return table.assign(state=states)


def describe_tables(before: bytes, now: bytes) -> str:
    """By how much two CSV files differ.

    >>> describe_tables(b"a,b\\n1,x\\n2,y\\n", b"a,b\\n1,x\\n2.5,z\\n")
    '1 of 2 numbers, by at most 0.5; 1 of 2 words'
    """
    old, new = (pd.read_csv(io.BytesIO(data), keep_default_na=False, dtype=str) for data in (before, now))
    if old.shape != new.shape or list(old.columns) != list(new.columns):
        return f"{old.shape[0]} rows and {old.shape[1]} columns became {new.shape[0]} and {new.shape[1]}"
    cells = pd.DataFrame({"old": old.to_numpy().ravel(), "new": new.to_numpy().ravel()})
    numbers = cells.apply(pd.to_numeric, errors="coerce")
    is_number, changed = numbers.notna().all(axis=1), cells.old != cells.new
    difference = (numbers.old - numbers.new).abs()[changed & is_number]
    words = f"; {(changed & ~is_number).sum()} of {(~is_number).sum()} words" if (changed & ~is_number).any() else ""
    return f"{len(difference)} of {is_number.sum()} numbers, by at most {difference.max():.2g}{words}"


def describe_images(before: bytes, now: bytes) -> str:
    """By how much two pictures differ."""
    old, new = (np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), dtype=int) for data in (before, now))
    if old.shape != new.shape:
        return f"{old.shape[1]} x {old.shape[0]} pixels became {new.shape[1]} x {new.shape[0]}"
    difference = abs(old - new).max(axis=-1)
    return f"{(difference > 0).mean():.2%} of the pixels, by at most {difference.max()} of 255"


DESCRIBE: dict[str, Callable[[bytes, bytes], str]] = {".csv": describe_tables, ".png": describe_images}


def describe(path: Path) -> str:
    """By how much a file differs from its committed content, where that can be said."""
    before = committed(path)
    if before is None or path.suffix not in DESCRIBE:
        return ""
    return DESCRIBE[path.suffix](before, path.read_bytes())


def main(*arguments: str) -> None:
    argparse.ArgumentParser(
        prog="python -m tools.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(arguments)
    path = Path(read_params().figures, NAME)
    table = committed(path)
    if table is None:
        raise FileNotFoundError(f"{path} is not committed: expected the profile whose results git tracks, `world`")
    compared = compare(pd.read_csv(io.BytesIO(table)))
    different = compared[compared.state != SAME]
    for row in different.itertuples():
        amount = describe(Path(row.file)) if row.state == DIFFERS else ""
        print(f"{row.state}: {row.file}{f': {amount}' if amount else ''}")
    print(f"{(compared.state == SAME).sum()} of {len(compared)} files have the same bytes as the committed results.")
    sys.exit(bool(len(different)))


if __name__ == "__main__":
    report(main, *sys.argv[1:])
