"""What a CLIP has learned, by CLIP's own measures: zero-shot classification and retrieval (arXiv 2103.00020)."""

from collections.abc import Sequence

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.models import Clip
from lib.prompts import prompt
from lib.scoring import embed_images, embed_texts
from lib.world.settings import SETTINGS
from lib.world.vocabulary import COLOURS


def zero_shot(images: Tensor, classes: Tensor) -> Tensor:
    """Most similar class [N] of unit image embeddings [N, D].

    ``classes`` are unit text embeddings: [C, P, D] for P prompts of each of C classes, the same for every image, or
    [N, C, P, D] if each image has its own. A class is the normalised mean of its prompts.

    >>> axes = torch.eye(3)
    >>> zero_shot(axes[[2, 0]], axes[:, None])
    tensor([2, 0])
    """
    weights = F.normalize(classes.mean(-2), dim=-1)
    return (weights @ images[..., None]).squeeze(-1).argmax(-1)


def ranks(queries: Tensor, gallery: Tensor) -> Tensor:
    """Rank [N] (1 is best, ties count against) of each query's own entry, the one of the same row, in the gallery.

    >>> ranks(torch.eye(3), torch.eye(3)[[1, 0, 2]])
    tensor([3, 3, 1])
    """
    similarity = queries @ gallery.T
    return (similarity >= similarity.diagonal()[:, None]).sum(1)


def recall(rank: Tensor, k: int) -> float:
    """Share of queries whose own entry is among the first k: R@k."""
    return (rank <= k).double().mean().item()


def examine(clip: Clip, images: Tensor, texts: Sequence[str], labels: pd.DataFrame, *, gallery: int = 256) -> pd.DataFrame:
    """What a model learned of the rendered world: columns task, n, score, chance.

    ``images`` uint8 [N, 3, H, W] are perspective views, ``texts`` [N] their captions with cue, ``labels`` as by
    ``world.pool.label``. Retrieval looks in galleries of ``gallery`` pictures; its chance level is that of guessing.
    """
    seen = embed_images(clip, images.split(256), {"view": lambda batch: batch}, total=len(images))["view"]
    read = embed_texts(clip, texts)
    whole = len(images) // gallery * gallery
    if not whole:
        raise ValueError(f"{len(images)} pictures are fewer than the gallery of {gallery}: hold out more")
    parts = list(zip(seen[:whole].split(gallery), read[:whole].split(gallery), strict=True))
    to_text, to_image = (torch.cat([ranks(*pair[::order]) for pair in parts]) for order in (1, -1))

    places, colours = list(SETTINGS), list(COLOURS)
    place_texts = [prompt("photo", f"a quiet spot {SETTINGS[place].names[0]}") for place in places]
    setting = zero_shot(seen, embed_texts(clip, place_texts)[:, None])
    shows = labels[labels["shape"] != ""]
    thing_texts = [prompt("photo", f"a {colour} {shape}") for shape in shows["shape"] for colour in colours]
    thing_classes = embed_texts(clip, thing_texts).view(len(shows), len(colours), 1, -1)
    colour = zero_shot(seen[torch.tensor(shows.index)], thing_classes)

    rows = [
        ("zero-shot setting, top-1", len(labels), _share(setting, labels.setting.map(places.index)), 1 / len(places)),
        (
            "zero-shot colour of a thing, top-1",
            len(shows),
            _share(colour, shows.colour.map(colours.index)),
            1 / len(colours),
        ),
    ]
    for direction, rank in (("image to text", to_text), ("text to image", to_image)):
        for k in (1, 5):
            rows.append((f"{direction}, R@{k} of {gallery}", whole, recall(rank, k), k / gallery))
    return pd.DataFrame(rows, columns=["task", "n", "score", "chance"])


def _share(predicted: Tensor, actual: pd.Series) -> float:
    return (predicted == torch.tensor(actual.tolist())).double().mean().item()
