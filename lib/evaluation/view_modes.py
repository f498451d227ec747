"""Scores and ranks of an image set under one view mode, with controls that separate the crop's sensitivity from the model's."""

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import torch
import torch.nn.functional as F

from clip360.data.image_set import ImageSet
from clip360.evaluation.retrieval import ranks
from clip360.geometry.views import Shift, View, Window, shift_fractions
from clip360.models.clip import Clip
from clip360.scoring.clip_score import measurement_rows, score_rows
from clip360.scoring.embedding import embed_images, embed_texts
from clip360.scoring.shifts import embed_distinct, shift_views
from clip360.scoring.views import Resampled, reencode_jpeg


def control_views(*, small_shift: float, jpeg_quality: int, resample_scale: float) -> dict[tuple[str, float], View]:
    """Changes of a panorama that leave its content as it is, by (condition, level): what the effect of a shift is compared with.

    ``small_shift`` is a fraction of the width, used to both sides; ``resample_scale`` a fraction of the size.
    """
    return {
        ("small_shift", small_shift): Shift(small_shift),
        ("small_shift", -small_shift): Shift(-small_shift),
        ("jpeg", float(jpeg_quality)): partial(reencode_jpeg, quality=jpeg_quality),
        ("resampled", resample_scale): Resampled(resample_scale),
    }


def view_measurements(
    clip: Clip,
    image_set: ImageSet,
    *,
    n_shifts: int,
    n_windows: int,
    controls: Mapping[tuple[str, float], View],
    batch_size: int,
) -> pd.DataFrame:
    """Scores and ranks of an image set under the view mode of ``clip``, in long form, with the column in_window_shift.

    Measure ``clip_score``:
    ``shift``, ``mirror``   as in ``shift_measurements``, the shifts in ``n_shifts`` equal steps of the width
    ``window``              under the centre crop only: the crop at a shift (level, in ``n_windows`` equal steps), shifted circularly
                            within itself by ``in_window_shift`` of its own width; 0 in all other rows
    the conditions of ``controls``
    Measure ``image_to_text_rank``, the rank of the image's text among those of the set:
    ``shift``               at every shift
    ``averaged``            of the mean embedding over several shifts in equal steps (level: how many, see ``halvings``)

    ValueError where ``n_shifts`` is no multiple of ``n_windows``, where that is less than 2, or where a value is NaN.
    """
    if n_windows < 2 or n_shifts % n_windows:
        raise ValueError(
            f"n_shifts is {n_shifts} and n_windows {n_windows}: expected a multiple of n_windows, which is at least 2"
        )
    fractions = [0.0, *shift_fractions(n_shifts)]
    changed = shift_views(fractions[1:]) | dict(controls)
    views: dict[tuple[str, float, float], View] = {(*key, 0.0): view for key, view in changed.items()}
    if clip.view == "center_crop":
        in_window = shift_fractions(n_windows)
        views |= {("window", level, shift): Window(level, shift) for level in (0.0, *in_window) for shift in in_window}
    image_embeds = embed_distinct(clip, image_set, views, batch_size=batch_size)
    text_embeds = embed_texts(clip, image_set.texts)
    images = image_set.table.image
    parts = [
        score_rows(clip, image_set.name, images, condition, level, clip.view, embeds, text_embeds).assign(
            in_window_shift=in_window_shift
        )
        for (condition, level, in_window_shift), embeds in image_embeds.items()
    ]
    shifted = torch.stack([image_embeds["shift", fraction, 0.0] for fraction in fractions])
    to_rank = {("shift", fraction): embeds for fraction, embeds in zip(fractions, shifted, strict=True)}
    to_rank |= {
        ("averaged", float(n)): F.normalize(shifted[:: n_shifts // n].mean(0), dim=-1) for n in halvings(n_shifts)
    }
    for (condition, level), embeds in to_rank.items():
        rank = ranks(embeds, text_embeds)
        rows = measurement_rows(clip, image_set.name, images, "image_to_text_rank", condition, level, clip.view, rank)
        parts.append(rows.assign(in_window_shift=0.0))
    return pd.concat(parts, ignore_index=True)


def halvings(n_shifts: int) -> list[int]:
    """How many of ``n_shifts`` shifts to average: 2, 4, 8, ..., as long as they divide their number and leave several starts.

    >>> halvings(16), halvings(12)
    ([2, 4, 8], [2, 4])
    """
    return [2**k for k in range(1, n_shifts.bit_length()) if n_shifts % 2**k == 0 and 2**k < n_shifts]


def rerendered_measurements(
    clip: Clip, image_set: ImageSet, texts: Sequence[str], *, control_yaw: float, batch_size: int
) -> pd.DataFrame:
    """Scores of panoramas whose scenes were rendered again, the camera turned by ``control_yaw`` degrees, with the old ``texts``.

    Measure ``clip_score``, condition ``rendered_again``; columns as in ``view_measurements``.
    """
    batches = image_set.batches(batch_size)
    image_embeds = embed_images(clip, batches, {0.0: Shift(0.0)}, total=len(image_set.table))[0.0]
    rows = score_rows(
        clip,
        image_set.name,
        image_set.table.image,
        "rendered_again",
        control_yaw,
        clip.view,
        image_embeds,
        embed_texts(clip, texts),
    )
    return rows.assign(in_window_shift=0.0)
