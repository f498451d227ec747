"""Matching heads and linear probes on embeddings whose content is known."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from clip360.evaluation.attributes import true_rank
from clip360.evaluation.matching import MATCHERS, fine_loss, new_matcher, probe, train_matcher, triplet_loss


def unit(*shape: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.mark.parametrize("kind", MATCHERS)
def test_a_matcher_scores_own_captions_as_it_scores_all(kind):
    matcher = new_matcher(kind, 8, seed=0)
    images, texts = unit(5, 8, seed=0), unit(4, 8, seed=1)
    whole, own = matcher(images, texts), matcher(images, texts.expand(5, 4, 8))
    assert whole.shape == (5, 4) and torch.allclose(whole, own, atol=1e-6)
    if kind in ("cosine", "linear", "image", "text"):
        assert torch.allclose(whole, images @ texts.T, atol=1e-6)


def test_cross_attention_is_that_of_torch_over_three_tokens():
    matcher = new_matcher("attention", 8, seed=0)
    images, texts = unit(5, 8, seed=0), unit(4, 8, seed=1)
    for b, image in enumerate(images):
        for k, text in enumerate(texts):
            tokens = torch.stack([matcher.token, image, text])[None]
            mixed = tokens[:, :1] + matcher.attention(tokens[:, :1], tokens, tokens)[0]
            expected = matcher.score(matcher.norm(mixed)).item()
            assert matcher(images, texts)[b, k].item() == pytest.approx(expected, abs=1e-6)


def test_losses_are_those_of_a_loop():
    scores = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    terms = [
        max(0.0, 0.2 + float(false - scores[k, k]))
        for k in range(4)
        for j in range(4)
        if j != k
        for false in (scores[k, j], scores[j, k])
    ]
    assert triplet_loss(scores).item() == pytest.approx(sum(terms) / len(terms), abs=1e-6)
    hinges = [sum(max(0.0, 0.05 + float(row[k] - row[0])) for k in range(1, 4)) for row in scores]
    assert fine_loss(scores).item() == pytest.approx(sum(hinges) / 4, abs=1e-6)


@pytest.mark.parametrize("kind", ["linear", "image", "mlp", "attention"])
def test_a_head_recovers_attributes_that_the_cosine_ignores(kind):
    """The attribute lies on other axes of an image embedding than of its caption's: the cosine ignores it, a head does not."""
    generator = torch.Generator().manual_seed(0)
    torch.randint(4, (600, 4), generator=generator)
    value = torch.stack(
        [torch.randperm(4, generator=generator) for _ in range(600)]
    )  # of each caption; the first is true
    images = F.normalize(
        torch.cat([torch.ones(600, 1), F.one_hot(value[:, 0], 4), torch.zeros(600, 4)], 1).float(), dim=1
    )
    captions = torch.cat([torch.ones(600, 4, 1), torch.zeros(600, 4, 4), F.one_hot(value, 4)], 2).float()
    captions = F.normalize(captions, dim=-1)
    images, captions = (F.pad(part, (0, 7)) for part in (images, captions))  # a width that four heads divide
    matcher = new_matcher(kind, 16, seed=0)
    test = slice(400, None)
    cosine = true_rank(new_matcher("cosine", 16, seed=0)(images[test], captions[test]))
    assert (cosine == 4).all()  # all scores are equal
    history = train_matcher(
        matcher,
        (images[:400], captions[:400, 0]),
        (images[:400], captions[:400]),
        n_validation=100,
        epochs=12,
        batch_size=50,
        lrs=(0.003, 0.003),
        seed=0,
    )
    with torch.no_grad():
        mean_rank = true_rank(matcher(images[test], captions[test])).double().mean().item()
    assert mean_rank < 1.2
    assert set(history.phase) == {"warm-up", "fine"} and len(history) == 2 * 13


def test_training_keeps_the_epoch_of_lowest_validation_loss():
    images, texts = unit(30, 8, seed=0), unit(30, 8, seed=1)
    matcher = new_matcher("linear", 8, seed=0)
    history = train_matcher(
        matcher, (images, texts), None, n_validation=10, epochs=3, batch_size=10, lrs=(0.01, 0.01), seed=0
    )
    with torch.no_grad():
        validation = triplet_loss(matcher(images[-10:], texts[-10:])).item()
    assert validation == pytest.approx(history.validation.min())


def test_too_few_images_and_unknown_matchers_are_reported():
    pairs = unit(30, 8, seed=0), unit(30, 8, seed=1)
    settings = {"epochs": 3, "batch_size": 10, "lrs": (0.01, 0.01), "seed": 0}
    with pytest.raises(ValueError, match="there are 30 images to train matchers on, 30 of them held out"):
        train_matcher(new_matcher("linear", 8, seed=0), pairs, None, n_validation=30, **settings)
    assert train_matcher(new_matcher("cosine", 8, seed=0), pairs, None, n_validation=1, **settings).empty
    with pytest.raises(ValueError, match="matcher is 'round'"):
        new_matcher("round", 8, seed=0)


def test_a_probe_finds_an_attribute_in_the_embeddings_and_guesses_one_that_is_not_there():
    rng = random.Random(0)
    labels, right = ([rng.choice("abcd") for _ in range(n)] for n in (600, 200))
    noise = torch.Generator().manual_seed(0)

    def embeds(values: list[str]) -> torch.Tensor:
        kind = F.one_hot(torch.tensor(["abcd".index(x) for x in values]), 4).float()
        return F.normalize(torch.cat([kind, torch.randn(len(values), 8, generator=noise)], 1), dim=-1)

    predicted = probe(embeds(labels), labels, embeds(right), n_validation=100)
    assert np.mean([a == b for a, b in zip(predicted, right, strict=True)]) > 0.6
    guessed = probe(embeds(labels)[:, 4:], labels, embeds(right)[:, 4:], n_validation=100)
    assert np.mean([a == b for a, b in zip(guessed, right, strict=True)]) < 0.4
