"""Scores and ranks of an image set under one view: what tells the sensitivity of a crop from that of the model."""

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import torch
import torch.nn.functional as F

from clip360.data.image_set import ImageSet
from clip360.evaluation.retrieval import ranks
from clip360.models.clip import Clip
from clip360.scoring.clip_score import measured, score_table
from clip360.scoring.embedding import embed_images, embed_texts
from clip360.scoring.shifts import curve, embed_distinct, shift_views
from clip360.scoring.views import Resampled, Shift, View, Window, saved_copies


def harmless_changes(*, small_shift: float, jpeg: int, resampled: float) -> dict[tuple[str, float], View]:
    """Changes that leave what a panorama shows as it is, by (condition, value): controls for what a shift does."""
    return {
        ("small_shift", small_shift): Shift(small_shift),
        ("small_shift", -small_shift): Shift(-small_shift),
        ("jpeg", float(jpeg)): partial(saved_copies, quality=jpeg),
        ("resampled", resampled): Resampled(resampled),
    }


def view_scores(
    clip: Clip, pictures: ImageSet, *, steps: int, turns: int, controls: Mapping[tuple[str, float], View], batch: int
) -> pd.DataFrame:
    """Everything that is asked of one view, as a table of scores with a column ``turn``, 0 but for windows.

    ``shift``, ``mirror``  as by ``shift_scores``, the shifts in ``steps`` of a whole turn
    ``window``    under the centre crop: the window at a shift (value, in ``turns`` steps), by ``turn`` of its own width
    the conditions of ``controls``
    ``rank``      of the picture's text among those of the set, at every shift
    ``mean_rank`` the same of the mean embedding over some (value, as of ``halves``) of the shifts, in equal steps
    """
    if turns < 2 or steps % turns:
        raise ValueError(
            f"steps is {steps} and turns {turns}: expected a multiple of the turns, and at least 2 of these"
        )
    views: dict[tuple, View] = {(*key, 0.0): view for key, view in (shift_views(curve(steps)) | dict(controls)).items()}
    if clip.view == "center_crop":
        within = [0.0, *curve(turns)]
        views |= {("window", share, turn): Window(share, turn) for share in within for turn in within[1:]}
    seen = embed_distinct(clip, pictures, views, batch=batch)
    read = embed_texts(clip, pictures.texts)
    image = pictures.table.image
    parts = [
        score_table(clip, pictures.name, image, condition, value, clip.view, images, read).assign(turn=turn)
        for (condition, value, turn), images in seen.items()
    ]
    shifted = torch.stack([seen["shift", share, 0.0] for share in (0.0, *curve(steps))])
    own = {("rank", step / steps): images for step, images in enumerate(shifted)}
    own |= {
        ("mean_rank", float(count)): F.normalize(shifted[:: steps // count].mean(0), dim=-1) for count in halves(steps)
    }
    for (condition, value), images in own.items():
        rank = ranks(images, read)
        parts.append(measured(clip, pictures.name, image, condition, value, clip.view, rank).assign(turn=0.0))
    return pd.concat(parts, ignore_index=True)


def halves(steps: int) -> list[int]:
    """2, 4, 8, ..., as long as they divide the number of steps and leave more than one start.

    >>> halves(16), halves(12)
    ([2, 4, 8], [2, 4])
    """
    return [2**k for k in range(1, steps.bit_length()) if steps % 2**k == 0 and 2**k < steps]


def view_again(
    clip: Clip, pictures: ImageSet, texts: Sequence[str], *, condition: str, value: float, batch: int
) -> pd.DataFrame:
    """Scores of the same panoramas rendered or taken anew, with the ``texts`` of the first ones."""
    seen = embed_images(clip, pictures.batches(batch), {0.0: Shift(0.0)}, total=len(pictures.table))[0.0]
    read = embed_texts(clip, texts)
    table = score_table(clip, pictures.name, pictures.table.image, condition, value, clip.view, seen, read)
    return table.assign(turn=0.0)
