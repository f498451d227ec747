"""Zero-shot classification, as CLIP was measured (Radford et al., arXiv 2103.00020)."""

from collections.abc import Callable, Sequence

import pandas as pd
import torch.nn.functional as F
from torch import Tensor

from clip360.evaluation.retrieval import own_rank
from clip360.models.clip import Clip
from clip360.scoring.embedding import embed_texts

BINS = 15  # of confidences


def class_scores(images: Tensor, classes: Tensor) -> Tensor:
    """Cosines [N, C] of unit image embeddings [N, D] with the classes.

    ``classes`` are unit text embeddings: [C, P, D] for P prompts of each of C classes, the same for every image, or
    [N, C, P, D] if each image has its own. A class is the normalised mean of its prompts.
    """
    weights = F.normalize(classes.mean(-2), dim=-1)
    return (weights @ images[..., None]).squeeze(-1)


def zero_shot(images: Tensor, classes: Tensor) -> Tensor:
    """Most similar class [N], of images and classes as by ``class_scores``.

    >>> import torch
    >>> axes = torch.eye(3)
    >>> zero_shot(axes[[2, 0]], axes[:, None])
    tensor([2, 0])
    """
    return class_scores(images, classes).argmax(-1)


def embed_classes(clip: Clip, phrases: Sequence[str], templates: Sequence[Callable[[str], str]]) -> Tensor:
    """Unit text embeddings [C, P, D] of C phrases, each in P templates: several make an ensemble of prompts."""
    texts = [template(phrase) for phrase in phrases for template in templates]
    return embed_texts(clip, texts).unflatten(0, (len(phrases), len(templates)))


def answers(scores: Tensor, labels: Tensor, names: Sequence[str], *, scale: float) -> pd.DataFrame:
    """What was answered to each of N questions, by scores [N, C]: columns class (the right one), found, rank, confidence.

    ``labels`` [N] are the right classes among ``names``; the rank of the right class counts ties against it.
    """
    return pd.DataFrame(
        {
            "class": [names[k] for k in labels.tolist()],
            "found": [names[k] for k in scores.argmax(-1).tolist()],
            "rank": own_rank(scores, labels).numpy(),
            "confidence": confidences(scores, scale=scale).double().numpy(),
        }
    )


def per_class(answered: pd.DataFrame) -> pd.DataFrame:
    """Of a table of ``answers``, for each class that occurs: columns class, n, top1, top5, confidence (its mean)."""
    hits = answered.assign(top1=answered["rank"] <= 1, top5=answered["rank"] <= 5)
    means = hits.groupby("class", sort=True).agg(
        n=("top1", "size"), top1=("top1", "mean"), top5=("top5", "mean"), confidence=("confidence", "mean")
    )
    return means.reset_index()


def confidences(scores: Tensor, *, scale: float) -> Tensor:
    """Probability [N] of the class chosen: the largest of softmax(scale · cosine); ``scale`` is the model's own."""
    return (scale * scores).softmax(-1).amax(-1)


def presence(scores: Tensor, present: Tensor) -> Tensor:
    """How well scores [N, C] tell what each picture holds: share [N] of pairs of a class present and one absent (bool [N, C])
    in which the present one scores higher, ties half; the area under the ROC curve. NaN where all or none are present.

    >>> import torch
    >>> presence(torch.tensor([[0.9, 0.2, 0.5]]), torch.tensor([[True, False, True]]))
    tensor([1.])
    """
    above = (scores[:, :, None] > scores[:, None, :]).float() + 0.5 * (scores[:, :, None] == scores[:, None, :])
    pairs = (present[:, :, None] & ~present[:, None, :]).float()
    return (above * pairs).sum((1, 2)) / pairs.sum((1, 2))


def calibration_error(confidence: Tensor, correct: Tensor) -> float:
    """Expected calibration error of confidences [N] and whether each was right [N] (Guo et al., arXiv 1706.04599).

    The gap between confidence and accuracy, over equal bins of confidence, weighted by what falls into each.

    >>> import torch
    >>> calibration_error(torch.tensor([0.9, 0.9, 0.3]), torch.tensor([True, False, False]))
    0.366...
    """
    bins = (confidence * BINS).ceil().clamp(1, BINS).long()
    gap = confidence.double() - correct.double()
    return gap.new_zeros(BINS + 1).index_add_(0, bins, gap).abs().sum().item() / len(gap)
