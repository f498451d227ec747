"""What fine-tuning minimises: the paper's loss (arXiv 2604.24642), and those of the other roads."""

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-3


def charbonnier(a: Tensor, b: Tensor, *, epsilon: float = EPSILON) -> Tensor:
    """charb(a, b) = mean sqrt((a - b)² + ε²): |a - b|, rounded off where they are closer than ε.

    >>> import torch
    >>> charbonnier(torch.tensor([3.0, 0.0]), torch.tensor([0.0, 0.0]))  # (3 + 0.001) / 2
    tensor(1.5005)
    """
    return ((a - b).square() + epsilon**2).sqrt().mean()


def shift_loss(s_shift: Tensor, s: Tensor, s_frozen: Tensor, *, weight: float) -> tuple[Tensor, Tensor, Tensor]:
    """L = λ · charb(s_θ^Δ, s_θ) + (1 - λ) · charb(s_θ^Δ, s), and its two parts, of scores [B].

    The first part asks the tuned model to agree with itself on a panorama and its shift, the second to agree with the
    frozen model's score of the panorama. ``weight`` is λ; at λ = 1 nothing holds the model to what it was.
    """
    consistency, anchor = charbonnier(s_shift, s), charbonnier(s_shift, s_frozen)
    return weight * consistency + (1 - weight) * anchor, consistency, anchor


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 - cos [B] of paired embeddings [B, D].

    >>> import torch
    >>> cosine_distance(torch.tensor([[3.0, 4.0]]), torch.tensor([[2.0, 0.0]]))  # 1 - 3 / 5
    tensor([0.4000])
    """
    return 1 - F.cosine_similarity(a, b, dim=-1)


def contrastive(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """CLIP's symmetric cross-entropy over all pairs of unit embeddings [B, D] (Radford et al., arXiv 2103.00020)."""
    return open_clip.ClipLoss()(images, texts, scale)


def alignment(seen: Tensor, anchors: Tensor, chosen: Tensor) -> Tensor:
    """Mean cosine distance of the ``chosen`` views [B] to their anchors [B, D]; 0 if none is (arXiv 2404.12139, L_VC).

    Without its margin, which is added inside max(0, ...) to what is never negative, and so never clips.
    """
    return (cosine_distance(seen, anchors) * chosen).sum() / chosen.sum().clamp(min=1)


def worst_views(views: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The anchor of each object, and which of its views lie furthest from it (arXiv 2404.12139, maximisation step).

    ``views`` [V, N, D] are unit embeddings of V views of N objects. Returns the normalised means [N, D] and a mask
    [V, N] with ``count`` views of each. The plain mean: weights 1 / similarity would favour isolated views.
    """
    if not 1 <= count <= len(views):
        raise ValueError(f"worst is {count}: expected between 1 and the number of views, {len(views)}")
    anchors = F.normalize(views.mean(0), dim=-1)
    order = (views * anchors).sum(-1).argsort(dim=0)
    return anchors, torch.zeros(views.shape[:2], dtype=torch.bool).scatter_(0, order[:count].cpu(), True)
