"""Panoramas of Hugging Face datasets, saved to disk or of the hub."""

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor

from clip360.data.image_set import ImageSet, file_state
from clip360.data.images import DataError, decode_panorama, printable
from clip360.reports.caption_table import checked_table

STATE, SPLITS = "state.json", "dataset_dict.json"  # files of datasets saved to disk
HUB = "hf-hub:"
OF_HUB = re.compile(rf"{HUB}(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?::(?P<split>[\w.-]+))?")


@dataclass(frozen=True)
class DatasetSet(ImageSet):
    """Panoramas of a Hugging Face dataset, named by their row."""

    rows: Any  # the dataset, whose images are not decoded: {"image": {"bytes": ..., "path": ...}, ...} by index

    def read(self, name: str) -> Tensor:
        content = self.rows[int(name)]["image"]["bytes"]
        if content is None:
            raise DataError(self.folder / name, "is not in the dataset", "save it with its images embedded")
        return decode_panorama(content, self.folder / name)

    def state(self, name: str) -> list[int | str]:
        files = sorted(Path(file["filename"]) for file in self.rows.cache_files)
        return [value for path in files for value in (path.name, *file_state(path))]


def is_of_hub(path: str | Path) -> bool:
    """Does ``path`` name a dataset of the hub?"""
    return str(path).startswith(HUB)


def is_saved_dataset(path: Path) -> bool:
    """Is there a dataset that ``save_to_disk`` wrote?"""
    return Path(path, STATE).is_file() or Path(path, SPLITS).is_file()


def read_saved_dataset(path: Path) -> DatasetSet:
    """Panoramas of a dataset that ``datasets.Dataset.save_to_disk`` wrote; nothing is fetched."""
    datasets = _library(path)
    if Path(path, SPLITS).is_file():
        splits = sorted(folder.name for folder in path.iterdir() if folder.is_dir())
        raise DataError(path, "holds several splits", f"name one of them: {', '.join(map(printable, splits))}")
    try:
        rows = datasets.load_from_disk(str(path))
    except Exception as error:  # the libraries below raise errors of many kinds
        raise DataError(path, f"cannot be read as a dataset ({error})", "save it again with save_to_disk") from error
    return _image_set(path.resolve().name, path, rows, datasets)


def read_hub_dataset(path: str | Path) -> DatasetSet:
    """Panoramas of hf-hub:ORGANISATION/NAME[@REVISION][:SPLIT], from the cache of the library if they are there.

    The split may be left out where there is only one. Without a network, set HF_HUB_OFFLINE=1: the cache is all then.
    """
    if not (match := OF_HUB.fullmatch(str(path))):
        raise DataError(Path(path), "names no dataset", f"expected {HUB}ORGANISATION/NAME[@REVISION][:SPLIT]")
    datasets = _library(path)
    try:
        found = datasets.load_dataset(match["name"], revision=match["revision"])
    except Exception as error:
        advice = "check its name, or fetch it where there is a network"
        raise DataError(Path(path), f"cannot be read as a dataset ({printable(str(error))})", advice) from error
    split = match["split"] or (next(iter(found)) if len(found) == 1 else "")
    if split not in found:
        raise DataError(Path(path), f"has the splits {', '.join(map(printable, found))}", "name one: NAME:SPLIT")
    return _image_set(match["name"].rpartition("/")[2], Path(path), found[split], datasets)


def _library(path: str | Path) -> ModuleType:
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise DataError(Path(path), "is a Hugging Face dataset", "pip install datasets to read it") from error


def _image_set(name: str, path: Path, rows: Any, datasets: ModuleType) -> DatasetSet:
    """The rows of a dataset as an image set; DataError where a column or a text is missing."""
    columns = [name for name in ("image", "caption", "cue") if name in rows.column_names]
    if not {"image", "caption"} <= set(columns):
        present = ", ".join(map(printable, rows.column_names))
        raise DataError(path, f"has the columns {present}", "expected image, caption and optionally cue")
    try:
        rows = rows.select_columns(columns).cast_column("image", datasets.Image(decode=False))
    except Exception as error:
        raise DataError(path, f"has a column image without images ({error})", "expected images") from error
    texts = {name: rows[name][:] for name in columns if name != "image"}
    for column, values in texts.items():
        if not all(isinstance(value, str) for value in values):
            raise DataError(path, f"has a {column} that is no text", "expected text in every row")
    table = [
        {"image": f"{k:06d}"} | {column: values[k] for column, values in texts.items()} for k in range(rows.num_rows)
    ]
    return DatasetSet(name, path, path, checked_table(path, table), rows)
