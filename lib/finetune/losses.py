"""The fine-tuning objective of arXiv 2604.24642."""

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
