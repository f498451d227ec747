"""CLIP scores of shifted and mirrored panoramas: each decoded once, its caption embedded once, shifted on the tensor."""

from collections.abc import Iterable, Mapping

import pandas as pd
from torch import Tensor

from lib.embedding import View
from lib.models import Clip
from lib.panorama import circular_shift, mirror
from lib.scoring import score_table

VIEW = "center_crop"  # what open_clip's default transform shows of a panorama: the square in its middle
MIRROR = ("mirror", 0.0)


def shift_view(share: float) -> View:
    """The circular shift by a share of the width: δ = share · W pixels, uint8 [B, 3, H, W] -> the same."""

    def view(panoramas: Tensor) -> Tensor:
        delta = share * panoramas.shape[-1]
        if delta != int(delta):
            raise ValueError(
                f"a shift by {share} of the width is {delta} pixels of panoramas {panoramas.shape[-1]} wide: expected whole"
            )
        return circular_shift(panoramas, int(delta))

    return view


def shift_views(shares: Iterable[float]) -> dict[tuple[str, float], View]:
    """The original (a shift by 0), the mirrored image and every shift, by (condition, value)."""
    return {("shift", share): shift_view(share) for share in (0.0, *shares)} | {MIRROR: mirror}


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
        score_table(clip.name, image_set, table.image, condition, value, VIEW, images, texts)
        for (condition, value), images in embeddings.items()
    ]
    return pd.concat(parts, ignore_index=True)
