"""The panoramas that a model is tuned on and those held out: opened, divided, and checked to have nothing in common."""

from dataclasses import replace
from pathlib import Path

from clip360.data.image_set import ImageSet, images_of
from clip360.data.images import printable
from clip360.finetune.methods import METHODS, find_method
from clip360.names import VALIDATION
from clip360.reports.hf_datasets import is_saved_dataset
from clip360.reports.panorama_embeddings import pixel_sha256
from clip360.reports.panorama_sources import TAR, open_panoramas

MIN_VALIDATION = 8  # of fewer, resamples without any difference between panoramas are too likely
MAX_VALIDATION = 128  # by default


def open_tuning_panoramas(path: str | Path, captions: str | Path | None, *, method: str) -> ImageSet:
    """The panoramas at ``path``, in any form of ``open_panoramas``; or, where the method needs no captions, a folder without them.

    Raises ValueError where captions are missing that the method needs, DataError as ``open_panoramas`` does.
    """
    if captions or not _is_folder_of_images(Path(path)):
        return open_panoramas(path, captions)
    if find_method(method).needs_captions:
        without = ", ".join(
            name for name, other in METHODS.items() if not (other.needs_captions or other.needs_clip360)
        )
        raise ValueError(
            f"{path} has no captions.csv, but the method {method} compares panoramas with their captions: add it, or choose"
            f" one of {without}"
        )
    return images_of(path)


def _is_folder_of_images(path: Path) -> bool:
    """Is it a folder of which nothing says that it holds captions?"""
    return path.is_dir() and not (
        (path / "captions.csv").exists() or is_saved_dataset(path) or any(path.glob(f"*{TAR}"))
    )


def divide(image_set: ImageSet, n_validation: int | None) -> tuple[ImageSet, ImageSet]:
    """The panoramas to train on, and the last ``n_validation``, held out; None: a fifth, at most ``MAX_VALIDATION``.

    Raises ValueError where one of the two would be too small.
    """
    total = len(image_set.table)
    if n_validation is None:
        n_validation = min(max(total // 5, MIN_VALIDATION), MAX_VALIDATION)
    if not MIN_VALIDATION <= n_validation < total:
        raise ValueError(
            f"{n_validation} of {total} panoramas would be held out: expected at least {MIN_VALIDATION} and fewer than all,"
            " change --n-validation or add panoramas"
        )
    last = replace(image_set, name=VALIDATION, table=image_set.table.tail(n_validation))
    return image_set.head(total - n_validation), last


def require_distinct(training: ImageSet, validation: ImageSet, *, batch_size: int) -> None:
    """Raise ValueError where a panorama that is held out has the pixels of one to train on."""
    by_digest = dict(zip(_digests(training, batch_size), training.table.image, strict=True))
    for digest, image in zip(_digests(validation, batch_size), validation.table.image, strict=True):
        if digest in by_digest:
            raise ValueError(
                f"{printable(image)} is held out, but equals {printable(by_digest[digest])}, which the model would be trained"
                " on: remove one of them"
            )


def _digests(image_set: ImageSet, batch_size: int) -> list[str]:
    return [pixel_sha256(panorama) for batch in image_set.batches(batch_size) for panorama in batch]
