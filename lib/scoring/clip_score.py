"""CLIP scores of an image set under conditions, as a tidy table: one row for each image and condition."""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch.nn.functional as F
from torch import Tensor

from clip360.data.prompts import prompt
from clip360.models.clip import Clip
from clip360.scoring.embedding import embed_texts


def clip_score(images: Tensor, texts: Tensor, *, floor: bool = True) -> Tensor:
    """s = max(100 · cos(e_I, e_T), 0) of paired embeddings [N, D] (arXiv 2604.24642); the released scripts have no floor.

    >>> import torch
    >>> clip_score(torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).round()
    tensor([60.,  0.])
    """
    score = 100 * F.cosine_similarity(images, texts, dim=-1)
    return score.clamp(min=0) if floor else score


def textual_scores(
    clip: Clip, table: pd.DataFrame, embeddings: Mapping[str, Tensor], generic: Sequence[str], *, image_set: str
) -> pd.DataFrame:
    """Scores of every picture with its own format cue and with each generic cue (arXiv 2604.24642, textual probe).

    ``table`` has the columns image, caption, cue; ``embeddings`` maps the name of a view to [N, D], in its order.
    """
    conditions = [("cue", table.cue), *(("generic", pd.Series([word] * len(table))) for word in generic)]
    parts = []
    for condition, cues in conditions:
        texts = embed_texts(clip, [prompt(cue, caption) for cue, caption in zip(cues, table.caption, strict=True)])
        for view, images in embeddings.items():
            parts.append(score_table(clip, image_set, table.image, condition, cues, view, images, texts))
    return pd.concat(parts, ignore_index=True)


def score_table(
    clip: Clip, image_set: str, image: pd.Series, condition: str, value, view: str, images: Tensor, texts: Tensor
) -> pd.DataFrame:
    """The scores of paired embeddings [N, D] under one condition, one row for each; ValueError for scores that are NaN."""
    scores = clip_score(images, texts, floor=clip.protocol.floor).double()
    if not scores.isfinite().all():
        raise ValueError(f"model {clip.name}, {image_set}: some scores are not numbers: check the weights")
    if clip.protocol.decimals is not None:
        scores = scores.round(decimals=clip.protocol.decimals)
    return measured(clip, image_set, image, condition, value, view, scores)


def measured(
    clip: Clip, image_set: str, image: pd.Series, condition: str, value, view: str, numbers: Tensor
) -> pd.DataFrame:
    """Any number [N] for each picture under one condition (a score, a rank), in the columns of a score table."""
    columns = {"model": clip.name, "image_set": image_set, "image": image, "condition": condition, "value": value}
    return pd.DataFrame(columns | {"view": view, "score": numbers.double()})
