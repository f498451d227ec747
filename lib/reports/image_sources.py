"""Sets of panoramas in every form that the command reads, where pictures are needed or all their problems."""

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from clip360.data.checks import Problem, Tokenizer
from clip360.data.image_set import ImageSet, images_of
from clip360.data.images import DataError, printable, read_ahead
from clip360.geometry.seam import VISIBLE_SEAM, seam
from clip360.reports.hf_datasets import is_of_hub, is_saved_dataset
from clip360.reports.panorama_embeddings import pixel_sha256
from clip360.reports.panorama_sources import TAR, open_panoramas


def is_folder_of_images(path: str | Path) -> bool:
    """Is ``path`` a folder that holds images itself or in images/, rather than tar files or a dataset?"""
    path = Path(path)
    if not path.is_dir() or is_saved_dataset(path):
        return False
    return Path(path, "captions.csv").exists() or not any(path.glob(f"*{TAR}"))


def open_images(path: str | Path) -> ImageSet:
    """The panoramas at ``path``, for their pixels: of a folder all images, captions or not, else as ``open_panoramas``.

    Raises DataError where there are none.
    """
    if not Path(path).exists() and not is_of_hub(path):
        raise DataError(Path(path), "does not exist", "expected panoramas")
    return images_of(path) if is_folder_of_images(path) else open_panoramas(path)


def relative_location(path: str | Path, folder: str | Path) -> str:
    """Where panoramas are, for a file in ``folder``: the relative path as POSIX text, or the name of a dataset of the hub."""
    return str(path) if is_of_hub(path) else Path(os.path.relpath(path, folder)).as_posix()


def find_images(location: str | None, folder: str | Path) -> Path | None:
    """The panoramas at a ``relative_location``; None where it is not known, or they are gone."""
    if location is None or is_of_hub(location):
        return location and Path(location)
    path = Path(folder, location)
    return path if path.exists() else None


def check_source(path: str | Path, *, tokenizer: Tokenizer) -> pd.DataFrame:
    """All problems of panoramas in JSON lines, tar files or a dataset, as ``data.checks.check_image_set`` lists those of a folder.

    Of what names the panoramas and their texts only the first problem is found, and the images are not opened then.
    """
    try:
        image_set = open_panoramas(path)
    except DataError as error:
        name = printable(os.path.relpath(error.file, Path(path).parent))
        return _table([Problem(name, "error", error.problem, error.advice)])
    problems = [*_text_problems(image_set, tokenizer), *_image_problems(image_set)]
    return _table(sorted(problems, key=lambda row: (row.severity, row.file)))


def _table(problems: list[Problem]) -> pd.DataFrame:
    return pd.DataFrame([map(printable, row) for row in problems], columns=Problem._fields)


def _text_problems(image_set: ImageSet, tokenizer: Tokenizer) -> Iterator[Problem]:
    max_tokens = tokenizer.context_length - 2  # without the start and end tokens
    for name, text in zip(image_set.table.image, image_set.texts, strict=True):
        if (n_tokens := len(tokenizer.encode(text))) > max_tokens:
            advice = f"shorten it to {max_tokens}, models read no further"
            yield Problem(name, "warning", f"has a text of {n_tokens} tokens", advice)


def _image_problems(image_set: ImageSet) -> Iterator[Problem]:
    def inspect(name: str) -> tuple[str, float] | DataError:
        try:
            panorama = image_set.read(name)
        except DataError as error:
            return error
        return pixel_sha256(panorama), float(seam(panorama))

    names, first_with = image_set.table.image.tolist(), {}
    results = read_ahead(inspect, names, 2 * (os.cpu_count() or 1))
    for name, result in tqdm(zip(names, results, strict=True), total=len(names), desc=f"checking {image_set.name}"):
        if isinstance(result, DataError):
            yield Problem(name, "error", result.problem, result.advice)
            continue
        pixels, visibility = result
        if first_with.setdefault(pixels, name) != name:
            yield Problem(name, "warning", f"shows the same pixels as {first_with[pixels]}", "keep one of them")
        if visibility > VISIBLE_SEAM:
            advice = "make sure that it spans 360 degrees"
            yield Problem(name, "warning", f"has a visible seam where its edges meet ({visibility:.1f})", advice)
