"""Losses of fine-tuning: the paper's (arXiv 2604.24642) and those of the other adaptation methods."""

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-3


def charbonnier(a: Tensor, b: Tensor, *, epsilon: float = EPSILON) -> Tensor:
    """charb(a, b) = mean sqrt((a - b)² + ε²): |a - b|, smooth where the two are closer than ε.

    >>> import torch
    >>> charbonnier(torch.tensor([3.0, 0.0]), torch.tensor([0.0, 0.0]))  # (3 + 0.001) / 2
    tensor(1.5005)
    """
    return ((a - b).square() + epsilon**2).sqrt().mean()


def shift_loss(s_shift: Tensor, s: Tensor, s_frozen: Tensor, *, lam: float) -> tuple[Tensor, Tensor, Tensor]:
    """L = λ · charb(s_θ^Δ, s_θ) + (1 - λ) · charb(s_θ^Δ, s), its consistency term and its anchor term, of scores [B].

    The consistency term asks the fine-tuned model to score a panorama and its shift alike. The anchor term asks it to
    keep the frozen model's score of the panorama. ``lam`` is λ; at λ = 1 nothing ties the model to the frozen one.
    """
    consistency, anchor = charbonnier(s_shift, s), charbonnier(s_shift, s_frozen)
    return lam * consistency + (1 - lam) * anchor, consistency, anchor


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 - cos [B] of paired embeddings [B, D].

    >>> import torch
    >>> cosine_distance(torch.tensor([[3.0, 4.0]]), torch.tensor([[2.0, 0.0]]))  # 1 - 3 / 5
    tensor([0.4000])
    """
    return 1 - F.cosine_similarity(a, b, dim=-1)


def contrastive(image_embeds: Tensor, text_embeds: Tensor, logit_scale: Tensor) -> Tensor:
    """CLIP's symmetric cross-entropy over all pairs of unit embeddings [B, D] (Radford et al., arXiv 2103.00020)."""
    return open_clip.ClipLoss()(image_embeds, text_embeds, logit_scale)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values [B] where the boolean ``mask`` [B] is true; 0 where it is true nowhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def alignment(image_embeds: Tensor, anchors: Tensor, is_worst: Tensor) -> Tensor:
    """L_VC of arXiv 2404.12139: mean cosine distance of those views that ``is_worst`` [B] marks to their anchors [B, D].

    0 where no view is marked. The margin of the paper is left out: it is added inside max(0, ...) to a distance that is
    never negative, so it never clips.
    """
    return masked_mean(cosine_distance(image_embeds, anchors), is_worst)


def worst_views(view_embeds: Tensor, n_worst: int) -> tuple[Tensor, Tensor]:
    """The anchor of each object, and which of its views lie furthest from it (arXiv 2404.12139, maximisation step).

    ``view_embeds`` [V, N, D] are unit embeddings of V views of N objects. Returns the normalised means [N, D] and a
    boolean mask [V, N] that marks ``n_worst`` views of each object. The mean is unweighted: weights of 1 / similarity
    would favour isolated views. Raises ValueError unless 1 <= n_worst <= V.
    """
    if not 1 <= n_worst <= len(view_embeds):
        raise ValueError(f"n_worst is {n_worst}: expected between 1 and the number of views, {len(view_embeds)}")
    anchors = F.normalize(view_embeds.mean(0), dim=-1)
    order = (view_embeds * anchors).sum(-1).argsort(dim=0)
    return anchors, torch.zeros(view_embeds.shape[:2], dtype=torch.bool).scatter_(0, order[:n_worst].cpu(), True)
