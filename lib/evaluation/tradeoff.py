"""What an adaptation method gains and costs on one image set: shifts, retrieval, zero-shot classification, similarity of images."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from fractions import Fraction

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from clip360.data.image_set import ImageSet
from clip360.data.prompts import prompt
from clip360.evaluation.classification import zero_shot
from clip360.evaluation.retrieval import ranks
from clip360.geometry.views import Mirrored, View
from clip360.models.clip import Clip
from clip360.names import PANORAMA, PERSPECTIVE, UNSHIFTED
from clip360.scoring.clip_score import measurement_rows
from clip360.scoring.embedding import embed_texts
from clip360.scoring.shifts import MIRROR, shift_measurements, shift_views

MAX_DENOMINATOR = 1_000_000  # of shifts as fractions of the width


def tradeoff_views(
    clip: Clip, fractions: Sequence[float], *, control_view: View, n_averaged: Iterable[int] = (1,)
) -> dict[Hashable, View]:
    """The views that the trade-off needs: shifts and the mirror image by (condition, level), and the perspective view.

    ``fractions`` are shifts in fractions of the width, ``control_view`` cuts the perspective view out of a panorama. The other
    views are those that ``average_shifts`` averages for these fractions and each of ``n_averaged``.
    """
    counts = tuple(n_averaged)
    shifted = {start for fraction in (0.0, *fractions) for n in counts for start in equal_steps(fraction, n)}
    mirrored = {start for n in counts for start in equal_steps(0.0, n)}
    views = shift_views(sorted(shifted - {0.0}), jpeg_quality=clip.protocol.jpeg_quality)
    views |= {("mirror", start): Mirrored(start) for start in sorted(mirrored - {0.0})}
    return {**views, PERSPECTIVE: control_view}


def equal_steps(fraction: float, n: int) -> list[float]:
    """``n`` shifts in equal steps of the width, the first by ``fraction``; in fractions of the width, from 0 to 1.

    >>> equal_steps(0.625, 2)
    [0.625, 0.125]
    """
    exact = Fraction(fraction).limit_denominator(MAX_DENOMINATOR)
    return [float((exact + Fraction(k, n)) % 1) for k in range(n)]


def average_shifts(
    image_embeds: Mapping[Hashable, Tensor], fractions: Sequence[float], *, n_averaged: int
) -> dict[Hashable, Tensor]:
    """Embeddings, by condition, of a model that represents a panorama by its normalised mean embedding over shifts.

    ``image_embeds`` [N, D] are those of single passes, by the keys of ``tradeoff_views`` with ``n_averaged`` and the same
    ``fractions``, at which the mean is given; it is over ``n_averaged`` equal steps of the width. A perspective view does not wrap
    around and keeps its single pass.
    """

    def mean(condition: str, start: float) -> Tensor:
        embeds = torch.stack([image_embeds[condition, fraction] for fraction in equal_steps(start, n_averaged)])
        return F.normalize(embeds.mean(0), dim=-1)

    shifted = {("shift", fraction): mean("shift", fraction) for fraction in (0.0, *fractions)}
    return shifted | {MIRROR: mean("mirror", 0.0), PERSPECTIVE: image_embeds[PERSPECTIVE]}


def tradeoff_measurements(
    clip: Clip,
    image_set: ImageSet,
    image_embeds: Mapping[Hashable, Tensor],
    *,
    generic_cue: str,
    labels: Sequence[str] | None = None,
    classes: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """All measurements of the trade-off for one model and one image set of N panoramas, in long form.

    ``image_embeds`` [N, D] are the model's embeddings, by the keys of ``tradeoff_views``. Panoramas have the texts of the set,
    with format cues; their perspective views have the same captions with ``generic_cue``. Measures:

    clip_score          under the conditions ``shift`` and ``mirror``, as in ``shift_measurements``
    image_to_text_rank, text_to_image_rank   rank of the image's own text among all texts, and of the image among all images
    zero_shot_hit       1 where zero-shot classification finds the class, else 0; only with ``labels`` [N], the right classes, and
                        ``classes``, which maps every class to the words of its prompt
    inter_image_cosine  mean cosine of the image's embedding with those of all other images; 1 where all are the same

    Ranks and hits of panoramas are measured at every shift: the direction in which a panorama is cut open is arbitrary, and at a
    single one they depend on it. All else but clip_score has the condition ``unshifted``. ValueError where a value is NaN.
    """
    table, unshifted = image_set.table, image_embeds["shift", 0.0]
    text_embeds = embed_texts(clip, image_set.texts)
    generic_embeds = embed_texts(clip, [prompt(generic_cue, caption) for caption in table.caption])

    panoramas = {key: embeds for key, embeds in image_embeds.items() if key != PERSPECTIVE}
    parts = [shift_measurements(clip, table, panoramas, text_embeds, image_set=image_set.name)]
    format_cue = table.cue.iloc[0] if "cue" in table else generic_cue
    ranked = [
        (PANORAMA, key, embeds, text_embeds, format_cue) for key, embeds in panoramas.items() if key[0] == "shift"
    ]
    ranked.append((PERSPECTIVE, (UNSHIFTED, math.nan), image_embeds[PERSPECTIVE], generic_embeds, generic_cue))
    for view, (condition, level), images, texts, cue in ranked:
        values = {"image_to_text_rank": ranks(images, texts), "text_to_image_rank": ranks(texts, images)}
        if labels is not None:
            class_embeds = embed_texts(clip, [prompt(cue, words) for words in classes.values()])
            right = torch.tensor([list(classes).index(label) for label in labels])
            values["zero_shot_hit"] = zero_shot(images, class_embeds[:, None]) == right
        parts += [
            measurement_rows(clip, image_set.name, table.image, measure, condition, level, view, x)
            for measure, x in values.items()
        ]
    cosines = inter_image_cosine(unshifted)
    parts.append(
        measurement_rows(
            clip, image_set.name, table.image, "inter_image_cosine", UNSHIFTED, math.nan, PANORAMA, cosines
        )
    )
    return pd.concat(parts, ignore_index=True)


def inter_image_cosine(image_embeds: Tensor) -> Tensor:
    """Mean cosine [N] of each unit embedding [N, D] with the others.

    >>> import torch
    >>> inter_image_cosine(torch.eye(3)), inter_image_cosine(torch.ones(3, 1))
    (tensor([0., 0., 0.]), tensor([1., 1., 1.]))
    """
    with_all = image_embeds @ image_embeds.sum(0)
    return (with_all - image_embeds.square().sum(1)) / (len(image_embeds) - 1)
