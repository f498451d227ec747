"""The evaluation of a trained CLIP: a perfect model scores 1, one with exchanged texts 0."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from clip360.data.prompts import prompt
from clip360.evaluation.pretraining_evaluation import evaluate_pretraining, scene_category_phrases
from clip360.world.vocabulary import COLOURS
from tests.small_clips import small_clip

N, GALLERY_SIZE = 32, 16
TEXTS = [f"text {k}" for k in range(N)]
CATEGORIES = [list(scene_category_phrases())[k % 5] for k in range(N)]
COLOUR_NAMES = [list(COLOURS)[k % 7] for k in range(N)]
LABELS = pd.DataFrame(
    {
        "scene_category": CATEGORIES,
        "shape": ["cube" if k % 2 else "" for k in range(N)],
        "colour": [colour if k % 2 else "" for k, colour in enumerate(COLOUR_NAMES)],
    }
)
IMAGES = (8 * torch.arange(N, dtype=torch.uint8))[:, None, None, None].expand(N, 3, 32, 32).contiguous()


def known_clip(folder, *, text_of_image: list[int], category_offset: int = 0):
    """A model whose embeddings name image, scene category and colour on axes of their own; image k is as bright as 8 k."""
    clip = small_clip(folder)
    phrases, colours = scene_category_phrases(), list(COLOURS)
    axes = torch.eye(N + len(phrases) + len(colours))
    of_image, of_category, of_colour = axes.split([N, len(phrases), len(colours)])
    categories = torch.tensor([list(phrases).index(name) for name in CATEGORIES])
    embeds = of_image + of_category[categories] + of_colour[torch.tensor([colours.index(c) for c in COLOUR_NAMES])]
    embeds = F.normalize(embeds, dim=-1)
    mean = torch.tensor(clip.network.visual.image_mean)[:, None, None]
    std = torch.tensor(clip.network.visual.image_std)[:, None, None]
    clip.network.encode_image = lambda x: embeds[((x * std + mean).mean((1, 2, 3)) * 255 / 8).round().long()]
    cache = {text: embeds[text_of_image[k]] for k, text in enumerate(TEXTS)}
    for k, phrase in enumerate(phrases.values()):
        cache[prompt("photo", phrase)] = of_category[(k + category_offset) % len(phrases)]
    cache |= {prompt("photo", f"a {colour} cube"): of_colour[k] for k, colour in enumerate(colours)}
    return replace(clip, text_cache=cache)


def scores(clip) -> dict[str, float]:
    table = evaluate_pretraining(clip, IMAGES, TEXTS, LABELS, gallery_size=GALLERY_SIZE)
    assert table.columns.tolist() == ["task", "image", "hit", "chance"]
    by_task = table.groupby("task", sort=False)
    assert by_task.size().tolist() == [N, N // 2, N, N, N, N]
    assert by_task.image.agg(list).iloc[1] == list(range(1, N, 2))  # the images with an object
    assert by_task.chance.first()["image to text, R@5 of 16"] == 5 / 16
    return by_task.hit.mean().to_dict()


def test_a_perfect_model_scores_one(tmp_path):
    assert set(scores(known_clip(tmp_path, text_of_image=list(range(N)))).values()) == {1.0}


def test_exchanged_texts_are_never_retrieved_and_exchanged_classes_never_found(tmp_path):
    """The text of each image belongs to its neighbour: another text always comes first."""
    neighbour = [k + 1 if k % 2 == 0 else k - 1 for k in range(N)]
    values = scores(known_clip(tmp_path, text_of_image=neighbour, category_offset=1))
    assert values["image to text, R@1 of 16"] == values["text to image, R@1 of 16"] == 0
    assert values["zero-shot scene category, top-1"] == 0
    assert values["zero-shot colour of an object, top-1"] == 1


def test_too_few_images_for_a_gallery_are_reported(tmp_path):
    clip = known_clip(tmp_path, text_of_image=list(range(N)))
    with pytest.raises(ValueError, match="32 held-out images are fewer than a gallery of 64"):
        evaluate_pretraining(clip, IMAGES, TEXTS, LABELS, gallery_size=64)
