"""Captioned panoramas in every form that the command reads, all as an ``ImageSet``: folders, JSON lines, tar shards, datasets."""

import json
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from torch import Tensor

from clip360.data.captions import is_blank
from clip360.data.image_set import ImageSet, file_state, load_image_set
from clip360.data.images import EXPECTED, SUFFIXES, DataError, decode_panorama, printable, require_regular_file
from clip360.reports.caption_table import ONE_LINE, checked_table
from clip360.reports.hf_datasets import is_of_hub, is_saved_dataset, read_hub_dataset, read_saved_dataset

JSON_LINES, TAR = ".jsonl", ".tar"
MAX_CAPTION_FILE = 1 << 20  # bytes of a caption in a tar file


def open_panoramas(path: str | Path, captions: str | Path | None = None) -> ImageSet:
    """The captioned panoramas at ``path``, checked but for their pixels; ``captions`` is the table of a folder of images.

    FOLDER             images, with captions.csv: see ``load_image_set``
    FILE.jsonl         one {"image": path relative to the file, "caption": ..., maybe "cue": ...} a line
    FILE.tar           webdataset: KEY.jpg (or .jpeg, .png, .webp) with KEY.txt, or KEY.json with caption and maybe cue
    FOLDER of .tar     several of these
    FOLDER of ``save_to_disk``  a Hugging Face dataset, with the columns image, caption and maybe cue
    hf-hub:ORGANISATION/NAME   one of the hub: see ``hf_datasets.read_hub_dataset``

    Raises DataError for the first problem.
    """
    path = Path(path)
    shards = sorted(path.glob(f"*{TAR}")) if path.is_dir() and not Path(path, "captions.csv").exists() else []
    if is_of_hub(path):
        source = read_hub_dataset
    elif path.suffix == JSON_LINES:
        source = read_json_lines
    elif path.suffix == TAR:
        source = read_tar
    elif is_saved_dataset(path):
        source = read_saved_dataset
    elif shards and not captions:
        return read_tar(path, shards)
    else:
        return load_image_set(path, captions)
    if captions:
        raise DataError(path, "has its own captions", "leave --captions out")
    return source(path)


def read_json_lines(path: Path) -> ImageSet:
    """Panoramas that a JSON lines file names; their paths are relative to it and lead nowhere outside its folder."""
    require_regular_file(path, "expected a JSON lines file with image and caption")
    rows: list[dict[str, str]] = []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(path, f"is not UTF-8 ({error})", "save it again in that form") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            row = _caption_of(path, f"line {number}", line)
            image = row.pop("image", None)
            if not isinstance(image, str) or is_blank(image):
                raise DataError(path, f"has no image in line {number}", "expected the path of an image")
            rows.append({"image": image} | row)
    table = checked_table(path, rows)
    for image in table.image:
        inside = PurePosixPath(image)
        if inside.is_absolute() or ".." in inside.parts or "\0" in image:
            raise DataError(path, f"names {printable(image)}", "expected images in the folder of the file")
        require_regular_file(path.parent / image, f"{EXPECTED}, named in {path.name}")
    return ImageSet(path.stem, path.parent, path.parent, table)


class Member(NamedTuple):
    """Where the content of a file lies in a tar file."""

    tar: Path
    offset: int
    size: int


@dataclass(frozen=True)
class TarSet(ImageSet):
    """Panoramas in tar files, read where they lie: nothing is unpacked, names of members are never paths."""

    members: Mapping[str, Member]

    def read(self, name: str) -> Tensor:
        member = self.members[name]
        return decode_panorama(_content(member), member.tar / name)

    def state(self, name: str) -> list[int | str]:
        member = self.members[name]
        return [member.tar.name, member.offset, member.size, *file_state(member.tar)]


def read_tar(path: Path, shards: Iterable[Path] | None = None) -> TarSet:
    """Panoramas of a webdataset, from one tar file or several; only captions are read now."""
    images: dict[str, Member] = {}
    keys: dict[str, str] = {}  # name of the image by key
    captions: dict[str, dict[str, str]] = {}
    for shard in [path] if shards is None else shards:
        require_regular_file(shard, "expected a tar file of images and captions")
        for name, member in _members(shard):
            key, extension = _key(name)
            if f".{extension}" in SUFFIXES:
                if key in keys:
                    raise DataError(shard / name, f"has the key of {keys[key]}", ONE_LINE)
                keys[key], images[name] = name, member
            elif extension in ("txt", "json"):
                captions[key] = captions.get(key, {}) | _member_caption(shard / name, extension, member)
    for key, name in keys.items():
        if "caption" not in captions.get(key, {}):
            raise DataError(path / name, "has no caption", f"add {PurePosixPath(key).name}.txt, or .json with caption")
    for key in captions:
        if key not in keys:
            raise DataError(path / key, "has a caption but no image", "add the image or remove the caption")
    rows = [{"image": name} | captions[key] for key, name in keys.items()]
    return TarSet(path.stem, path.parent, path, checked_table(path, rows), images)


def _members(shard: Path) -> Iterator[tuple[str, Member]]:
    """Names and places of the regular files in a tar file; directories and hidden files are left out."""
    end = 0
    try:
        with tarfile.open(shard, "r:") as archive:
            for info in archive:
                end = info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                if info.isdir() or PurePosixPath(info.name).name.startswith("."):
                    continue
                if not info.isreg() or info.issparse():
                    raise DataError(shard / info.name, "is not a regular file", "expected images and captions")
                yield info.name, Member(shard, info.offset_data, info.size)
    except (tarfile.TarError, EOFError, UnicodeError) as error:
        raise DataError(shard, f"is no whole uncompressed tar file ({error})", "write it again") from error
    # A file that was cut where a header begins looks complete but for the empty block at the end.
    if _content(Member(shard, end, tarfile.BLOCKSIZE)) != bytes(tarfile.BLOCKSIZE):
        raise DataError(shard, "is no whole uncompressed tar file (its end is missing)", "write it again")


def _key(name: str) -> tuple[str, str]:
    """The key and the extension of a member, as webdataset divides its name: at the first dot of the file name.

    >>> _key("a/b.c.JPG")
    ('a/b', 'c.jpg')
    """
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return f"{folder}{slash}{stem}", extension.lower()


def _content(member: Member) -> bytes:
    with member.tar.open("rb") as file:
        return os.pread(file.fileno(), member.size, member.offset)


def _member_caption(file: Path, extension: str, member: Member) -> dict[str, str]:
    if member.size > MAX_CAPTION_FILE:
        raise DataError(file, f"has {member.size} bytes", f"expected a caption of at most {MAX_CAPTION_FILE}")
    try:
        text = _content(member).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(file, f"is not UTF-8 ({error})", "save it again in that form") from error
    if extension == "txt":
        return {"caption": text.strip()}
    row = _caption_of(file, "it", text)
    return {name: row[name] for name in ("caption", "cue") if name in row}


def _caption_of(file: Path, place: str, text: str) -> dict[str, Any]:
    """The image, caption and cue of a JSON object; DataError where it is none, or one of them is no text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(file, f"has no JSON in {place} ({error})", 'expected {"caption": ...}') from error
    if not isinstance(found, dict):
        raise DataError(file, f"has no JSON object in {place}", 'expected {"caption": ...}')
    row = {name: found[name] for name in ("image", "caption", "cue") if name in found}
    for name, value in row.items():
        if not isinstance(value, str) or any("\ud800" <= char <= "\udfff" for char in value):
            raise DataError(file, f"has a {name} in {place} that is no text", "expected text")
    return row
