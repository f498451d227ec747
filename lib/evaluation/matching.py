"""Is it the embeddings or the cosine? Small heads that match frozen embeddings (FG-CLIP, arXiv 2404.03539).

If attributes are in the embeddings and cosine matching loses them, a head trained on other pictures finds them again.
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
PENALTIES = (0.001, 0.01, 0.1, 1.0)  # of a linear probe, inverse


class Cosine(nn.Module):
    """Scores of a picture with captions by the cosine of both embeddings, each after its own head; none is the identity."""

    def __init__(self, image_head: nn.Module | None = None, text_head: nn.Module | None = None):
        super().__init__()
        self.image_head, self.text_head = (part or nn.Identity() for part in (image_head, text_head))

    def forward(self, images: Tensor, texts: Tensor) -> Tensor:
        """Scores [B, K] of pictures [B, D] with captions, [B, K, D] of their own or [K, D] for all."""
        seen, read = F.normalize(self.image_head(images), dim=-1), F.normalize(self.text_head(texts), dim=-1)
        return (read @ seen[..., None]).squeeze(-1) if texts.dim() == 3 else seen @ read.T


class CrossAttention(nn.Module):
    """Scores by one multi-head attention over three tokens, a learned one, the picture and the caption; read from the first."""

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.token = nn.Parameter(0.02 * torch.randn(width))
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm, self.read_out = nn.LayerNorm(width), nn.Linear(width, 1)

    def forward(self, images: Tensor, texts: Tensor) -> Tensor:
        """As ``Cosine``: [B, D] with [B, K, D] or [K, D] gives [B, K]."""
        texts = texts.expand(len(images), *texts.shape) if texts.dim() == 2 else texts
        tokens = torch.stack(torch.broadcast_tensors(self.token, images[:, None], texts), dim=-2).flatten(0, 1)
        mixed = tokens[:, :1] + self.attention(tokens[:, :1], tokens, tokens, need_weights=False)[0]
        return self.read_out(self.norm(mixed))[:, 0, 0].unflatten(0, texts.shape[:2])


MATCHERS = ("cosine", "linear", "image", "text", "mlp", "attention")


def new_matcher(kind: str, width: int, *, seed: int) -> nn.Module:
    """An untrained matcher of embeddings of a width; the linear ones begin as the plain ``cosine``, which has no weights."""
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
    """Of scores [B, B], pictures by captions: mean of [0.2 + s_false − s_true]₊ over all false pairs, both directions.

    >>> triplet_loss(torch.tensor([[0.9, 0.8], [0.1, 0.5]]))
    tensor(0.1500)
    """
    true = scores.diagonal()
    false = ~torch.eye(len(scores), dtype=torch.bool)
    to_text = (WARM_MARGIN + scores - true[:, None]).clamp(min=0)[false]
    to_image = (WARM_MARGIN + scores - true[None, :]).clamp(min=0)[false]
    return (to_text.mean() + to_image.mean()) / 2


def fine_loss(scores: Tensor) -> Tensor:
    """Of scores [B, 1 + N], the true caption first: Σ over the false ones of [0.05 + s_k − s_0]₊, mean over the batch.

    >>> fine_loss(torch.tensor([[0.50, 0.48, 0.10, 0.60]]))
    tensor(0.1800)
    """
    return (FINE_MARGIN + scores[:, 1:] - scores[:, :1]).clamp(min=0).sum(1).mean()


def train_matcher(
    matcher: nn.Module,
    pairs: tuple[Tensor, Tensor],
    questions: tuple[Tensor, Tensor] | None,
    *,
    validation: int,
    epochs: int,
    batch: int,
    rates: Sequence[float],
    seed: int,
) -> pd.DataFrame:
    """Train a matcher in place in two stages, keeping of each the weights of the least validation loss (Adam).

    First on ``pairs``, pictures [N, D] with their captions [N, D], by ``triplet_loss``; then, where there are any, on
    ``questions``, pictures [Q, D] with captions [Q, 1 + N, D], by ``fine_loss``. The last ``validation`` rows of both are not
    learned from. ``rates`` are those of the two stages. Returns columns stage, epoch, loss, validation; a matcher without
    weights stays as it is, and the table is empty. ValueError where a loss is no number or there are too few rows.
    """
    if not list(matcher.parameters()):
        return pd.DataFrame()
    stages = {"warm-up": (pairs, triplet_loss, rates[0]), "fine": (questions, fine_loss, rates[1])}
    parts = []
    for stage, (data, loss_of, rate) in pipeline.items():
        if data is not None:
            if len(data[0]) <= validation:
                raise ValueError(
                    f"{len(data[0])} pictures to match are no more than the {validation} to choose by: add some"
                )
            learned = _learn(matcher, data, loss_of, validation, epochs=epochs, batch=batch, rate=rate, seed=seed)
            parts.append(learned.assign(stage=stage))
    return pd.concat(parts, ignore_index=True)


def probe(images: Tensor, labels: Sequence[str], asked: Tensor, *, validation: int) -> list[str]:
    """What a linear classifier of frozen embeddings finds: logistic regression on images [N, D] and labels [N], asked about
    images [M, D]. Its penalty is the one under which it does best on the last ``validation`` images, learned on the others."""
    x, y, held = images.numpy() * math.sqrt(images.shape[1]), list(labels), slice(-validation, None)
    models = [LogisticRegression(C=c, max_iter=1000) for c in PENALTIES]
    best = max(models, key=lambda model: model.fit(x[:-validation], y[:-validation]).score(x[held], y[held]))
    return best.fit(x, y).predict(asked.numpy() * math.sqrt(images.shape[1])).tolist()


def _learn(
    matcher: nn.Module,
    data: tuple[Tensor, Tensor],
    loss_of: Callable[[Tensor], Tensor],
    validation: int,
    *,
    epochs: int,
    batch: int,
    rate: float,
    seed: int,
) -> pd.DataFrame:
    """One stage, epoch 0 being the matcher as it came: columns epoch, loss, validation."""
    images, texts = (part[:-validation] for part in data)
    held_images, held_texts = (part[-validation:] for part in data)
    optimiser = torch.optim.Adam(matcher.parameters(), lr=rate)
    history, kept = [], {}
    for epoch in tqdm(range(epochs + 1), desc="match"):
        losses = []
        for rows in _batches(len(images), batch, seed=seed, epoch=epoch) if epoch else ():
            loss = loss_of(matcher(images[rows], texts[rows]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        with torch.no_grad():
            held = loss_of(matcher(held_images, held_texts)).item()
        if math.isnan(held):
            raise ValueError(f"the loss of a matcher is no number in epoch {epoch}: lower its rate ({rate})")
        if not history or held < min(row["validation"] for row in history):
            kept = {name: weight.clone() for name, weight in matcher.state_dict().items()}
        history.append({"epoch": epoch, "loss": fmean(losses) if losses else math.nan, "validation": held})
    matcher.load_state_dict(kept)
    return pd.DataFrame(history)


def _batches(count: int, size: int, *, seed: int, epoch: int) -> Iterator[Tensor]:
    """Rows in random order, in batches of at least two, since one pair has no false caption."""
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    return (rows for rows in torch.randperm(count, generator=generator).split(size) if len(rows) > 1)
