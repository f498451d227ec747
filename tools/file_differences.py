"""How the files of two runs differ, and by how much."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from safetensors.numpy import load

READERS = {
    ".csv": pd.read_csv,
    ".tsv": lambda file: pd.read_csv(file, sep="\t"),
    ".parquet": pd.read_parquet,
    ".safetensors": lambda file: {name: array.ravel() for name, array in load(file.read()).items()},
    ".png": lambda file: {"pixels": np.asarray(Image.open(file)).astype(float).ravel()},
}


def differences(ours: Mapping[str, bytes], theirs: Mapping[str, bytes]) -> dict[str, str]:
    """Of each file that differs how it does; files are given by their paths.

    >>> differences({"a.csv": b"x\\n1\\n", "b": b""}, {"a.csv": b"x\\n3\\n", "b": b"", "c": b""})
    {'a.csv': 'by at most 2', 'c': 'written by one run only'}
    """
    return {
        path: difference(path, ours.get(path), theirs.get(path))
        for path in sorted(ours.keys() | theirs.keys())
        if ours.get(path) != theirs.get(path)
    }


def difference(path: str, ours: bytes | None, theirs: bytes | None) -> str:
    """How two versions of a file differ, in a few words."""
    if ours is None or theirs is None:
        return "written by one run only"
    read = READERS.get(Path(path).suffix)
    if read is None:
        first = next((k for k, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
        return f"{len(ours):,} and {len(theirs):,} bytes, first at byte {first}"
    a, b = (dict(read(io.BytesIO(content)).items()) for content in (ours, theirs))
    if {name: len(column) for name, column in a.items()} != {name: len(column) for name, column in b.items()}:
        return "of another shape"
    return compare_columns(a, b)


def compare_columns(a: Mapping, b: Mapping) -> str:
    """The largest difference between columns of numbers, and the columns of other values that differ."""
    largest, others = 0.0, []
    for name, column in a.items():
        ours, theirs = np.asarray(column), np.asarray(b[name])
        if all(np.issubdtype(values.dtype, np.number) for values in (ours, theirs)):
            ours, theirs = ours.astype(float), theirs.astype(float)
            finite = np.isfinite(ours) & np.isfinite(theirs)
            largest = max(largest, np.abs(ours[finite] - theirs[finite]).max(initial=0.0))
            ours, theirs = ours[~finite], theirs[~finite]
            if not np.array_equal(ours, theirs, equal_nan=True):
                others.append(str(name))
        elif not pd.Series(ours).equals(pd.Series(theirs)):
            others.append(str(name))
    return f"by at most {largest:.2g}" + (f"; other entries in {', '.join(others)}" if others else "")
