"""CLIP scores of single panoramas under view protocols, and how far they depend on where a panorama is cut open."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from clip360.data.image_set import ImageSet, printable
from clip360.geometry.seam_measures import seam_measures
from clip360.geometry.views import Shift
from clip360.models.clip import Clip
from clip360.reports.embedding_cache import EmbeddingCache
from clip360.reports.panorama_embeddings import PanoramaEmbedder, pixel_sha256
from clip360.reports.view_protocols import (
    PROTOCOLS,
    ViewProtocol,
    network_inputs_of,
    require_protocols,
    shift_protocol,
)
from clip360.scoring.clip_score import clip_score, protocol_scores
from clip360.scoring.embedding import embed_images, embed_texts

SHIFTS = "shifts"  # the name of the model's own view at all shifts, among the protocols of a record
NESTED = ("sha256", "by_group")  # keys of a record that are no columns


def score_panoramas(
    clip: Clip,
    image_set: ImageSet,
    *,
    n_shifts: int = 8,
    batch_size: int = 64,
    protocols: Sequence[str] = (),
    cache: EmbeddingCache | None = None,
) -> Iterator[pd.DataFrame]:
    """Scores of the panoramas, one table for each batch: memory does not grow with the set.

    image, caption     as in the set's table
    score              s of the unshifted panorama
    robust             mean of s over ``n_shifts`` shifts in equal steps of a whole turn, the unshifted panorama included
    spread             standard deviation of s over these shifts
    worst, worst_yaw   the lowest s, and the yaw in degrees (to the right, -180 to 180) of the camera that sees it
    seam, seam_blend, discontinuity, poles, cube_edges
                       what shows where the sphere was laid flat, see ``geometry.seam_measures``
    PROTOCOL           s under each of ``protocols``, keys of ``view_protocols.PROTOCOLS``

    ``cache`` keeps embeddings on disk. Raises ValueError for fewer than two shifts, an empty batch, a protocol that does not
    exist, and a score that is NaN.
    """
    options = {"n_shifts": n_shifts, "batch_size": batch_size, "protocols": protocols, "cache": cache}
    n_scored = 0
    for records in score_records(clip, image_set, **options):
        index = image_set.table.index[n_scored : n_scored + len(records)]
        n_scored += len(records)
        yield score_table(records).set_index(index)


def score_table(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The columns of ``score_panoramas`` of records of ``score_records``."""
    return pd.DataFrame([{key: value for key, value in record.items() if key not in NESTED} for record in records])


def group_tables(records: Iterable[Mapping[str, Any]]) -> dict[str, pd.DataFrame]:
    """By protocol, the mean scores of groups of views: one row for each record, one column for each group."""
    columns: dict[str, dict[str, list[float]]] = {}
    for record in records:
        for protocol, groups in record["by_group"].items():
            for group, value in groups.items():
                columns.setdefault(protocol, {}).setdefault(group, []).append(value)
    return {protocol: pd.DataFrame(groups) for protocol, groups in columns.items()}


def require_options(clip: Clip, *, n_shifts: int, batch_size: int, protocols: Sequence[str]) -> None:
    """Raise ValueError for options with which nothing can be scored."""
    if n_shifts < 2:
        raise ValueError(f"n_shifts is {n_shifts}: expected at least 2, the unshifted panorama and one more")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: expected at least 1")
    require_protocols(clip, protocols)


def protocols_of_run(clip: Clip, n_shifts: int, protocols: Sequence[str]) -> dict[str, ViewProtocol]:
    """All protocols that a run scores, by name: first ``SHIFTS``, then the named ones."""
    return {SHIFTS: shift_protocol(clip, n_shifts)} | {name: PROTOCOLS[name] for name in protocols}


def score_records(
    clip: Clip,
    image_set: ImageSet,
    *,
    n_shifts: int = 8,
    batch_size: int = 64,
    protocols: Sequence[str] = (),
    cache: EmbeddingCache | None = None,
    progress: bool = True,
) -> Iterator[list[dict[str, Any]]]:
    """As ``score_panoramas``, one dictionary for each panorama, with two more entries:

    sha256    of the decoded pixels, and
    by_group  by protocol, where it has several groups of views: the mean score of each, by yaw or band of latitude

    ``progress`` shows a bar on stderr.
    """
    require_options(clip, n_shifts=n_shifts, batch_size=batch_size, protocols=protocols)
    run = protocols_of_run(clip, n_shifts, protocols)
    inputs = {name: network_inputs_of(clip, protocol) for name, protocol in run.items()}
    embedder = PanoramaEmbedder(clip, [x for several in inputs.values() for x in several], cache)
    table, texts, start = image_set.table, image_set.texts, 0
    with tqdm(total=len(table), desc=f"{clip.name}: images", disable=not progress) as bar:
        for images in image_set.batches(batch_size):
            rows = table[start : start + len(images)]
            digests = [pixel_sha256(image) for image in images]
            embeds = embedder.images(images, digests)
            text_embeds = embedder.texts(texts[start : start + len(images)])
            scores = {x: protocol_scores(clip, embed, text_embeds) for x, embed in embeds.items()}
            _require_numbers(clip, rows, torch.stack(list(scores.values()), dim=1))
            by_protocol = {name: torch.stack([scores[x] for x in several], dim=1) for name, several in inputs.items()}
            seams = seam_measures(images)
            yield [
                _record(image, caption, digest, run, {name: values[k] for name, values in by_protocol.items()})
                | {name: values[k].item() for name, values in seams.items()}
                | {name: by_protocol[name][k].mean().item() for name in protocols}
                for k, (image, caption, digest) in enumerate(zip(rows.image, rows.caption, digests, strict=True))
            ]
            start += len(images)
            bar.update(len(images))


def _require_numbers(clip: Clip, rows: pd.DataFrame, scores: Tensor) -> None:
    """Raise ValueError where one of the scores [N, K] is not a number."""
    if not scores.isfinite().all():
        image = rows.image.iloc[int((~scores.isfinite()).any(1).nonzero()[0])]
        raise ValueError(
            f"model {clip.name}: the score of {printable(image)} is not a number: check the weights, or use float32"
        )


def _record(
    image: str, caption: str, digest: str, run: Mapping[str, ViewProtocol], scores: Mapping[str, Tensor]
) -> dict[str, Any]:
    """A record from the scores [K] of the K views of each protocol, without seam measures and named protocols."""
    shifts = scores[SHIFTS]
    by_group = {name: group_means(protocol, scores[name]) for name, protocol in run.items() if protocol.group_axis}
    return {
        "image": image,
        "caption": caption,
        "sha256": digest,
        "by_group": by_group,
        "score": shifts[0].item(),
        "robust": shifts.mean().item(),
        "spread": shifts.std(correction=0).item(),
        "worst": shifts.min().item(),
        "worst_yaw": float(list(run[SHIFTS].groups)[int(shifts.argmin())]),
    }


def group_means(protocol: ViewProtocol, scores: Tensor) -> dict[str, float]:
    """The mean over each group of views of a protocol, from the scores [K] of its K views."""
    sizes = [len(views) for views in protocol.groups.values()]
    return {name: part.mean().item() for name, part in zip(protocol.groups, scores.split(sizes), strict=True)}


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
