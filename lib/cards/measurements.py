"""The measurements of a card: long tables, and the content of the image set as one hash."""

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from clip360.cards.cost import panoramas_per_second
from clip360.cards.inputs import CONTROL, UNSHIFTED, Key, RollEmbedder, RollKey, ViewEmbedder, view_clips
from clip360.cards.protocol import SQUASH, CardProtocol
from clip360.data.image_set import ImageSet
from clip360.data.prompts import prompt
from clip360.evaluation.retrieval import ranks
from clip360.models.clip import Clip
from clip360.names import PANORAMA, PERSPECTIVE
from clip360.reports.embedding_cache import EmbeddingCache
from clip360.reports.panorama_embeddings import pixel_sha256
from clip360.scoring.clip_score import cue_measurements, measurement_rows, score_rows

N_TIMED = 8  # panoramas whose embedding is timed
TO_TEXT, TO_IMAGE = "image_to_text_rank", "text_to_image_rank"


@dataclass(frozen=True)
class CardMeasurements:
    """What a card is computed from; all tables have the columns model, image_set, image, measure, condition, level, view, value.

    scores    CLIP scores under shifts, the mirror and windows, with the column in_window_shift, and under shifts the ranks
              ``image_to_text_rank`` and ``text_to_image_rank``; the view is a view mode
    cues      by view mode the scores of panoramas and their perspective views with the format cue and the generic cues
    rolls     CLIP scores and ranks of rolled inputs, as ``evaluation.token_analysis`` has them; None without patches
    no_rolls  why ``rolls`` is None, else nothing
    image_set_sha256  of the pixels, captions and cues, in the set's order
    panoramas_per_second  by view mode; None where no time was measured
    """

    scores: pd.DataFrame
    cues: Mapping[str, pd.DataFrame]
    rolls: pd.DataFrame | None
    no_rolls: str
    image_set_sha256: str
    panoramas_per_second: Mapping[str, float | None]


def measure(
    clip: Clip,
    image_set: ImageSet,
    protocol: CardProtocol,
    *,
    views: Sequence[str],
    wide: Clip | None = None,
    batch_size: int = 64,
    cache: str | Path | None = None,
    timed: bool = True,
) -> CardMeasurements:
    """Measure a model on captioned panoramas whose table has the column cue.

    ``wide`` is the same model with a network of twice the width, which the view wide needs. Embeddings are kept in the folder
    ``cache``. Where it is not ``timed``, the same set and weights give the same card. Raises ValueError where a score is NaN, DataError where a panorama cannot be decoded.
    """
    # The text tower is the same under every view: each distinct text is embedded once.
    clip = replace(clip, text_cache={})
    wide = replace(wide, text_cache=clip.text_cache) if wide else None
    clips = view_clips(clip, views, wide)
    of_network = {id(x.network): EmbeddingCache(cache, x) for x in (clip, wide) if x} if cache else {}
    embedders = {view: ViewEmbedder(x, protocol, of_network.get(id(x.network))) for view, x in clips.items()}
    texts = [prompt(cue, text) for cue in protocol.generic_cues for text in image_set.table.caption]
    texts += image_set.texts
    clip.text_cache.update(zip(texts, embedders[SQUASH].texts(texts), strict=True))
    rolls, no_rolls = _rolls(clips[SQUASH])

    seconds, digests = {}, []
    parts: dict[str, list[dict[Key, Tensor]]] = {view: [] for view in views}
    rolled: list[dict[RollKey, Tensor]] = []
    with tqdm(total=len(image_set.table), desc=f"{clip.name}: panoramas") as progress:
        for panoramas in image_set.batches(batch_size):
            of_batch = [pixel_sha256(panorama) for panorama in panoramas]
            for view, embedder in embedders.items():
                if view not in seconds:
                    seconds[view] = panoramas_per_second(clips[view], panoramas[:N_TIMED]) if timed else None
                parts[view].append(embedder(panoramas, of_batch))
            if rolls:
                rolled.append(rolls(panoramas))
            digests += of_batch
            progress.update(len(panoramas))
    embeds = {view: _joined(of_view) for view, of_view in parts.items()}
    return CardMeasurements(
        pd.concat([_view_table(clips[view], image_set, embeds[view]) for view in views], ignore_index=True),
        {view: _cue_table(clips[view], image_set, embeds[view], protocol) for view in views},
        _roll_table(clips[SQUASH], image_set, _joined(rolled), rolls.patch, rolls.width) if rolls else None,
        no_rolls,
        _content_sha256(digests, image_set),
        seconds,
    )


def _rolls(clip: Clip) -> tuple[RollEmbedder | None, str]:
    try:
        return RollEmbedder(clip), ""
    except ValueError as error:
        return None, str(error)


def _joined(parts: Sequence[Mapping[Hashable, Tensor]]) -> dict[Hashable, Tensor]:
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


def _view_table(clip: Clip, image_set: ImageSet, embeds: Mapping[Key, Tensor]) -> pd.DataFrame:
    """Scores and ranks under one view mode, as ``evaluation.view_modes.view_measurements`` has them."""
    text_embeds = torch.stack([clip.text_cache[text] for text in image_set.texts])
    place = image_set.name, image_set.table.image
    tables = []
    for key, of_key in embeds.items():
        if key == CONTROL:
            continue
        condition, level, in_window_shift = key
        scores = score_rows(clip, *place, condition, level, clip.view, of_key, text_embeds)
        tables.append(scores.assign(in_window_shift=in_window_shift))
        if condition == "shift":
            found = {TO_TEXT: ranks(of_key, text_embeds), TO_IMAGE: ranks(text_embeds, of_key)}
            for measure, rank in found.items():
                rows = measurement_rows(clip, *place, measure, condition, level, clip.view, rank)
                tables.append(rows.assign(in_window_shift=0.0))
    return pd.concat(tables, ignore_index=True)


def _cue_table(clip: Clip, image_set: ImageSet, embeds: Mapping[Key, Tensor], protocol: CardProtocol) -> pd.DataFrame:
    by_view = {PANORAMA: embeds[UNSHIFTED], PERSPECTIVE: embeds[CONTROL]}
    return cue_measurements(clip, image_set.table, by_view, protocol.generic_cues, image_set=image_set.name)


def _roll_table(
    clip: Clip, image_set: ImageSet, embeds: Mapping[RollKey, Tensor], patch: int, width: int
) -> pd.DataFrame:
    """Scores of rolled inputs, and ranks of those that are not rolled, as ``evaluation.token_analysis`` has them."""
    text_embeds = torch.stack([clip.text_cache[text] for text in image_set.texts])
    place = image_set.name, image_set.table.image
    tables = []
    for (kind, pixels), of_key in embeds.items():
        rows = [score_rows(clip, *place, "roll", pixels / width, clip.view, of_key, text_embeds)]
        if not pixels:
            rows.append(measurement_rows(clip, *place, TO_TEXT, "roll", 0.0, clip.view, ranks(of_key, text_embeds)))
        columns = {"positional_embedding": kind, "whole_patches": pixels % patch == 0}
        tables += [part.assign(**columns) for part in rows]
    return pd.concat(tables, ignore_index=True)


def _content_sha256(digests: Sequence[str], image_set: ImageSet) -> str:
    """SHA-256 of the pixels, captions and cues of an image set, whatever its files are called."""
    content = list(zip(digests, image_set.table.caption, image_set.table.cue, strict=True))
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
