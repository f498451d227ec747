"""All that is wrong with an image set, told at once: before any time goes into scoring it."""

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import open_clip
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from lib.imageset import (
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

NEAR = 16  # columns to either side of the seam; the edges of a JPEG file's blocks are among them
STEP = 2  # grey levels that rounding and compression may add to a step
# Chosen on half of the 512 rendered panoramas against the same with 10 % of their width cut off and stretched back, as
# they are and at JPEG quality 70. Of the other 256, 1 is said to have a seam (a beam stands right on its edge) and 2
# cut ones are not; at quality 70, 4 and 1.
SEAM = 4.0


class Problem(NamedTuple):
    """A row of the table of problems: with an ``error`` a set cannot be scored, a ``warning`` may be meant so."""

    file: str
    severity: str
    problem: str
    advice: str


def check_image_set(folder: str | Path, captions: str | Path | None = None, *, tokenize=None) -> pd.DataFrame:
    """Everything that is wrong with an image set: a row each, with the columns of Problem, errors first, then by file.

    ``folder`` and ``captions`` are those of load_image_set. ``tokenize`` tells with ``encode`` and ``context_length``
    which texts are too long, as tokenizers of open_clip do; None is that of OpenAI's models. No fault is raised.
    Decodes each picture once, in threads, and keeps none.
    """
    path, images = locate(folder, captions)
    found = [
        *_table_problems(path, images, tokenize or open_clip.get_tokenizer("ViT-B-32")),
        *_picture_problems(images),
    ]
    found.sort(key=lambda row: (row.severity, row.file != path.name, row.file))
    return pd.DataFrame([map(printable, row) for row in found], columns=Problem._fields)


def seam(panorama: Tensor) -> Tensor:
    """How visible the line is where the right edge of uint8 panoramas [..., 3, H, W] meets the left: float32 [...].

    The share of the rows in which the step from the last column to the first is larger, by more than STEP grey levels,
    than every step between neighbouring columns within NEAR columns on either side, times the number of steps compared:
    1 = it is as often the largest as any other column would be, 2 NEAR + 1 = it is in every row. Above SEAM it shows.

    >>> seam(torch.zeros(3, 50, 100, dtype=torch.uint8)), seam(torch.arange(200).byte().expand(3, 100, 200))
    (tensor(0.), tensor(33.))
    """
    near = max(1, min(NEAR, panorama.shape[-1] // 2 - 1))
    around = torch.cat([panorama[..., -near - 1 :], panorama[..., : near + 1]], dim=-1).float()
    steps = around.diff(dim=-1).abs().mean(-3)
    others = torch.cat([steps[..., :near], steps[..., near + 1 :]], dim=-1).amax(-1)
    return (steps[..., near] > others + STEP).float().mean(-1) * (2 * near + 1)


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
        if visible > SEAM:
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
