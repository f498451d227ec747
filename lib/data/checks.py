"""All that is wrong with an image set, told at once: before any time goes into scoring it."""

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from tqdm import tqdm

from clip360.data.image_set import (
    Fault,
    ImageSet,
    locate,
    match,
    picture_names,
    printable,
    read_ahead,
    read_captions,
    read_panorama,
)
from clip360.geometry.seam import VISIBLE_SEAM, seam


class Problem(NamedTuple):
    """A row of the table of problems: with an ``error`` a set cannot be scored, a ``warning`` may be meant so."""

    file: str
    severity: str
    problem: str
    advice: str


def check_image_set(folder: str | Path, captions: str | Path | None = None, *, tokenize) -> pd.DataFrame:
    """Everything that is wrong with an image set: a row each, with the columns of Problem, errors first, then by file.

    ``folder`` and ``captions`` are those of load_image_set. ``tokenize`` tells with ``encode`` and ``context_length``
    which texts are too long, as tokenizers of open_clip do. No fault is raised.
    Decodes each picture once, in threads, and keeps none.
    """
    path, images = locate(folder, captions)
    found = [
        *_table_problems(path, images, tokenize),
        *_picture_problems(images),
    ]
    found.sort(key=lambda row: (row.severity, row.file != path.name, row.file))
    return pd.DataFrame([map(printable, row) for row in found], columns=Problem._fields)


def _table_problems(path: Path, images: Path, tokenize) -> Iterator[Problem]:
    try:
        table, faults = match(path, read_captions(path), images)
    except Fault as fault:
        yield _error(fault, path.name)
        return
    for fault in faults:
        yield _error(fault, path.name if fault.file == path else os.path.relpath(fault.file, images))
    filled = table[table.apply(lambda column: column.str.strip() != "").all(axis=1)]
    longest = tokenize.context_length - 2  # the marks of start and end
    for file, text in zip(filled.image, ImageSet(path.parent.name, path.parent, images, filled).texts, strict=True):
        if (length := len(tokenize.encode(text))) > longest:
            problem = f"has a text of {length} tokens in {path.name}"
            yield Problem(file, "warning", problem, f"shorten it to {longest}, models read no further")


def _picture_problems(images: Path) -> Iterator[Problem]:
    names, first = picture_names(images), {}
    looks = read_ahead(_look, [images / name for name in names], 2 * os.cpu_count())
    for name, look in tqdm(zip(names, looks, strict=True), total=len(names), desc=f"checking {images}"):
        if isinstance(look, Fault):
            yield _error(look, name)
            continue
        pixels, visible = look
        if first.setdefault(pixels, name) != name:
            yield Problem(name, "warning", f"shows the same pixels as {first[pixels]}", "keep one of them")
        if visible > VISIBLE_SEAM:
            advice = "make sure that it spans 360 degrees"
            yield Problem(name, "warning", f"has a visible seam where its edges meet ({visible:.1f})", advice)


def _look(path: Path) -> tuple[bytes, float] | Fault:
    """The hash of a panorama's pixels and its seam, or why there are none."""
    try:
        panorama = read_panorama(path)
    except Fault as fault:
        return fault
    return blake2b(panorama.permute(1, 2, 0).numpy(), digest_size=16).digest(), float(seam(panorama))


def _error(fault: Fault, file: str) -> Problem:
    return Problem(file, "error", fault.problem, fault.advice)
