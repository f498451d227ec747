"""A contact sheet: an image set at a glance, what is wrong with it on top."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from clip360.figures.style import PAGE
from clip360.data.image_set import locate, picture_names, printable, read_ahead, read_picture

COLUMNS, WIDTH = 5, 2 * PAGE  # a sheet for the screen
THUMBNAIL = (320, 160)  # pixels
LETTERS, LINES = 44, 2  # what of a problem fits above a thumbnail
FLAWED = "#C00000"


def contact_sheet(
    folder: str | Path, problems: pd.DataFrame, captions: str | Path | None = None, *, most: int = 60
) -> Figure:
    """Thumbnails of at most ``most`` pictures of an image set: the flawed ones, then others evenly from the whole set.

    ``folder`` and ``captions`` are those of check_image_set, ``problems`` is what it found: it stands in red above the
    pictures, and in the header if it is about the table.
    """
    path, images = locate(folder, captions)
    names = {printable(name): name for name in picture_names(images)}  # as in problems
    told = problems.groupby("file", sort=False).problem.agg("; ".join)
    shown = _choose(sorted(names), [file for file in told.index if file != path.name], most)
    rows = max(1, -(-len(shown) // COLUMNS))
    height = rows * (WIDTH / COLUMNS / 2 + 0.25) + 0.4
    figure, axes = plt.subplots(rows, COLUMNS, squeeze=False, figsize=(WIDTH, height))
    for axis in axes.flat:
        axis.axis("off")
    # Only what is in the folder is opened: other names that the table holds could lead outside it.
    paths = [images / names[name] if name in names else None for name in shown]
    thumbnails = read_ahead(_thumbnail, paths, COLUMNS)
    for axis, name, thumbnail in zip(axes.flat, shown, thumbnails, strict=False):
        _show(axis, thumbnail, name, told.get(name))
    title = Path(folder).resolve().name
    header = f"{title}: pictures {len(names)}, shown {len(shown)}, files with problems {len(told)}"
    if path.name in told:
        header = fill(f"{header}; {path.name} {told[path.name]}", COLUMNS * LETTERS // 2)
    colour = FLAWED if path.name in told else "black"
    figure.suptitle(header, x=0.005, ha="left", weight="bold", color=colour, parse_math=False)
    return figure


def _choose(names: Sequence[str], flawed: Sequence[str], most: int) -> list[str]:
    flawed = list(flawed)[:most]
    others = sorted(set(names) - set(flawed))
    count = min(most - len(flawed), len(others))
    return flawed + [others[k] for k in np.linspace(0, len(others) - 1, count).round().astype(int)]


def _thumbnail(path: Path | None) -> Image.Image | None:
    """A picture within a small 2:1 frame, or None where the file is missing or broken."""
    try:
        return path and ImageOps.pad(read_picture(path), THUMBNAIL, color="white")
    except ValueError:
        return None


def _show(axis: Axes, thumbnail: Image.Image | None, name: str, problem: str | None) -> None:
    title = name if len(name) <= LETTERS else f"{name[: LETTERS // 2]}…{name[-LETTERS // 3 :]}"
    picture = thumbnail or Image.new("RGB", THUMBNAIL, "#E6E6E6")
    if thumbnail is None:
        axis.text(0.5, 0.5, "no picture", transform=axis.transAxes, ha="center", va="center", color="0.4")
    if problem:
        title += "\n" + fill(problem, LETTERS, max_lines=LINES, placeholder=" …")
        picture = ImageOps.expand(ImageOps.crop(picture, 3), 3, FLAWED)
    axis.set_title(title, pad=3, loc="left", color=FLAWED if problem else "black", parse_math=False)
    axis.imshow(picture)
