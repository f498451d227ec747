"""CLIP scores of shifted and mirrored panoramas: each image is decoded once, its caption embedded once."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace

import pandas as pd
from torch import Tensor

from clip360.data.image_set import ImageSet
from clip360.geometry.views import Mirrored, Shift, View
from clip360.models.clip import Clip
from clip360.scoring.clip_score import score_rows
from clip360.scoring.embedding import embed_images
from clip360.scoring.views import reencode_jpeg

MIRROR = ("mirror", 0.0)


def shift_views(fractions: Iterable[float], *, jpeg_quality: int | None = None) -> dict[tuple[str, float], View]:
    """Views by (condition, level): the unshifted image ("shift", 0.0), every shift, and the mirror image ``MIRROR``.

    With ``jpeg_quality``, shifted and mirrored images are encoded as JPEG of that quality and decoded again, as in the
    released protocol, which scores files on disk.
    """
    changed = {("shift", fraction): Shift(fraction) for fraction in fractions} | {MIRROR: Mirrored()}
    if jpeg_quality is not None:
        changed = {key: _reencoded(view, jpeg_quality) for key, view in changed.items()}
    return {("shift", 0.0): Shift(0.0)} | changed


def _reencoded(view: View, quality: int) -> View:
    return lambda panoramas: reencode_jpeg(view(panoramas), quality)


def embed_distinct(
    clip: Clip, image_set: ImageSet, views: Mapping[Hashable, View], *, batch_size: int
) -> dict[Hashable, Tensor]:
    """Unit embeddings [N, D] of an image set for each view, as ``embed_images`` gives them, without repeated work.

    Under ``multi_view``, shifts that differ by a whole number of perspective views show the same views in another order:
    only the first of them is embedded.
    """

    def representative(view: View) -> View:
        if clip.view != "multi_view" or not isinstance(view, Shift | Mirrored):
            return view
        return replace(view, fraction=view.fraction % (1 / clip.protocol.n_views))

    distinct = {representative(view): representative(view) for view in views.values()}
    image_embeds = embed_images(clip, image_set.batches(batch_size), distinct, total=len(image_set.table))
    return {key: image_embeds[representative(view)] for key, view in views.items()}


def shift_measurements(
    clip: Clip,
    table: pd.DataFrame,
    image_embeds: Mapping[tuple[str, float], Tensor],
    text_embeds: Tensor,
    *,
    image_set: str,
) -> pd.DataFrame:
    """CLIP scores of every image under every condition, its caption fixed (arXiv 2604.24642, visual probe).

    ``image_embeds`` maps (condition, level) to unit embeddings [N, D], ``text_embeds`` [N, D] are those of the captions,
    both in the order of ``table``. Measurements whose view is the model's view mode.
    """
    parts = [
        score_rows(clip, image_set, table.image, condition, level, clip.view, embeds, text_embeds)
        for (condition, level), embeds in image_embeds.items()
    ]
    return pd.concat(parts, ignore_index=True)
