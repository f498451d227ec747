"""An image set on disk: a folder with ``images/`` and ``captions.csv``, checked before use, read in batches.

``captions.csv`` (UTF-8) has the columns ``image`` (file name), ``caption`` (the content, without its format) and, if the
set has its own, ``cue`` (the format cue, such as "360 panorama"); also, where it is known, ``category`` (of the scene, as a caption would
name it: "a kitchen"). A name in it refers to a file in ``images/`` and nowhere else; such a file may be a link.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from clip360.data.captions import match, read_captions
from clip360.data.images import DataError, image_names, printable, read_ahead, read_image, read_panorama
from clip360.data.prompts import prompt

__all__ = [
    "JPEG", "DataError", "ImageRecord", "ImageSet", "image_names", "images_of", "load_image_set", "locate", "printable", "read_ahead",
    "read_image", "read_panorama", "write_image_set",
]  # fmt: skip
JPEG = {"quality": 95, "subsampling": "4:4:4"}


@dataclass(frozen=True)
class ImageSet:
    """A checked image set: ``table`` has the columns image, caption, maybe cue and category; ``images`` is the folder of images."""

    name: str
    folder: Path
    images: Path
    table: pd.DataFrame

    @property
    def texts(self) -> list[str]:
        """The text of every panorama: its caption with its own format cue, or the caption alone if the set has no cues."""
        if "cue" not in self.table:
            return self.table.caption.tolist()
        return [prompt(cue, caption) for cue, caption in zip(self.table.cue, self.table.caption, strict=True)]

    def head(self, n_images: int | None) -> "ImageSet":
        """The set of the first ``n_images`` panoramas; None keeps all."""
        return replace(self, table=self.table.head(n_images)) if n_images else self

    def read(self, name: str) -> Tensor:
        """The panorama of that name, uint8 [3, H, 2H]; DataError where it cannot be decoded or is not 2:1."""
        return read_panorama(self.images / name)

    def state(self, name: str) -> list[int | str]:
        """What differs once the panorama of that name is another: of a file its size, mtime and ctime (nanoseconds)."""
        return file_state(self.images / name)

    def batches(self, batch_size: int, start: int = 0) -> Iterator[Tensor]:
        """All panoramas from row ``start`` on, in order, as uint8 [B, 3, H, 2H], channels last in memory.

        A batch ends at B = ``batch_size`` or where H changes. Threads decode each file once, one batch ahead, so memory
        does not grow with the set. Raises DataError for a file that cannot be decoded or is not 2:1.
        """
        decoded = read_ahead(self.read, self.table.image[start:], batch_size)
        for _, same_size in groupby(decoded, key=lambda panorama: panorama.shape):
            yield from _batched(same_size, batch_size)


def file_state(path: Path) -> list[int | str]:
    """Size, time of modification and time of status change of a file, in bytes and nanoseconds."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


class ImageRecord(NamedTuple):
    """One image to be written to an image set."""

    name: str
    image: Tensor  # uint8 [3, H, W]
    caption: str
    cue: str


def load_image_set(
    folder: str | Path, captions: str | Path | None = None, *, pairing: str = "name", suffix: str = ""
) -> ImageSet:
    """Read an image set and check that its table and its images name the same files; only ``batches`` opens images.

    The images are in ``folder``/images, or in ``folder`` itself if it has no images/; the table is
    ``folder``/captions.csv, or the file ``captions``. File names match in every Unicode normalisation; the returned table
    has them as on disk. Raises DataError for the first problem.

    With ``pairing`` "order" names are not compared: the n-th row belongs to the n-th image by name, as in the released
    scripts of arXiv 2604.24642, where one additional file shifts all captions after it. Only images whose name ends in
    ``suffix`` are counted then.
    """
    path, images = locate(folder, captions)
    table = read_captions(path)
    if pairing == "order":
        present = image_names(images, suffix)
        if len(present) < len(table):
            ending = f" that end in {suffix}" if suffix else ""
            problem = f"has {len(table)} captions but there are {len(present)} images{ending}"
            advice = f"add the images{ending}, or set protocol.pairing to name" if suffix else "add the images"
            raise DataError(path, problem, advice)
        return ImageSet(Path(folder).resolve().name, Path(folder), images, table.assign(image=present[: len(table)]))
    table, errors = match(path, table, images)
    for error in errors:
        raise error
    return ImageSet(Path(folder).resolve().name, Path(folder), images, table)


def images_of(folder: str | Path) -> ImageSet:
    """All images of a folder, or of its subfolder images/, without captions; DataError where there are none."""
    _, images = locate(folder)
    names = image_names(images)
    if not names:
        raise DataError(images, "holds no images", "expected JPEG, PNG or WebP files")
    return ImageSet(Path(folder).resolve().name, Path(folder), images, pd.DataFrame({"image": names}))


def locate(folder: str | Path, captions: str | Path | None = None) -> tuple[Path, Path]:
    """The path of the table of an image set, and the folder of its images."""
    images = Path(folder, "images")
    return Path(captions or Path(folder, "captions.csv")), images if images.is_dir() else Path(folder)


def _batched(panoramas: Iterator[Tensor], batch_size: int) -> Iterator[Tensor]:
    for first in panoramas:
        # [H, W, 3] is the layout of decoded images, so this copies no channels around, and a single image not at all.
        batch = [panorama.permute(1, 2, 0) for panorama in (first, *islice(panoramas, batch_size - 1))]
        yield (torch.stack(batch) if len(batch) > 1 else batch[0][None]).permute(0, 3, 1, 2)


def write_image_set(folder: str | Path, records: Iterable[ImageRecord]) -> None:
    """Write an image set as JPEG files (quality 95, 4:4:4); once complete, it replaces what ``folder`` contained."""
    folder = Path(folder)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "images").mkdir(parents=True)
    rows = []
    for record in records:
        Image.fromarray(record.image.permute(1, 2, 0).numpy()).save(partial / "images" / record.name, **JPEG)
        rows.append({"image": record.name, "caption": record.caption, "cue": record.cue})
    pd.DataFrame(rows).to_csv(partial / "captions.csv", index=False, lineterminator="\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
