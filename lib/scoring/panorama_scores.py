"""CLIP scores of single panoramas, and how far they depend on where a panorama is cut open. `clip360 score` runs this."""

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from clip360.data.image_set import ImageSet, printable
from clip360.geometry.seam_measures import MEASURES, seam_measures
from clip360.geometry.views import Shift, shift_fractions
from clip360.models.clip import Clip
from clip360.scoring.clip_score import clip_score
from clip360.scoring.embedding import embed_batches, embed_images, embed_texts
from clip360.scoring.report import write_report

SCORES, REPORT = "scores.csv", "report.html"


def score_panoramas(
    clip: Clip, image_set: ImageSet, *, n_shifts: int = 8, batch_size: int = 64, start: int = 0
) -> Iterator[pd.DataFrame]:
    """Scores of the panoramas from row ``start`` on, one table for each batch: memory does not grow with the set.

    image, caption     as in the set's table
    score              s of the unshifted panorama
    robust             mean of s over ``n_shifts`` shifts in equal steps of a whole turn, the unshifted panorama included
    spread             standard deviation of s over these shifts
    worst, worst_yaw   the lowest s, and the yaw in degrees (to the right, -180 to 180) of the camera that sees it
    seam, seam_blend, discontinuity, poles, cube_edges
                       what shows where the sphere was laid flat, see ``geometry.seam_measures``

    Raises ValueError for fewer than two shifts, an empty batch, and a score that is NaN.
    """
    if n_shifts < 2:
        raise ValueError(f"n_shifts is {n_shifts}: expected at least 2, the unshifted panorama and one more")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: expected at least 1")
    fractions = [0.0, *shift_fractions(n_shifts)]
    views = {fraction: Shift(fraction) for fraction in fractions}
    seams: deque[dict[str, Tensor]] = deque()
    batches = _with_seams(image_set.batches(batch_size, start), seams)
    table, texts = image_set.table[start:], image_set.texts[start:]
    n_scored = 0
    for image_embeds in embed_batches(clip, batches, views, total=len(table)):
        rows = table[n_scored : n_scored + len(image_embeds[0.0])]
        text_embeds = embed_texts(clip, texts[n_scored : n_scored + len(rows)])
        scores = [
            clip_score(image_embeds[fraction], text_embeds, clamp_at_zero=clip.protocol.clamp_at_zero)
            for fraction in fractions
        ]
        n_scored += len(rows)
        yield _score_table(clip, rows, torch.stack(scores, dim=1).double(), fractions).assign(
            **{name: values.numpy() for name, values in seams.popleft().items()}
        )


def _score_table(clip: Clip, rows: pd.DataFrame, scores: Tensor, fractions: list[float]) -> pd.DataFrame:
    """The columns of ``score_panoramas`` but the seam measures, from the scores [N, n_shifts] at shifts by ``fractions``."""
    if not scores.isfinite().all():
        image = rows.image.iloc[int((~scores.isfinite()).any(1).nonzero()[0])]
        raise ValueError(
            f"model {clip.name}: the score of {printable(image)} is not a number: check the weights, or use float32"
        )
    columns = {
        "image": rows.image,
        "caption": rows.caption,
        "score": scores[:, 0].numpy(),
        "robust": scores.mean(1).numpy(),
        "spread": scores.std(1, correction=0).numpy(),
        "worst": scores.min(1).values.numpy(),
        "worst_yaw": [camera_yaw(fractions[k]) for k in scores.argmin(1)],
    }
    return pd.DataFrame(columns)


def camera_yaw(fraction: float) -> float:
    """The turn of the camera to the right, in degrees, that a shift by a fraction of the width amounts to.

    >>> camera_yaw(0.25), camera_yaw(0.75)
    (-90.0, 90.0)
    """
    return 0.0 - 360 * fraction if fraction <= 0.5 else 360 * (1 - fraction)


def _with_seams(batches: Iterable[Tensor], seams: deque[dict[str, Tensor]]) -> Iterator[Tensor]:
    """The batches, the seam measures of the images in a batch appended to ``seams``."""
    for images in batches:
        seams.append(seam_measures(images))
        yield images


def score_folder(
    clip: Clip, image_set: ImageSet, folder: str | Path, *, n_shifts: int = 8, batch_size: int = 64
) -> pd.DataFrame:
    """Score an image set into ``folder``/scores.csv and report.html; returns the table of ``score_panoramas``.

    Rows of an earlier call that was stopped are reused, provided that model, protocol, texts and image files have not
    changed since.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"scores.{_fingerprint(clip, image_set, n_shifts)}.partial"
    n_scored = _resume(partial)
    with partial.open("a", encoding="utf-8", newline="") as file:
        for rows in score_panoramas(clip, image_set, n_shifts=n_shifts, batch_size=batch_size, start=n_scored):
            rows.to_csv(file, index=False, header=n_scored == 0, lineterminator="\n", float_format="%.6g")
            file.flush()
            n_scored += len(rows)
            _save_progress(partial, n_scored)
    os.replace(partial, folder / SCORES)
    for outdated in folder.glob("scores.*.partial"):  # of calls whose model, texts or images have changed since
        outdated.unlink()
        _progress_file(outdated).unlink(missing_ok=True)
    _progress_file(partial).unlink()
    scores = read_scores(folder)
    write_report(folder / REPORT, scores, image_set, model=clip.name, view=clip.view, n_shifts=n_shifts)
    return scores


def read_scores(folder: str | Path) -> pd.DataFrame:
    """The table that ``score_folder`` wrote into ``folder``; FileNotFoundError where there is none."""
    path = Path(folder, SCORES)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: run clip360 score first, with --out {printable(folder)}")
    return pd.read_csv(path, keep_default_na=False, dtype={"image": str, "caption": str})


def _fingerprint(clip: Clip, image_set: ImageSet, n_shifts: int) -> str:
    """A short hash of everything that the scores depend on: only rows with the same fingerprint are reused.

    An image file counts by its size and its times of modification and of status change (mtime, ctime), in nanoseconds.
    Hashing the bytes instead would read a large set twice. Programs that copy files can restore mtime but not ctime, so a
    replaced image never passes for the old one; at worst, an image that was only touched is scored again.
    """
    digest = hashlib.sha256(repr((clip.protocol, clip.view, n_shifts, image_set.texts, *MEASURES)).encode())
    for name in image_set.table.image:
        status = (image_set.images / name).stat()
        digest.update(repr((name, status.st_size, status.st_mtime_ns, status.st_ctime_ns)).encode())
    for name, tensor in clip.network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.double().sum().item()!r}".encode())
    return digest.hexdigest()[:12]


def _progress_file(partial: Path) -> Path:
    return partial.with_suffix(".json")


def _save_progress(partial: Path, n_rows: int) -> None:
    """Record how many rows, in how many bytes, are complete."""
    temporary = partial.with_suffix(".json.temporary")
    temporary.write_text(json.dumps({"rows": n_rows, "bytes": partial.stat().st_size}))
    os.replace(temporary, _progress_file(partial))


def _resume(partial: Path) -> int:
    """The number of complete rows that a stopped call left in ``partial``; cuts off an incomplete last row."""
    if not (partial.is_file() and _progress_file(partial).is_file()):
        partial.unlink(missing_ok=True)
        return 0
    progress = json.loads(_progress_file(partial).read_text())
    if partial.stat().st_size < progress["bytes"]:  # a power failure lost rows that had been reported as written
        partial.unlink()
        return 0
    os.truncate(partial, progress["bytes"])
    return progress["rows"]


def tensor_resize_deviation(clip: Clip, image_set: ImageSet, *, n_images: int = 16) -> Tensor:
    """|Δs| [n] between resizing on tensors and by PIL, in points of the CLIP score, for the first ``n_images`` images."""
    first = image_set.head(n_images)
    text_embeds = embed_texts(clip, first.texts)
    scores = []
    for resize in ("pil", "tensor"):
        variant = replace(clip, protocol=replace(clip.protocol, resize=resize))
        image_embeds = embed_images(variant, first.batches(n_images), {0.0: Shift(0.0)}, total=len(first.table))
        scores.append(clip_score(image_embeds[0.0], text_embeds, clamp_at_zero=False))
    return (scores[0] - scores[1]).abs()
