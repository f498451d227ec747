"""Retrieval between images and texts, as CLIP was measured (Radford et al., arXiv 2103.00020)."""

from collections.abc import Mapping

import torch
from torch import Tensor


def ranks(queries: Tensor, gallery: Tensor) -> Tensor:
    """Rank of each query's own gallery entry, the one in the same row, by dot product: int64 [N], 1 is best, ties count against.

    ``queries`` [N, D] and ``gallery`` [N, D] are unit embeddings. ValueError where a similarity is NaN.

    >>> import torch
    >>> ranks(torch.eye(3), torch.eye(3)[[1, 0, 2]])
    tensor([3, 3, 1])
    """
    return own_rank(queries @ gallery.T, torch.arange(len(queries)))


def own_rank(scores: Tensor, own: Tensor) -> Tensor:
    """Rank of the column ``own`` [N] among scores [N, C]: int64 [N], 1 is best, ties count against.

    ValueError where a score is NaN: NaN compares false with everything, so that a broken model would come first.

    >>> own_rank(torch.tensor([[0.5, 0.2, 0.5], [0.1, 0.7, 0.2]]), torch.tensor([0, 1]))
    tensor([2, 1])
    """
    _refuse_nan(scores)
    return (scores >= scores.gather(1, own[:, None])).sum(1)


def ranks_of_several(image_embeds: Tensor, text_embeds: Tensor, owners: Tensor) -> tuple[Tensor, Tensor]:
    """Retrieval where an image has several texts: ``owners`` int64 [T] is the image, a row, that each text belongs to.

    ``image_embeds`` [N, D] and ``text_embeds`` [T, D] are unit embeddings. Returns two int64 tensors: the rank [N] of each
    image's best own text among all texts but its other own ones, and the rank [T] of each text's image among the images; 1 is
    best, ties count against. ValueError where an image has no text or a similarity is NaN.
    """
    similarity = image_embeds @ text_embeds.T
    own = owners[None, :] == torch.arange(len(image_embeds))[:, None]
    if not own.any(1).all():
        raise ValueError(f"image {int((~own.any(1)).nonzero()[0])} has no text: expected at least one for each image")
    best = similarity.masked_fill(~own, -torch.inf).amax(1, keepdim=True)
    to_text = 1 + ((similarity >= best) & ~own).sum(1)
    return to_text, own_rank(similarity.T, owners)


def recall(rank: Tensor, k: int) -> float:
    """Fraction of the queries whose own entry is among the first k: R@k of ranks [N]."""
    return (rank <= k).double().mean().item()


def worst_shift_hit(shifted: Mapping[float, Tensor], text_embeds: Tensor) -> Tensor:
    """Whether the own text comes first for an image at every one of its shifts: bool [N], hit@1 at the worst shift.

    ``shifted`` maps a shift to unit image embeddings [N, D]; ``text_embeds`` are [N, D].
    """
    return torch.stack([ranks(image_embeds, text_embeds) == 1 for image_embeds in shifted.values()]).all(0)


def _refuse_nan(scores: Tensor) -> None:
    if scores.isnan().any():
        row = int(scores.isnan().any(1).nonzero()[0])
        raise ValueError(
            f"scores of query {row} are NaN: check the model's weights, or set protocol.precision to float32"
        )
