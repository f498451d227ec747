"""Patch embeddings that respect turns, against their definitions in loops and against the symmetry that they promise."""

from dataclasses import replace
from math import comb
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from clip360.models.clip import Clip
from clip360.models.positional_embeddings import with_positional_embedding
from clip360.models.tokenisation import with_tokenisation
from tests.small_clips import small_clip

PATCH, WIDTH = 8, 32
IMAGES = torch.randn(5, 3, 32, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Clip:
    """A model that squashes panoramas, and whose positional embedding matters."""
    made = small_clip(tmp_path_factory.mktemp("models") / "small", layers=2, head_width=16)
    made.network.visual.positional_embedding.data.mul_(20)
    return replace(made, view="squash")


@torch.no_grad()
def tokens(clip: Clip, images: torch.Tensor) -> torch.Tensor:
    return clip.network.visual.conv1(images)


@torch.no_grad()
def embeds(clip: Clip, images: torch.Tensor) -> torch.Tensor:
    return clip.network.encode_image(images, normalize=True)


def test_anti_aliased_tokens_are_the_dense_convolution_blurred_and_sampled(clip):
    """At every pixel of the width the patch that begins there; then a binomial filter of five taps; then every eighth pixel."""
    dense = torch.stack([tokens(clip, IMAGES.roll(-x, dims=-1))[..., 0] for x in range(WIDTH)], dim=-1)
    blurred = sum(comb(4, k) / 16 * dense.roll(2 - k, dims=-1) for k in range(5))
    expected = blurred[..., ::PATCH]
    assert torch.allclose(tokens(with_tokenisation(clip, "anti_aliased"), IMAGES), expected, atol=1e-5)
    assert not torch.allclose(tokens(clip, IMAGES), expected, atol=1e-2)


def test_adaptive_tokens_are_those_of_the_grid_with_most_energy(clip):
    actual = tokens(with_tokenisation(clip, "adaptive"), IMAGES)
    offsets = set()
    for image, found in zip(IMAGES, actual, strict=True):
        grids = [tokens(clip, image[None].roll(-k, dims=-1))[0] for k in range(PATCH)]
        best = max(range(PATCH), key=lambda k: float((grids[k] ** 2).sum()))
        offsets.add(best)
        assert torch.allclose(found, grids[best], atol=1e-5)
    assert len(offsets) > 1


@pytest.mark.parametrize("kind", ["own", "anti_aliased", "adaptive"])
def test_a_shift_by_whole_patches_rotates_the_columns_of_tokens(clip, kind):
    changed = with_tokenisation(clip, kind)
    for columns in range(1, WIDTH // PATCH):
        shifted = tokens(changed, IMAGES.roll(columns * PATCH, dims=-1))
        assert torch.allclose(shifted, tokens(changed, IMAGES).roll(columns, dims=-1), atol=1e-5)


def test_adaptive_tokens_with_positions_of_rows_give_every_shift_by_pixels_one_embedding(clip):
    rows = with_positional_embedding(clip, "rows")
    equivariant = with_tokenisation(rows, "adaptive")
    for pixels in range(1, WIDTH):
        shifted = IMAGES.roll(pixels, dims=-1)
        assert torch.allclose(embeds(equivariant, shifted), embeds(equivariant, IMAGES), atol=1e-5), pixels
        if pixels % PATCH:
            assert not torch.allclose(embeds(rows, shifted), embeds(rows, IMAGES), atol=1e-3)


def test_the_copy_keeps_the_weights_and_the_original_its_tokens(clip):
    before = tokens(clip, IMAGES)
    for kind in ("anti_aliased", "adaptive"):
        changed = with_tokenisation(clip, kind).network.state_dict()
        assert all(torch.equal(changed[name], weight) for name, weight in clip.network.state_dict().items())
    assert torch.equal(tokens(clip, IMAGES), before) and with_tokenisation(clip, "own") is clip


def test_the_choice_of_the_grid_passes_the_gradient_of_its_tokens(clip):
    changed = with_tokenisation(clip, "adaptive")
    conv = changed.network.visual.conv1
    conv(IMAGES).square().sum().backward()
    columns = torch.stack(
        [tokens(clip, IMAGES.roll(-k, dims=-1)).square().sum((1, 2, 3)) for k in range(PATCH)]
    ).argmax(0)
    chosen = torch.stack([x.roll(-int(k), dims=-1) for x, k in zip(IMAGES, columns, strict=True)])
    weight = clip.network.visual.conv1.weight.detach().clone().requires_grad_()
    F.conv2d(chosen, weight, stride=PATCH).square().sum().backward()
    assert torch.allclose(conv.weight.grad, weight.grad, atol=1e-3)


def test_what_a_model_cannot_do_is_one_sentence(clip, tmp_path: Path):
    with pytest.raises(ValueError, match="tokenisation is 'polar': expected one of own, anti_aliased, adaptive"):
        with_tokenisation(clip, "polar")
    with pytest.raises(
        ValueError, match="but the view center_crop shows no whole turn: choose squash, letterbox, wide"
    ):
        with_tokenisation(replace(clip, view="center_crop"), "adaptive")
    resnet = replace(small_clip(tmp_path / "resnet", layers=[1, 1, 1, 1], width=16, head_width=8), view="squash")
    with pytest.raises(
        ValueError, match="resnet has no patch embedding to replace: choose one of open_clip's own ViTs"
    ):
        with_tokenisation(resnet, "adaptive")
