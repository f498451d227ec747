"""CLIP scores of shifted and mirrored panoramas: each decoded once, its caption embedded once, shifted on the tensor."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace

import pandas as pd
from torch import Tensor

from clip360.data.image_set import ImageSet
from clip360.models.clip import Clip
from clip360.scoring.clip_score import score_table
from clip360.scoring.embedding import embed_images
from clip360.scoring.views import Mirrored, Shift, View, saved_copies

MIRROR = ("mirror", 0.0)


def shift_views(shares: Iterable[float], *, copies: int | None = None) -> dict[tuple[str, float], View]:
    """The original (a shift by 0), the mirrored image and every shift, by (condition, value).

    With ``copies``, shifted and mirrored pictures come back from JPEG files of that quality, as in the released protocol.
    """
    changed = {("shift", share): Shift(share) for share in shares} | {MIRROR: Mirrored()}
    if copies is not None:
        changed = {condition: _saved(view, copies) for condition, view in changed.items()}
    return {("shift", 0.0): Shift(0.0)} | changed


def _saved(view: View, quality: int) -> View:
    return lambda panoramas: saved_copies(view(panoramas), quality)


def embed_distinct(
    clip: Clip, pictures: ImageSet, views: Mapping[Hashable, View], *, batch: int
) -> dict[Hashable, Tensor]:
    """``embed_images`` of a set; under multi_view, what a shift by a whole number of views shows is embedded once."""

    def first(view: View) -> View:
        """The first of the shifts that show the same views, in another order."""
        if clip.view != "multi_view" or not isinstance(view, Shift | Mirrored):
            return view
        return replace(view, share=view.share % (1 / clip.protocol.view_count))

    distinct = {first(view): first(view) for view in views.values()}
    seen = embed_images(clip, pictures.batches(batch), distinct, total=len(pictures.table))
    return {name: seen[first(view)] for name, view in views.items()}


def curve(steps: int) -> list[float]:
    """All shifts by multiples of W / ``steps`` but 0, as shares of the width.

    >>> curve(4)
    [0.25, 0.5, 0.75]
    """
    return [step / steps for step in range(1, steps)]


def shift_scores(
    clip: Clip, table: pd.DataFrame, embeddings: Mapping[tuple[str, float], Tensor], texts: Tensor, *, image_set: str
) -> pd.DataFrame:
    """Scores of every picture under every condition, its caption fixed (arXiv 2604.24642, visual probe).

    ``embeddings`` maps (condition, value) to unit image embeddings [N, D], ``texts`` are those of the captions [N, D],
    both in the order of ``table``.
    """
    parts = [
        score_table(clip, image_set, table.image, condition, value, clip.view, images, texts)
        for (condition, value), images in embeddings.items()
    ]
    return pd.concat(parts, ignore_index=True)
