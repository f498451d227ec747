"""An image set on disk: a folder with ``images/`` and ``captions.csv``, checked whole before use, streamed in batches.

``captions.csv`` (UTF-8) has the columns ``image`` (file name), ``caption`` (the content, without naming the format)
and, if the set carries its own, ``cue`` (the format cue, such as "360 panorama"). A name in it leads to a file in ``images/`` and
nowhere else; such a file may be a link.
"""

import os
import shutil
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

import numpy as np
import pandas as pd
import torch
from PIL import ExifTags, Image
from torch import Tensor

from clip360.data.prompts import prompt

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
# By content, whatever the suffix. PIL would read others too, some with the help of programs.
FORMATS = ("JPEG", "PNG", "WEBP")
JPEG = {"quality": 95, "subsampling": "4:4:4"}
TURN = Image.Transpose
UPRIGHT = {
    2: TURN.FLIP_LEFT_RIGHT,
    3: TURN.ROTATE_180,
    4: TURN.FLIP_TOP_BOTTOM,
    5: TURN.TRANSPOSE,
}  # by EXIF orientation
UPRIGHT |= {6: TURN.ROTATE_270, 7: TURN.TRANSVERSE, 8: TURN.ROTATE_90}
SHOWN = 300  # characters of a name or a reason in a sentence

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # panoramas 16k wide are no attack


class Fault(ValueError):
    """What is wrong with a file of an image set and what to do about it, as one sentence and in its parts."""

    def __init__(self, file: Path, problem: str, advice: str):
        problem = printable(problem)
        super().__init__(f"{printable(file)} {problem}: {advice}")
        self.file, self.problem, self.advice = file, problem, advice


def printable(text: object) -> str:
    """A text on one line that can be printed anywhere: other signs are escaped, the middle of a long one is left out.

    >>> printable("a\\nb")
    'a\\\\nb'
    """
    text = str(text)
    if len(text) > SHOWN:
        text = f"{text[: SHOWN // 2]} … {text[-SHOWN // 2 :]}"
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


@dataclass(frozen=True)
class ImageSet:
    """A checked image set: ``table`` has the columns image, caption and maybe cue, ``images`` holds its pictures."""

    name: str
    folder: Path
    images: Path
    table: pd.DataFrame

    @property
    def texts(self) -> list[str]:
        """The text of every panorama: its caption under its own format cue, or the caption alone where it has none."""
        if "cue" not in self.table:
            return self.table.caption.tolist()
        return [prompt(cue, caption) for cue, caption in zip(self.table.cue, self.table.caption, strict=True)]

    def head(self, count: int | None) -> "ImageSet":
        """The set of the first ``count`` panoramas; None leaves all."""
        return replace(self, table=self.table.head(count)) if count else self

    def batches(self, size: int, start: int = 0) -> Iterator[Tensor]:
        """All panoramas from row ``start`` on, in order, as uint8 [B, 3, H, 2H], channels last in memory.

        A batch ends at B = ``size`` or where H changes. Each file is decoded once, by threads that work a batch ahead:
        memory does not grow with the set. Raises Fault, a ValueError, for a file that cannot be read or is not 2:1.
        """
        decoded = read_ahead(read_panorama, [self.images / name for name in self.table.image[start:]], size)
        for _, alike in groupby(decoded, key=lambda picture: picture.shape):
            yield from _batched(alike, size)


class Picture(NamedTuple):
    """One entry of an image set to be written: ``image`` is uint8 [3, H, W]."""

    name: str
    image: Tensor
    caption: str
    cue: str


def load_image_set(folder: str | Path, captions: str | Path | None = None, *, pairing: str = "name") -> ImageSet:
    """Read an image set and check that its table and its pictures name the same files; only batches opens pictures.

    The pictures lie in ``folder``/images, or in ``folder`` itself where it has no images/; the table is
    ``folder``/captions.csv, or the file ``captions``. File names match in whichever Unicode form they are written; the
    table returned has them as on disk. Raises Fault, a ValueError, for the first thing that is wrong.

    With ``pairing`` "order" no name is compared: the n-th row belongs to the n-th picture by name, as in the released
    scripts of arXiv 2604.24642, where one stray file is enough to move all captions after it.
    """
    path, images = locate(folder, captions)
    table = read_captions(path)
    if pairing == "order":
        present = picture_names(images)
        if len(present) < len(table):
            raise Fault(path, f"has {len(table)} captions but there are {len(present)} pictures", "add the pictures")
        return ImageSet(Path(folder).resolve().name, Path(folder), images, table.assign(image=present[: len(table)]))
    table, faults = match(path, table, images)
    for fault in faults:
        raise fault
    return ImageSet(Path(folder).resolve().name, Path(folder), images, table)


def locate(folder: str | Path, captions: str | Path | None = None) -> tuple[Path, Path]:
    """Where the table of an image set is, and the folder of its pictures."""
    images = Path(folder, "images")
    return Path(captions or Path(folder, "captions.csv")), images if images.is_dir() else Path(folder)


def picture_names(images: Path) -> list[str]:
    """The names of all pictures in a folder, sorted; a hidden file, as macOS leaves beside each, is none."""
    return sorted(f.name for f in images.glob("*") if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))


def read_captions(path: Path) -> pd.DataFrame:
    """The table of an image set, all text; raises Fault if it is no such table."""
    if not path.is_file():
        raise Fault(path, "does not exist", "expected a table of the pictures, with the columns image and caption")
    try:
        # Every caption is text, "NA" and "null" too; Excel begins the file with a byte order mark.
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise Fault(path, f"is no UTF-8 table in CSV form ({str(error).strip()})", "save it again as that") from error
    if not {"image", "caption"} <= set(table.columns) <= {"image", "caption", "cue"}:
        raise Fault(path, f"has the columns {', '.join(table.columns)}", "expected image, caption and, if wanted, cue")
    if table.empty:
        raise Fault(path, "has no rows", "expected one for each picture")
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first field of each row for its label
        raise Fault(path, "has rows with more fields than columns", "put texts that contain commas in quotes")
    # A single \r in a text would end a row of any table that the text is written to again.
    return table.replace(r"\r\n?", "\n", regex=True)


def match(path: Path, table: pd.DataFrame, images: Path) -> tuple[pd.DataFrame, list[Fault]]:
    """The table of ``path`` with file names as in the folder ``images``, and all that is wrong between the two."""
    present = picture_names(images)
    on_disk = {normalize("NFC", name): name for name in present} | {name: name for name in present}
    table = table.assign(image=[on_disk.get(name) or on_disk.get(normalize("NFC", name), name) for name in table.image])
    rows = Counter(name for name in table.image if name.strip())

    def file(name: str) -> Path:
        return Path(f"{images}/{name}")  # in the folder, even if the name begins with a slash

    faults = []
    for column in table.columns:
        for row, name in table.image[table[column].str.strip() == ""].items():
            where = file(name) if name.strip() else path
            faults.append(Fault(where, f"has no {column} in row {row + 2} of {path.name}", "expected text"))
    for name in sorted(rows.keys() - set(present)):
        problem = f"is named in {path.name}, but there is no such JPEG, PNG or WebP file"
        faults.append(Fault(file(name), problem, "add the picture or drop its row"))
    for name, count in rows.items():
        if count > 1:
            faults.append(Fault(file(name), f"has {count} rows in {path.name}", "expected one for each picture"))
    for name in sorted(set(present) - rows.keys()):
        faults.append(Fault(file(name), f"has no row in {path.name}", "add one or remove the picture"))
    return table, faults


def read_ahead(read: Callable, items: Iterable, count: int) -> Iterator:
    """``read`` of every item, in order, by threads that work ``count`` items ahead and no further."""
    threads, waiting = ThreadPoolExecutor(os.cpu_count()), deque()  # more would only hold more memory
    try:
        for item in items:
            waiting.append(threads.submit(read, item))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)


def read_panorama(path: Path) -> Tensor:
    """Decode a picture that is twice as wide as high: uint8 [3, H, 2H], see read_picture; raises Fault."""
    picture = read_picture(path)
    if picture.width != 2 * picture.height:
        advice = "expected an equirectangular panorama, twice as wide as high"
        raise Fault(path, f"is {picture.width} x {picture.height}", advice)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def read_picture(path: Path) -> Image.Image:
    """Decode a picture as 8-bit RGB, turned as its EXIF data say, on black where it is transparent; raises Fault."""
    try:
        with Image.open(path, formats=FORMATS) as file:
            picture = _upright(file)
        if picture.mode.startswith("I"):  # 16-bit grey, which convert would clip
            picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)
        return picture.convert("RGB")
    except Image.DecompressionBombError as error:
        raise Fault(path, f"has too many pixels ({str(error).rstrip('.')})", "make it smaller") from error
    except Exception as error:  # PIL raises errors of many kinds for damaged files
        why = str(error).replace(f" {str(path)!r}", "")
        raise Fault(path, f"cannot be read as a picture ({why})", "expected a whole JPEG, PNG or WebP file") from error


def _upright(file: Image.Image) -> Image.Image:
    """Turned as its EXIF data say; ImageOps.exif_transpose would write these anew, and fail where other entries are odd."""
    file.load()
    turn = UPRIGHT.get(file.getexif().get(ExifTags.Base.Orientation))
    return file.copy() if turn is None else file.transpose(turn)


def _batched(pictures: Iterator[Tensor], size: int) -> Iterator[Tensor]:
    for first in pictures:
        # The layout in which PIL keeps pictures: handing one on copies no colours around.
        yield torch.stack([p.permute(1, 2, 0) for p in (first, *islice(pictures, size - 1))]).permute(0, 3, 1, 2)


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
