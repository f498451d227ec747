"""What fine-tuning gains and costs, measured on one image set: shifts, retrieval, and how alike all images become."""

from collections.abc import Sequence

import pandas as pd
from torch import Tensor

from lib.benchmark import ranks
from lib.embedding import embed_images, embed_texts
from lib.imageset import ImageSet
from lib.models import Clip
from lib.prompts import prompt
from lib.scoring import measured
from lib.shifts import shift_scores, shift_views
from lib.views import View

PANORAMA, PERSPECTIVE = "panorama", "perspective"  # kinds of pictures


def tradeoff_scores(
    clip: Clip, pictures: ImageSet, *, shifts: Sequence[float], control: View, generic: str, batch: int
) -> pd.DataFrame:
    """Everything the trade-off needs of one model and one image set, as a table of scores: one row for each image.

    ``shift``, ``mirror``  as by ``shift_scores``
    ``image_to_text``, ``text_to_image``  rank of the image's own text among all, and of the image among all, for panoramas
    with their format cues and for their perspective views ``control`` with the cue ``generic``
    ``likeness``  mean cosine of the image's embedding with those of all other images: 1 where all have become one
    """
    views = {**shift_views(shifts, copies=clip.protocol.copies), PERSPECTIVE: control}
    seen = embed_images(clip, pictures.batches(batch), views, total=len(pictures.table))
    flat, wide = seen.pop(PERSPECTIVE), seen["shift", 0.0]
    read = embed_texts(clip, pictures.texts)
    flat_read = embed_texts(clip, [prompt(generic, caption) for caption in pictures.table.caption])

    parts = [shift_scores(clip, pictures.table, seen, read, image_set=pictures.name)]
    for view, images, texts in ((PANORAMA, wide, read), (PERSPECTIVE, flat, flat_read)):
        for condition, rank in (("image_to_text", ranks(images, texts)), ("text_to_image", ranks(texts, images))):
            parts.append(measured(clip, pictures.name, pictures.table.image, condition, 0.0, view, rank))
    alike = likeness(wide)
    parts.append(measured(clip, pictures.name, pictures.table.image, "likeness", 0.0, PANORAMA, alike))
    return pd.concat(parts, ignore_index=True)


def likeness(images: Tensor) -> Tensor:
    """Mean cosine [N] of each unit embedding [N, D] with the others.

    >>> import torch
    >>> likeness(torch.eye(3)), likeness(torch.ones(3, 1))
    (tensor([0., 0., 0.]), tensor([1., 1., 1.]))
    """
    return (images @ images.sum(0) - images.square().sum(1)) / (len(images) - 1)
