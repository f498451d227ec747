"""Small heads that match frozen image and text embeddings (FG-CLIP, arXiv 2404.03539).

If the embeddings contain attributes that the cosine ignores, a head that is trained on other images recovers them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from tqdm import tqdm

from clip360.models.heads import head

WARM_MARGIN, FINE_MARGIN = 0.2, 0.05
INVERSE_PENALTIES = (0.001, 0.01, 0.1, 1.0)  # of a linear probe: scikit-learn's C


class Cosine(nn.Module):
    """Scores images against captions by the cosine of both embeddings, each after its own head; None is the identity."""

    def __init__(self, image_head: nn.Module | None = None, text_head: nn.Module | None = None):
        super().__init__()
        self.image_head, self.text_head = (part or nn.Identity() for part in (image_head, text_head))

    def forward(self, image_embeds: Tensor, text_embeds: Tensor) -> Tensor:
        """Scores [B, K] of images [B, D] with captions: [B, K, D], each image's own, or [K, D], the same for all."""
        images = F.normalize(self.image_head(image_embeds), dim=-1)
        texts = F.normalize(self.text_head(text_embeds), dim=-1)
        return (texts @ images[..., None]).squeeze(-1) if texts.dim() == 3 else images @ texts.T


class CrossAttention(nn.Module):
    """Scores an image against a caption by multi-head attention over three tokens: a learned one, the image, the caption.

    The score is a linear function of the learned token's output.
    """

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.token = nn.Parameter(0.02 * torch.randn(width))
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm, self.score = nn.LayerNorm(width), nn.Linear(width, 1)

    def forward(self, image_embeds: Tensor, text_embeds: Tensor) -> Tensor:
        """Scores [B, K], shapes as in ``Cosine``. Each embedding is projected once, not once for every pair it is part of."""
        tokens = (self.token, image_embeds[:, None], text_embeds)
        query = self._heads(0, self.token)
        affinities = [(query * self._heads(1, token)).sum(-1) / math.sqrt(query.shape[-1]) for token in tokens]
        weights = torch.stack(torch.broadcast_tensors(*affinities)).softmax(0)  # [3, B, K, heads]
        values = [self._heads(2, token) for token in tokens]
        attended = sum(weight[..., None] * value for weight, value in zip(weights, values, strict=True)).flatten(-2)
        return self.score(self.norm(self.token + self.attention.out_proj(attended)))[..., 0]

    def _heads(self, part: int, tokens: Tensor) -> Tensor:
        """Queries (part 0), keys (1) or values (2) of tokens [..., width]: [..., heads, width / heads]."""
        weight, bias = (x.chunk(3)[part] for x in (self.attention.in_proj_weight, self.attention.in_proj_bias))
        return F.linear(tokens, weight, bias).unflatten(-1, (self.attention.num_heads, -1))


MATCHERS = ("cosine", "linear", "image", "text", "mlp", "attention")


def new_matcher(kind: str, width: int, *, seed: int) -> nn.Module:
    """An untrained matcher of embeddings [..., width], its weights drawn from ``seed``; ValueError for an unknown kind.

    ``cosine`` has no weights; ``linear``, ``image`` and ``text`` have linear heads on both or one of the embeddings and start as
    the cosine; ``mlp`` has heads with one hidden layer; ``attention`` is ``CrossAttention``.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        match kind:
            case "cosine":
                return Cosine()
            case "linear" | "mlp":
                return Cosine(head(kind, width), head(kind, width))
            case "image":
                return Cosine(head("linear", width), None)
            case "text":
                return Cosine(None, head("linear", width))
            case "attention":
                return CrossAttention(width)
    raise ValueError(f"matcher is {kind!r}: expected one of {', '.join(MATCHERS)}")


def triplet_loss(scores: Tensor) -> Tensor:
    """Triplet loss of scores [B, B], images by captions: mean of [0.2 + s_false − s_true]₊ over all false pairs, both directions.

    >>> triplet_loss(torch.tensor([[0.9, 0.8], [0.1, 0.5]]))
    tensor(0.1500)
    """
    true = scores.diagonal()
    false = ~torch.eye(len(scores), dtype=torch.bool)
    to_text = (WARM_MARGIN + scores - true[:, None]).clamp(min=0)[false]
    to_image = (WARM_MARGIN + scores - true[None, :]).clamp(min=0)[false]
    return (to_text.mean() + to_image.mean()) / 2


def fine_loss(scores: Tensor) -> Tensor:
    """Hinge loss of scores [B, 1 + N], the true caption first: Σ over the false ones of [0.05 + s_k − s_0]₊, mean over B.

    >>> fine_loss(torch.tensor([[0.50, 0.48, 0.10, 0.60]]))
    tensor(0.1800)
    """
    return (FINE_MARGIN + scores[:, 1:] - scores[:, :1]).clamp(min=0).sum(1).mean()


def train_matcher(
    matcher: nn.Module,
    pairs: tuple[Tensor, Tensor],
    questions: tuple[Tensor, Tensor] | None,
    *,
    n_validation: int,
    epochs: int,
    batch_size: int,
    lrs: Sequence[float],
    seed: int,
) -> pd.DataFrame:
    """Train a matcher in place in two phases with Adam, and leave it with each phase's weights of lowest validation loss.

    The warm-up learns from ``pairs``, images [N, D] with their captions [N, D], by ``triplet_loss``; the second phase, where
    ``questions`` is not None, from images [Q, D] with captions [Q, 1 + N, D], by ``fine_loss``. The last ``n_validation`` rows
    of both are held out. ``lrs`` are the learning rates of the two phases. Returns the columns phase, epoch, loss, validation; an
    empty table for a matcher without weights. ValueError where a loss is NaN or there are too few rows.
    """
    if not list(matcher.parameters()):
        return pd.DataFrame()
    phases = {"warm-up": (pairs, triplet_loss, lrs[0]), "fine": (questions, fine_loss, lrs[1])}
    histories = []
    for phase, (data, loss_function, lr) in phases.items():
        if data is None:
            continue
        if len(data[0]) <= n_validation:
            raise ValueError(
                f"there are {len(data[0])} images to train matchers on, {n_validation} of them held out by "
                "capabilities.matching.n_validation: lower it or add images"
            )
        history = _train_phase(
            matcher, data, loss_function, n_validation, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed
        )
        histories.append(history.assign(phase=phase))
    return pd.concat(histories, ignore_index=True)


def probe(image_embeds: Tensor, labels: Sequence[str], test_embeds: Tensor, *, n_validation: int) -> list[str]:
    """Predictions [M] of a linear probe for frozen embeddings [M, D]: logistic regression on embeddings [N, D] with labels [N].

    The penalty is the one of INVERSE_PENALTIES with the highest accuracy on the last ``n_validation`` images after training on
    the others; the probe is then trained on all N.
    """
    scale = math.sqrt(image_embeds.shape[1])  # to unit variance, which the penalties assume
    x, y, held_out = image_embeds.numpy() * scale, list(labels), slice(-n_validation, None)
    probes = [LogisticRegression(C=c, max_iter=1000) for c in INVERSE_PENALTIES]
    best = max(probes, key=lambda p: p.fit(x[:-n_validation], y[:-n_validation]).score(x[held_out], y[held_out]))
    return best.fit(x, y).predict(test_embeds.numpy() * scale).tolist()


def _train_phase(
    matcher: nn.Module,
    data: tuple[Tensor, Tensor],
    loss_function: Callable[[Tensor], Tensor],
    n_validation: int,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
) -> pd.DataFrame:
    """One phase; epoch 0 is the matcher before it: columns epoch, loss (mean over batches), validation."""
    images, texts = (part[:-n_validation] for part in data)
    held_out_images, held_out_texts = (part[-n_validation:] for part in data)
    optimiser = torch.optim.Adam(matcher.parameters(), lr=lr)
    history, best_weights = [], {}
    for epoch in tqdm(range(epochs + 1), desc="match"):
        losses = []
        for rows in _batches(len(images), batch_size, seed=seed, epoch=epoch) if epoch else ():
            loss = loss_function(matcher(images[rows], texts[rows]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        with torch.no_grad():
            validation = loss_function(matcher(held_out_images, held_out_texts)).item()
        if math.isnan(validation):
            raise ValueError(f"the loss of a matcher is NaN in epoch {epoch}: lower capabilities.matching.lrs ({lr})")
        if not history or validation < min(row["validation"] for row in history):
            best_weights = {name: weight.clone() for name, weight in matcher.state_dict().items()}
        history.append({"epoch": epoch, "loss": fmean(losses) if losses else math.nan, "validation": validation})
    matcher.load_state_dict(best_weights)
    return pd.DataFrame(history)


def _batches(n: int, batch_size: int, *, seed: int, epoch: int) -> Iterator[Tensor]:
    """Rows in random order, in batches of at least two, since one pair has no false caption."""
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    return (rows for rows in torch.randperm(n, generator=generator).split(batch_size) if len(rows) > 1)
