"""CLIP scores of an image set, and the long table of measurements that all studies write.

One row is one observation: ``model, image_set, image, measure, condition, level, view, value``.

model, image_set, image   what was measured: names of the model and of the set, file name of the image
measure                   what ``value`` is, such as ``clip_score``, ``image_to_text_rank``, ``zero_shot_hit``
condition                 what was done to the image or its text, such as ``shift``, ``mirror``, ``generic_cue``
level                     how much of it (float64; NaN where a condition has no level), such as a fraction of the width
view                      what the network received of the image
value                     float64
"""

import math
from collections.abc import Mapping, Sequence

import pandas as pd
import torch.nn.functional as F
from torch import Tensor

from clip360.data.prompts import TEMPLATE, prompt
from clip360.models.clip import Clip
from clip360.scoring.embedding import embed_texts

CLIP_SCORE = "clip_score"


def clip_score(image_embeds: Tensor, text_embeds: Tensor, *, clamp_at_zero: bool = True) -> Tensor:
    """s = max(100 · cos(e_I, e_T), 0), float32 [N], of paired embeddings [N, D] (arXiv 2604.24642).

    The released scripts do not clamp; ``clamp_at_zero=False`` gives 100 · cos.

    >>> import torch
    >>> clip_score(torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).round()
    tensor([60.,  0.])
    """
    scores = 100 * F.cosine_similarity(image_embeds, text_embeds, dim=-1)
    return scores.clamp(min=0) if clamp_at_zero else scores


def protocol_scores(clip: Clip, image_embeds: Tensor, text_embeds: Tensor) -> Tensor:
    """CLIP scores of paired embeddings [N, D], clamped and rounded as the model's protocol says: float64 [N]."""
    scores = clip_score(image_embeds, text_embeds, clamp_at_zero=clip.protocol.clamp_at_zero).double()
    return scores if clip.protocol.decimals is None else scores.round(decimals=clip.protocol.decimals)


def cue_measurements(
    clip: Clip,
    table: pd.DataFrame,
    image_embeds: Mapping[str, Tensor],
    generic_cues: Sequence[str],
    *,
    image_set: str,
    held_out: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """CLIP scores of every image with its own format cue and with each generic cue (arXiv 2604.24642, textual probe).

    ``table`` has the columns image, caption, cue; ``image_embeds`` maps the name of a view to [N, D], in the table's order.
    Measurements with the conditions ``format_cue`` and ``generic_cue``, level NaN, and two last columns: ``cue``, its words, and
    ``template``. ``held_out`` lists cues that training texts do not have, by kind: as ``paraphrase`` templates, in which the
    image's own format cue and each generic cue are scored, otherwise words. They are measured with the condition KIND,
    or in another template with KIND_generic.
    """
    own, n_images = table.cue.tolist(), len(table)
    texts = [("format_cue", own, TEMPLATE), *(("generic_cue", [cue] * n_images, TEMPLATE) for cue in generic_cues)]
    for kind, entries in (held_out or {}).items():
        if kind != "paraphrase":
            texts += [(kind, [cue] * n_images, TEMPLATE) for cue in entries]
            continue
        for template in entries:
            texts.append((kind, own, template))
            texts += [(f"{kind}_generic", [cue] * n_images, template) for cue in generic_cues]
    parts = []
    for condition, cues, template in texts:
        text_embeds = embed_texts(clip, [prompt(*pair, template) for pair in zip(cues, table.caption, strict=True)])
        for view, embeds in image_embeds.items():
            rows = score_rows(clip, image_set, table.image, condition, math.nan, view, embeds, text_embeds)
            parts.append(rows.assign(cue=cues, template=template))
    return pd.concat(parts, ignore_index=True)


def score_rows(
    clip: Clip,
    image_set: str,
    images: Sequence[str],
    condition: str,
    level: float,
    view: str,
    image_embeds: Tensor,
    text_embeds: Tensor,
) -> pd.DataFrame:
    """Measurements of the CLIP score of paired embeddings [N, D] under one condition, one row for each of N images.

    Clamped and rounded as the model's protocol says. Raises ValueError where a score is NaN.
    """
    scores = protocol_scores(clip, image_embeds, text_embeds)
    if not scores.isfinite().all():
        raise ValueError(f"model {clip.name}, {image_set}: some scores are not numbers: check the weights")
    return measurement_rows(clip, image_set, images, CLIP_SCORE, condition, level, view, scores)


def measurement_rows(
    clip: Clip,
    image_set: str,
    images: Sequence[str],
    measure: str,
    condition: str,
    level: float,
    view: str,
    values: Tensor,
) -> pd.DataFrame:
    """Measurements ``values`` [N] of any kind, one for each of N images, under one condition; NaN as level where none applies."""
    columns = {"model": clip.name, "image_set": image_set, "image": list(images), "measure": measure}
    columns |= {"condition": condition, "level": float(level), "view": view}
    return pd.DataFrame(columns | {"value": values.double().cpu().numpy()})
