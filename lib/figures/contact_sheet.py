"""A contact sheet: an image set at a glance, its problems on top."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from clip360.data.image_set import image_names, locate, printable, read_ahead, read_image
from clip360.figures.style import PAGE

COLUMNS, WIDTH = 5, 2 * PAGE  # a sheet for the screen
THUMBNAIL = (320, 160)  # pixels
LETTERS, LINES = 44, 2  # of a problem that fit above a thumbnail
FLAWED = "#C00000"


def contact_sheet(
    folder: str | Path, problems: pd.DataFrame, captions: str | Path | None = None, *, n_shown: int = 60
) -> Figure:
    """Thumbnails of at most ``n_shown`` images of an image set: the flawed ones, then others evenly from the whole set.

    ``folder`` and ``captions`` are those of ``check_image_set``, ``problems`` is the table that it returns: a problem
    stands in red above its image, or in the header if it is about the table of captions.
    """
    path, images = locate(folder, captions)
    names = {printable(name): name for name in image_names(images)}  # as in problems
    by_file = problems.groupby("file", sort=False).problem.agg("; ".join)
    shown = _choose(sorted(names), [file for file in by_file.index if file != path.name], n_shown)
    rows = max(1, -(-len(shown) // COLUMNS))
    height = rows * (WIDTH / COLUMNS / 2 + 0.25) + 0.4
    figure, axes = plt.subplots(rows, COLUMNS, squeeze=False, figsize=(WIDTH, height))
    for axis in axes.flat:
        axis.axis("off")
    # Only files of the folder are opened: other names in the table could point outside it.
    paths = [images / names[name] if name in names else None for name in shown]
    thumbnails = read_ahead(_thumbnail, paths, COLUMNS)
    for axis, name, thumbnail in zip(axes.flat, shown, thumbnails, strict=False):
        _show(axis, thumbnail, name, by_file.get(name))
    title = Path(folder).resolve().name
    header = f"{title}: images {len(names)}, shown {len(shown)}, files with problems {len(by_file)}"
    if path.name in by_file:
        header = fill(f"{header}; {path.name} {by_file[path.name]}", COLUMNS * LETTERS // 2)
    colour = FLAWED if path.name in by_file else "black"
    figure.suptitle(header, x=0.005, ha="left", weight="bold", color=colour, parse_math=False)
    return figure


def _choose(names: Sequence[str], flawed: Sequence[str], n_shown: int) -> list[str]:
    flawed = list(flawed)[:n_shown]
    others = sorted(set(names) - set(flawed))
    count = min(n_shown - len(flawed), len(others))
    return flawed + [others[k] for k in np.linspace(0, len(others) - 1, count).round().astype(int)]


def _thumbnail(path: Path | None) -> Image.Image | None:
    """An image within a small 2:1 frame, or None where the file is missing or broken."""
    try:
        return path and ImageOps.pad(read_image(path), THUMBNAIL, color="white")
    except ValueError:
        return None


def _show(axis: Axes, thumbnail: Image.Image | None, name: str, problem: str | None) -> None:
    title = name if len(name) <= LETTERS else f"{name[: LETTERS // 2]}…{name[-LETTERS // 3 :]}"
    image = thumbnail or Image.new("RGB", THUMBNAIL, "#E6E6E6")
    if thumbnail is None:
        axis.text(0.5, 0.5, "no image", transform=axis.transAxes, ha="center", va="center", color="0.4")
    if problem:
        title += "\n" + fill(problem, LETTERS, max_lines=LINES, placeholder=" …")
        image = ImageOps.expand(ImageOps.crop(image, 3), 3, FLAWED)
    axis.set_title(title, pad=3, loc="left", color=FLAWED if problem else "black", parse_math=False)
    axis.imshow(image)
