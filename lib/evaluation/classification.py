"""Zero-shot classification, as CLIP was measured (Radford et al., arXiv 2103.00020)."""

from collections.abc import Callable, Sequence

import pandas as pd
import torch.nn.functional as F
from torch import Tensor

from clip360.evaluation.retrieval import own_rank
from clip360.models.clip import Clip
from clip360.scoring.embedding import embed_texts


def class_scores(image_embeds: Tensor, class_embeds: Tensor) -> Tensor:
    """Cosines [N, C] of unit image embeddings [N, D] with the classes.

    ``class_embeds`` are unit text embeddings: [C, P, D] for P prompts of each of C classes, the same for every image, or
    [N, C, P, D] if each image has its own classes. The weights of a class are the normalised mean of its prompts.
    """
    weights = F.normalize(class_embeds.mean(-2), dim=-1)
    return (weights @ image_embeds[..., None]).squeeze(-1)


def zero_shot(image_embeds: Tensor, class_embeds: Tensor) -> Tensor:
    """Most similar class, int64 [N], of image and class embeddings as in ``class_scores``.

    >>> import torch
    >>> axes = torch.eye(3)
    >>> zero_shot(axes[[2, 0]], axes[:, None])
    tensor([2, 0])
    """
    return class_scores(image_embeds, class_embeds).argmax(-1)


def embed_classes(clip: Clip, phrases: Sequence[str], templates: Sequence[Callable[[str], str]]) -> Tensor:
    """Unit text embeddings [C, P, D] of C phrases, each in P templates: several make an ensemble of prompts."""
    texts = [template(phrase) for phrase in phrases for template in templates]
    return embed_texts(clip, texts).unflatten(0, (len(phrases), len(templates)))


def answers(scores: Tensor, labels: Tensor, names: Sequence[str], *, scale: float) -> pd.DataFrame:
    """The model's answer for each of N images, by scores [N, C]: columns class (the right one), predicted, rank, confidence.

    ``labels`` int64 [N] are the right classes among ``names``; ``rank`` is that of the right class, ties count against it;
    ``scale`` as in ``confidences``. ValueError where a score is NaN.
    """
    return pd.DataFrame(
        {
            "class": [names[k] for k in labels.tolist()],
            "predicted": [names[k] for k in scores.argmax(-1).tolist()],
            "rank": own_rank(scores, labels).numpy(),
            "confidence": confidences(scores, scale=scale).double().numpy(),
        }
    )


def confidences(scores: Tensor, *, scale: float) -> Tensor:
    """Probability [N] of the predicted class, the largest of softmax(scale · cosine) of scores [N, C].

    ``scale`` is the inverse temperature that the model learned in training.
    """
    return (scale * scores).softmax(-1).amax(-1)


def presence(scores: Tensor, present: Tensor) -> Tensor:
    """How well scores [N, C] rank the classes that each image contains above the others: area under the ROC curve [N].

    It is the fraction of the pairs of a present and an absent class (``present`` bool [N, C]) in which the present one scores
    higher, ties counted half. NaN where all classes are present or none is.

    >>> import torch
    >>> presence(torch.tensor([[0.9, 0.2, 0.5]]), torch.tensor([[True, False, True]]))
    tensor([1.])
    """
    above = (scores[:, :, None] > scores[:, None, :]).float() + 0.5 * (scores[:, :, None] == scores[:, None, :])
    pairs = (present[:, :, None] & ~present[:, None, :]).float()
    return (above * pairs).sum((1, 2)) / pairs.sum((1, 2))
