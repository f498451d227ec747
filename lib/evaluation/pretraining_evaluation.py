"""What a CLIP learned of the rendered world: scene categories, colours, and which text belongs to which image."""

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from clip360.data.prompts import prompt
from clip360.evaluation.classification import zero_shot
from clip360.evaluation.retrieval import ranks
from clip360.models.clip import Clip
from clip360.scoring.embedding import embed_images, embed_texts
from clip360.world.scene_categories import SCENE_CATEGORIES
from clip360.world.vocabulary import COLOURS

COLUMNS = ["task", "image", "hit", "chance"]


def evaluate_pretraining(
    clip: Clip, images: Tensor, texts: Sequence[str], labels: pd.DataFrame, *, gallery_size: int = 256
) -> pd.DataFrame:
    """Zero-shot classification and retrieval by a model on held-out perspective views: columns task, image, hit, chance.

    ``images`` uint8 [N, 3, H, W] are perspective views, ``texts`` [N] their captions with cue, ``labels`` the table that
    ``clip360.world.training_images.label_images`` makes. Images and texts are retrieved from galleries of ``gallery_size``, images
    beyond the last full gallery left out. One row for each task and image, its row in ``images``: ``hit`` is 1 or 0, and ``chance`` the
    probability of a hit by guessing. ValueError where no gallery is full or an embedding
    is NaN.
    """
    image_embeds = embed_images(clip, images.split(256), {"view": lambda batch: batch}, total=len(images))["view"]
    text_embeds = embed_texts(clip, texts)
    n_retrieved = len(images) // gallery_size * gallery_size
    if not n_retrieved:
        raise ValueError(
            f"{len(images)} held-out images are fewer than a gallery of {gallery_size}: raise training_pictures.n_held_out"
        )
    galleries = list(
        zip(image_embeds[:n_retrieved].split(gallery_size), text_embeds[:n_retrieved].split(gallery_size), strict=True)
    )
    to_text = torch.cat([ranks(image_part, text_part) for image_part, text_part in galleries])
    to_image = torch.cat([ranks(text_part, image_part) for image_part, text_part in galleries])

    phrases, colours = scene_category_phrases(), list(COLOURS)
    category_embeds = embed_texts(clip, [prompt("photo", phrase) for phrase in phrases.values()])[:, None]
    categories = zero_shot(image_embeds, category_embeds)
    with_object = labels[labels["shape"] != ""]
    colour_texts = [prompt("photo", f"a {colour} {shape}") for shape in with_object["shape"] for colour in colours]
    colour_embeds = embed_texts(clip, colour_texts).view(len(with_object), len(colours), 1, -1)
    predicted_colours = zero_shot(image_embeds[torch.tensor(with_object.index)], colour_embeds)

    category_hits = categories == torch.tensor(labels.scene_category.map(list(phrases).index).tolist())
    colour_hits = predicted_colours == torch.tensor(with_object.colour.map(colours.index).tolist())
    parts = [
        _hits("zero-shot scene category, top-1", labels.index, category_hits, 1 / len(phrases)),
        _hits("zero-shot colour of an object, top-1", with_object.index, colour_hits, 1 / len(colours)),
    ]
    for direction, rank in (("image to text", to_text), ("text to image", to_image)):
        for k in (1, 5):
            task = f"{direction}, R@{k} of {gallery_size}"
            parts.append(_hits(task, range(n_retrieved), rank <= k, k / gallery_size))
    return pd.concat(parts, ignore_index=True)


def scene_category_phrases() -> dict[str, str]:
    """The words of each scene category for zero-shot classification."""
    return {category: f"a quiet spot {spec.names[0]}" for category, spec in SCENE_CATEGORIES.items()}


def _hits(task: str, images: Sequence[int], hits: Tensor, chance: float) -> pd.DataFrame:
    columns = {"task": task, "image": list(images), "hit": hits.int().numpy(), "chance": chance}
    return pd.DataFrame(columns)[COLUMNS]
