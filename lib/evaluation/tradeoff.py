"""What a road to invariance gains and costs on one image set: shifts, retrieval, zero-shot, and how alike all images become."""

from collections.abc import Hashable, Mapping, Sequence

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from clip360.data.image_set import ImageSet
from clip360.data.prompts import prompt
from clip360.evaluation.classification import zero_shot
from clip360.evaluation.retrieval import ranks
from clip360.models.clip import Clip
from clip360.names import PANORAMA, PERSPECTIVE
from clip360.scoring.clip_score import measured
from clip360.scoring.embedding import embed_texts
from clip360.scoring.shifts import MIRROR, shift_scores, shift_views
from clip360.scoring.views import Mirrored, View


def tradeoff_views(
    clip: Clip, shares: Sequence[float], *, control: View, mirrored: bool = False
) -> dict[Hashable, View]:
    """The shifts by ``shares`` of the width, the mirror, or, with ``mirrored``, that of every shift, and the photograph."""
    views = {**shift_views(shares, copies=clip.protocol.copies), PERSPECTIVE: control}
    if mirrored:
        views |= {("mirror", share): Mirrored(share) for share in shares}
    return views


def average(seen: Mapping[Hashable, Tensor], *, turns: int, steps: int) -> dict[Hashable, Tensor]:
    """The embeddings, by condition, of a model that takes the normalised mean over ``turns`` shifts for its embedding.

    ``seen`` are those of a single pass at all multiples of W / ``steps``, as of ``tradeoff_views`` with ``mirrored``. A
    photograph, which is no circle, is still seen in one pass. ValueError where ``turns`` does not divide ``steps``.
    """
    if turns < 1 or steps % turns:
        raise ValueError(f"turns is {turns}: expected a divisor of the {steps} shifts that are scored")

    def mean(condition: str, step: int) -> Tensor:
        turned = [seen[condition, (step + k * steps // turns) % steps / steps] for k in range(turns)]
        return F.normalize(torch.stack(turned).mean(0), dim=-1)

    shifted = {("shift", step / steps): mean("shift", step) for step in range(steps)}
    return shifted | {MIRROR: mean("mirror", 0), PERSPECTIVE: seen[PERSPECTIVE]}


def tradeoff_scores(
    clip: Clip,
    pictures: ImageSet,
    seen: Mapping[Hashable, Tensor],
    *,
    generic: str,
    labels: Sequence[str] | None = None,
    classes: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Everything the trade-off needs of one model and one image set, as a table of scores: one row for each image.

    ``seen`` are its embeddings of the set, as of ``tradeoff_views``.
    ``shift``, ``mirror``  as by ``shift_scores``
    ``image_to_text``, ``text_to_image``  rank of the image's own text among all, and of the image among all, for panoramas
    with their format cues and for their photographs with the cue ``generic``
    ``zero_shot``  where ``labels`` [N] and the phrases of their ``classes`` are given: is the right one found? 1 or 0
    ``likeness``  mean cosine of the image's embedding with those of all other images: 1 where all have become one
    """
    table, wide = pictures.table, seen["shift", 0.0]
    read = embed_texts(clip, pictures.texts)
    flat_read = embed_texts(clip, [prompt(generic, caption) for caption in table.caption])

    shifts = {key: images for key, images in seen.items() if key != PERSPECTIVE}
    parts = [shift_scores(clip, table, shifts, read, image_set=pictures.name)]
    format_cue = table.cue.iloc[0] if "cue" in table else generic
    kinds = ((PANORAMA, wide, read, format_cue), (PERSPECTIVE, seen[PERSPECTIVE], flat_read, generic))
    for view, images, texts, cue in kinds:
        found = {"image_to_text": ranks(images, texts), "text_to_image": ranks(texts, images)}
        if labels is not None:
            phrases = embed_texts(clip, [prompt(cue, phrase) for phrase in classes.values()])
            wanted = torch.tensor([list(classes).index(label) for label in labels])
            found["zero_shot"] = zero_shot(images, phrases[:, None]) == wanted
        parts += [measured(clip, pictures.name, table.image, condition, 0.0, view, x) for condition, x in found.items()]
    parts.append(measured(clip, pictures.name, table.image, "likeness", 0.0, PANORAMA, likeness(wide)))
    return pd.concat(parts, ignore_index=True)


def likeness(images: Tensor) -> Tensor:
    """Mean cosine [N] of each unit embedding [N, D] with the others.

    >>> import torch
    >>> likeness(torch.eye(3)), likeness(torch.ones(3, 1))
    (tensor([0., 0., 0.]), tensor([1., 1., 1.]))
    """
    return (images @ images.sum(0) - images.square().sum(1)) / (len(images) - 1)
