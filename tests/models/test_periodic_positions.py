"""A periodic positional embedding, against the discrete Fourier transform."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clip360.finetune.trainable_parts import N_HARMONICS, periodic_positions
from clip360.models.positional_embeddings import make_periodic, make_plain
from tests.small_clips import small_clip

ROWS = COLUMNS = 8


@pytest.fixture
def clip(tmp_path: Path):
    return replace(small_clip(tmp_path / "small", patch_size=4), view="squash")


def grid(tower) -> torch.Tensor:
    """The positional embedding of the patches, [R, C, D]."""
    return tower.positional_embedding.detach()[1:].unflatten(0, (ROWS, COLUMNS))


@pytest.mark.parametrize("n_harmonics", [0, 1, 3])
def test_it_begins_as_the_learned_one_without_its_higher_waves(clip, n_harmonics):
    tower = clip.network.visual
    learned, class_token = grid(tower).clone(), tower.positional_embedding[0].detach().clone()
    waves = torch.fft.rfft(learned.double(), dim=1)
    waves[:, n_harmonics + 1 :] = 0
    make_periodic(tower, n_harmonics)
    assert torch.allclose(grid(tower).double(), torch.fft.irfft(waves, n=COLUMNS, dim=1), atol=1e-6)
    assert torch.equal(tower.positional_embedding[0], class_token)


def test_training_keeps_it_periodic_and_it_becomes_an_ordinary_parameter(clip):
    clip, images = periodic_positions(clip), torch.randn(2, 3, 32, 32)
    trained = [weight for weight in clip.network.parameters() if weight.requires_grad]
    before = grid(clip.network.visual).clone()
    for _ in range(3):
        clip.network.encode_image(images).square().sum().backward()
        for weight in trained:
            weight.data -= 0.1 * weight.grad
    after = grid(clip.network.visual)
    waves = torch.fft.rfft(after, dim=1).abs().amax((0, 2))
    assert not torch.allclose(after, before) and (waves[N_HARMONICS + 1 :] < 1e-5).all() and waves[N_HARMONICS] > 1e-3
    embeds, names = clip.network.encode_image(images), {"visual.positional_embedding"}
    make_plain(clip.network.visual)
    assert names <= clip.network.state_dict().keys() and "parametrizations" not in str(clip.network.state_dict().keys())
    assert torch.equal(clip.network.encode_image(images), embeds)
    make_plain(clip.network.visual)  # an ordinary one stays as it is


def test_too_many_harmonics_are_one_sentence(clip):
    with pytest.raises(
        ValueError, match="a patch grid of 8 columns has no 4 harmonics: expected fewer than half its col"
    ):
        make_periodic(clip.network.visual, 4)
