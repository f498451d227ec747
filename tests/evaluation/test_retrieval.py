"""Ranks and recall against hand-made cases, brute force and scikit-learn."""

import random

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import coverage_error

from clip360.evaluation.attributes import true_rank
from clip360.evaluation.classification import answers
from clip360.evaluation.retrieval import own_rank, ranks, ranks_of_several, recall, worst_shift_hit

# Few values, so that ties are common.
tied_scores = st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=1, max_size=12)


def unit(*shape: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@given(tied_scores)
def test_own_rank_counts_ties_against(rows):
    """Its mean is scikit-learn's coverage error: how far down the ranking one has to go."""
    scores = torch.tensor(rows, dtype=torch.double)
    own = torch.arange(len(rows)) % 5
    ours = own_rank(scores, own).double().mean().item()
    assert ours == pytest.approx(coverage_error(F.one_hot(own, 5), scores))


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(0, 12))
@settings(max_examples=50)
def test_retrieval_with_several_captions_is_that_of_a_loop(seed, n_images, n_more_texts):
    rng = random.Random(seed)
    owners = list(range(n_images)) + [rng.randrange(n_images) for _ in range(n_more_texts)]
    rng.shuffle(owners)
    image_embeds = torch.tensor([[rng.randint(-2, 2) for _ in range(3)] for _ in range(n_images)], dtype=torch.double)
    text_embeds = torch.tensor([[rng.randint(-2, 2) for _ in range(3)] for _ in owners], dtype=torch.double)
    to_text, to_image = ranks_of_several(image_embeds, text_embeds, torch.tensor(owners))
    for k in range(n_images):
        scores = [float(image_embeds[k] @ text) for text in text_embeds]
        best = max(score for score, owner in zip(scores, owners, strict=True) if owner == k)
        others = sum(score >= best for score, owner in zip(scores, owners, strict=True) if owner != k)
        assert to_text[k] == 1 + others
    for t, owner in enumerate(owners):
        scores = [float(image @ text_embeds[t]) for image in image_embeds]
        assert to_image[t] == sum(score >= scores[owner] for score in scores)


def test_one_caption_each_is_plain_retrieval():
    image_embeds, text_embeds = unit(40, 8, seed=1), unit(40, 8, seed=2)
    to_text, to_image = ranks_of_several(image_embeds, text_embeds, torch.arange(40))
    assert to_text.tolist() == ranks(image_embeds, text_embeds).tolist()
    assert to_image.tolist() == ranks(text_embeds, image_embeds).tolist()


def test_recall_is_the_fraction_within_k():
    assert [recall(torch.tensor([1, 1, 3, 12]), k) for k in (1, 2, 3, 12)] == [0.5, 0.5, 0.75, 1.0]


def test_an_image_without_a_text_is_reported():
    with pytest.raises(ValueError, match="image 1 has no text"):
        ranks_of_several(torch.eye(2), torch.eye(2), torch.tensor([0, 0]))


def test_a_worst_shift_hit_needs_every_shift():
    unshifted, shifted = torch.eye(3), torch.eye(3)[[1, 0, 2]]
    assert worst_shift_hit({0.0: unshifted, 0.5: shifted}, torch.eye(3)).tolist() == [False, False, True]


@pytest.mark.parametrize("where", ["images", "texts"])
def test_embeddings_that_are_nan_are_refused(where):
    """NaN compares false with everything: its rank would be 0 and its R@1 perfect."""
    image_embeds, text_embeds = torch.eye(4), torch.eye(4)
    (image_embeds if where == "images" else text_embeds)[2] = torch.nan
    for rank in (
        lambda: ranks(image_embeds, text_embeds),
        lambda: ranks_of_several(image_embeds, text_embeds, torch.arange(4)),
        lambda: worst_shift_hit({0.0: torch.eye(4), 0.5: image_embeds}, text_embeds),
        lambda: true_rank(image_embeds @ text_embeds.T),
        lambda: answers(image_embeds @ text_embeds.T, torch.arange(4), list("abcd"), scale=1.0),
    ):
        with pytest.raises(ValueError, match="scores of query . are NaN: check the model's weights"):
            rank()
