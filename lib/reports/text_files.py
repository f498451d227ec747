"""Text and JSON files that are complete or not there."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8 with the line ends of Unix, complete or not at all."""
    temporary = path.with_name(f"{path.name}.temporary")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    os.replace(temporary, path)


def finite(value: Any) -> Any:
    """What JSON can hold: numbers of numpy become those of Python, and those that are not finite None; containers are copied.

    >>> finite({"mean": float("nan"), "by_yaw": (1.0, np.float32(0.5))})
    {'mean': None, 'by_yaw': [1.0, 0.5]}
    """
    if isinstance(value, Mapping):
        return {key: finite(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(x) for x in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
