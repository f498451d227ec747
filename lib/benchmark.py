"""Zero-shot classification and retrieval, as CLIP was measured (Radford et al., arXiv 2103.00020)."""

import torch.nn.functional as F
from torch import Tensor


def zero_shot(images: Tensor, classes: Tensor) -> Tensor:
    """Most similar class [N] of unit image embeddings [N, D].

    ``classes`` are unit text embeddings: [C, P, D] for P prompts of each of C classes, the same for every image, or
    [N, C, P, D] if each image has its own. A class is the normalised mean of its prompts.

    >>> import torch
    >>> axes = torch.eye(3)
    >>> zero_shot(axes[[2, 0]], axes[:, None])
    tensor([2, 0])
    """
    weights = F.normalize(classes.mean(-2), dim=-1)
    return (weights @ images[..., None]).squeeze(-1).argmax(-1)


def ranks(queries: Tensor, gallery: Tensor) -> Tensor:
    """Rank [N] (1 is best, ties count against) of each query's own entry, the one of the same row, in the gallery.

    >>> import torch
    >>> ranks(torch.eye(3), torch.eye(3)[[1, 0, 2]])
    tensor([3, 3, 1])
    """
    similarity = queries @ gallery.T
    return (similarity >= similarity.diagonal()[:, None]).sum(1)


def recall(rank: Tensor, k: int) -> float:
    """Share of queries whose own entry is among the first k: R@k."""
    return (rank <= k).double().mean().item()
