"""A check of a whole image set that lists every problem at once, before any time goes into scoring it."""

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Protocol

import pandas as pd
from tqdm import tqdm

from clip360.data.captions import is_blank, match, read_captions
from clip360.data.image_set import ImageSet, locate
from clip360.data.images import DataError, image_names, printable, read_ahead, read_panorama
from clip360.geometry.seam import VISIBLE_SEAM, seam


class Tokenizer(Protocol):
    """What the check needs of a tokenizer; those of open_clip have it."""

    context_length: int

    def encode(self, text: str) -> list: ...


class Problem(NamedTuple):
    """A row of the table of problems. An ``error`` prevents scoring; a ``warning`` may be intended."""

    file: str
    severity: str
    problem: str
    advice: str


def check_image_set(folder: str | Path, captions: str | Path | None = None, *, tokenizer: Tokenizer) -> pd.DataFrame:
    """All problems of an image set, one row each, with the columns of ``Problem``: errors first, then by file.

    ``folder`` and ``captions`` are those of ``load_image_set``. ``tokenizer`` determines which texts are too long for a
    model. Threads decode each image once and keep none. Raises no DataError.
    """
    path, images = locate(folder, captions)
    problems = [*_table_problems(path, images, tokenizer), *_image_problems(images)]
    problems.sort(key=lambda row: (row.severity, row.file != path.name, row.file))
    return pd.DataFrame([map(printable, row) for row in problems], columns=Problem._fields)


def _table_problems(path: Path, images: Path, tokenizer: Tokenizer) -> Iterator[Problem]:
    try:
        table, errors = match(path, read_captions(path), images)
    except DataError as error:
        yield _as_problem(error, path.name)
        return
    for error in errors:
        yield _as_problem(error, path.name if error.file == path else os.path.relpath(error.file, images))
    filled = table[~table.map(is_blank).any(axis=1)]
    max_tokens = tokenizer.context_length - 2  # without the start and end tokens
    for file, text in zip(filled.image, ImageSet(path.parent.name, path.parent, images, filled).texts, strict=True):
        if (n_tokens := len(tokenizer.encode(text))) > max_tokens:
            problem = f"has a text of {n_tokens} tokens in {path.name}"
            yield Problem(file, "warning", problem, f"shorten it to {max_tokens}, models read no further")


def _image_problems(images: Path) -> Iterator[Problem]:
    names, first_with = image_names(images), {}
    results = read_ahead(_inspect, [images / name for name in names], 2 * os.cpu_count())
    for name, result in tqdm(zip(names, results, strict=True), total=len(names), desc=f"checking {images}"):
        if isinstance(result, DataError):
            yield _as_problem(result, name)
            continue
        pixels, visibility = result
        if first_with.setdefault(pixels, name) != name:
            yield Problem(name, "warning", f"shows the same pixels as {first_with[pixels]}", "keep one of them")
        if visibility > VISIBLE_SEAM:
            advice = "make sure that it spans 360 degrees"
            yield Problem(name, "warning", f"has a visible seam where its edges meet ({visibility:.1f})", advice)


def _inspect(path: Path) -> tuple[bytes, float] | DataError:
    """The hash of a panorama's pixels and the visibility of its seam, or the reason why it has none."""
    try:
        panorama = read_panorama(path)
    except DataError as error:
        return error
    return blake2b(panorama.permute(1, 2, 0).numpy(), digest_size=16).digest(), float(seam(panorama))


def _as_problem(error: DataError, file: str) -> Problem:
    return Problem(file, "error", error.problem, error.advice)
