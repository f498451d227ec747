"""Retrieval between pictures and texts, as CLIP was measured (Radford et al., arXiv 2103.00020)."""

from collections.abc import Mapping

import torch
from torch import Tensor

DEPTHS = (1, 5, 10)


def ranks(queries: Tensor, gallery: Tensor) -> Tensor:
    """Rank [N] (1 is best, ties count against) of each query's own entry, the one of the same row, in the gallery.

    >>> import torch
    >>> ranks(torch.eye(3), torch.eye(3)[[1, 0, 2]])
    tensor([3, 3, 1])
    """
    return own_rank(queries @ gallery.T, torch.arange(len(queries)))


def own_rank(scores: Tensor, own: Tensor) -> Tensor:
    """Rank [N] (1 is best, ties count against) of the column ``own`` [N] among scores [N, C].

    >>> own_rank(torch.tensor([[0.5, 0.2, 0.5], [0.1, 0.7, 0.2]]), torch.tensor([0, 1]))
    tensor([2, 1])
    """
    return (scores >= scores.gather(1, own[:, None])).sum(1)


def ranks_of_several(images: Tensor, texts: Tensor, owners: Tensor) -> tuple[Tensor, Tensor]:
    """Retrieval where an image has several texts: ``owners`` [T] is the image, a row, of each text.

    Returns the rank [N] of each image's best own text among all texts but its other own ones, and the rank [T] of each
    text's image among the images; ties count against. ValueError where an image has no text.
    """
    similarity = images @ texts.T
    own = owners[None, :] == torch.arange(len(images))[:, None]
    if not own.any(1).all():
        raise ValueError(f"image {int((~own.any(1)).nonzero()[0])} has no text: expected at least one for each")
    best = similarity.masked_fill(~own, -torch.inf).amax(1, keepdim=True)
    to_text = 1 + ((similarity >= best) & ~own).sum(1)
    return to_text, own_rank(similarity.T, owners)


def recall(rank: Tensor, k: int) -> float:
    """Share of queries whose own entry is among the first k: R@k."""
    return (rank <= k).double().mean().item()


def retrieval(rank: Tensor) -> dict[str, float]:
    """R@1, R@5, R@10 and the median rank of ranks [N]."""
    return {f"R@{k}": recall(rank, k) for k in DEPTHS} | {"median_rank": rank.double().quantile(0.5).item()}


def stays_first(shifted: Mapping[float, Tensor], texts: Tensor) -> Tensor:
    """Is the own text [N, D] the first for an image [N, D] at every one of its shifts? bool [N]."""
    return torch.stack([ranks(images, texts) == 1 for images in shifted.values()]).all(0)
