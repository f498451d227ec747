"""What a CLIP has learned of the rendered world: settings, colours, and which text belongs to which picture."""

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from clip360.data.prompts import prompt
from clip360.evaluation.classification import zero_shot
from clip360.evaluation.retrieval import ranks, recall
from clip360.models.clip import Clip
from clip360.scoring.embedding import embed_images, embed_texts
from clip360.world.scene_categories import SETTINGS
from clip360.world.vocabulary import COLOURS


def examine(
    clip: Clip, images: Tensor, texts: Sequence[str], labels: pd.DataFrame, *, gallery: int = 256
) -> pd.DataFrame:
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

    places, colours = setting_phrases(), list(COLOURS)
    place_texts = [prompt("photo", phrase) for phrase in places.values()]
    setting = zero_shot(seen, embed_texts(clip, place_texts)[:, None])
    shows = labels[labels["shape"] != ""]
    thing_texts = [prompt("photo", f"a {colour} {shape}") for shape in shows["shape"] for colour in colours]
    thing_classes = embed_texts(clip, thing_texts).view(len(shows), len(colours), 1, -1)
    colour = zero_shot(seen[torch.tensor(shows.index)], thing_classes)

    rows = [
        (
            "zero-shot setting, top-1",
            len(labels),
            _share(setting, labels.setting.map(list(places).index)),
            1 / len(places),
        ),
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


def setting_phrases() -> dict[str, str]:
    """The class of every setting in words, for zero-shot classification."""
    return {place: f"a quiet spot {setting.names[0]}" for place, setting in SETTINGS.items()}


def _share(predicted: Tensor, actual: pd.Series) -> float:
    return (predicted == torch.tensor(actual.tolist())).double().mean().item()
