"""An image set on disk: a folder with ``images/`` and ``captions.csv``, checked whole before use, streamed in batches.

``captions.csv`` (UTF-8) has the columns ``image`` (file name), ``caption`` (the content, without naming the format) and,
if the set carries its own, ``cue`` (the format cue, such as "360 panorama").
"""

import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps
from torch import Tensor

from lib.prompts import prompt

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
JPEG = {"quality": 95, "subsampling": "4:4:4"}


@dataclass(frozen=True)
class ImageSet:
    """A checked image set: ``name`` of its folder, and its ``table`` with the columns image, caption and maybe cue."""

    name: str
    folder: Path
    table: pd.DataFrame

    @property
    def texts(self) -> list[str]:
        """The text of every panorama: its caption under its own format cue, or the caption alone where it has none."""
        if "cue" not in self.table:
            return self.table.caption.tolist()
        return [prompt(cue, caption) for cue, caption in zip(self.table.cue, self.table.caption, strict=True)]

    def batches(self, size: int) -> Iterator[Tensor]:
        """All panoramas in the order of the table, as uint8 [B, 3, H, 2H] with B <= ``size``, channels last in memory.

        Each file is decoded once, by threads that work one batch ahead, so memory does not grow with the set. Raises
        ValueError for a file that cannot be read, is not 2:1, or differs in size from its neighbours.
        """
        paths = [self.folder / "images" / name for name in self.table.image]
        with ThreadPoolExecutor() as decoders:
            ahead = None
            for batch in [*(paths[k : k + size] for k in range(0, len(paths), size)), None]:
                jobs = (batch, decoders.map(read_panorama, batch)) if batch else None  # map starts at once
                if ahead:
                    yield _stack(*ahead)
                ahead = jobs


class Picture(NamedTuple):
    """One entry of an image set to be written: ``image`` is uint8 [3, H, W]."""

    name: str
    image: Tensor
    caption: str
    cue: str


def load_image_set(folder: str | Path) -> ImageSet:
    """Read and check captions.csv and that it and ``images/`` name the same files; pictures are opened only by batches."""
    folder = Path(folder)
    path = folder / "captions.csv"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: an image set needs this table and a folder images/ beside it")
    try:
        # Every caption is text, "NA" and "null" too.
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} is no UTF-8 table in CSV form ({error}): save it again as that") from error
    _check_table(path, table)

    present = {file.name for file in (folder / "images").glob("*") if file.suffix.lower() in SUFFIXES}
    for image in table.image[~table.image.isin(present)]:
        raise ValueError(f"{path} names {image}, which is not in {folder / 'images'}: add the picture or drop its row")
    for image in sorted(present - set(table.image)):
        raise ValueError(
            f"{folder / 'images' / image} has no caption in {path}: add a row for it or remove the picture"
        )
    return ImageSet(folder.resolve().name, folder, table)


def _check_table(path: Path, table: pd.DataFrame) -> None:
    columns = list(table.columns)
    if not {"image", "caption"} <= set(columns) <= {"image", "caption", "cue"}:
        raise ValueError(f"{path} has the columns {', '.join(columns)}: expected image, caption and, if wanted, cue")
    if table.empty:
        raise ValueError(f"{path} has no rows: expected one for each picture")
    for column in columns:
        for row in table.index[table[column].str.strip() == ""]:
            raise ValueError(f"{path}, row {row + 2}: {column} is empty, expected text")
    for image in table.image[table.image.duplicated()]:
        raise ValueError(f"{path} names {image} twice: expected one row for each picture")


def read_panorama(path: Path) -> Tensor:
    """Decode a picture that is twice as wide as high: uint8 [3, H, 2H]."""
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read as a picture ({error}): expected a whole JPEG, PNG or WebP file"
        ) from error
    if picture.width != 2 * picture.height:
        raise ValueError(
            f"{path} is {picture.width} x {picture.height}: expected an equirectangular panorama, twice as wide as high"
        )
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def _stack(paths: list[Path], decoded: Iterable[Tensor]) -> Tensor:
    pictures = list(decoded)
    for picture, path in zip(pictures, paths, strict=True):
        if picture.shape != pictures[0].shape:
            raise ValueError(
                f"{path} is {picture.shape[2]} x {picture.shape[1]} but {paths[0].name} is"
                f" {pictures[0].shape[2]} x {pictures[0].shape[1]}: resize the set to one size"
            )
    # The layout in which PIL keeps pictures: handing one on copies no colours around.
    return torch.stack([picture.permute(1, 2, 0) for picture in pictures]).permute(0, 3, 1, 2)


def write_image_set(folder: str | Path, pictures: Iterable[Picture]) -> None:
    """Write an image set, in place of what is there, once it is complete: JPEG files (quality 95, full colour)."""
    folder = Path(folder)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "images").mkdir(parents=True)
    rows = []
    for picture in pictures:
        Image.fromarray(picture.image.permute(1, 2, 0).numpy()).save(partial / "images" / picture.name, **JPEG)
        rows.append({"image": picture.name, "caption": picture.caption, "cue": picture.cue})
    pd.DataFrame(rows).to_csv(partial / "captions.csv", index=False, lineterminator="\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
