"""Shifts inside an image tower: positional embeddings, tokens, and scores of rolled inputs."""

import pytest
import torch
import torch.nn.functional as F

from clip360.evaluation.token_analysis import analyse_tokens, token_changes
from clip360.evaluation.view_modes import control_views, view_measurements
from clip360.models.clip import Clip
from clip360.models.positional_embeddings import with_positional_embedding
from clip360.scoring.views import network_inputs
from tests.grey_panoramas import HEIGHT, grey_image_set, one_object
from tests.small_clips import small_clip


def wide_clip(folder) -> Clip:
    return small_clip(folder, image_size=[32, 64], layers=2)


def test_positions_by_row_make_shifts_by_whole_patches_invisible(tmp_path):
    clip = wide_clip(tmp_path / "clip")
    clip.network.visual.positional_embedding.data.mul_(20)  # so that it matters
    inputs = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(3))
    learned = clip.network.visual.positional_embedding.clone()
    own, rows = (token_changes(with_positional_embedding(clip, kind), inputs) for kind in ("own", "rows"))
    assert own.shape == rows.shape == (3, 2, 4, 8)
    assert own[0].abs().max() < 1e-5 and rows.abs().max() < 1e-5 < 1e-2 < own[1:].mean()
    assert torch.equal(clip.network.visual.positional_embedding, learned)
    encode = with_positional_embedding(clip, "rows").network.encode_image
    with torch.no_grad():
        unshifted, whole_patches, half_patch = (encode(inputs.roll(pixels, -1)) for pixels in (0, 24, 20))
    assert (unshifted - whole_patches).abs().max() < 1e-5 < (half_patch - unshifted).abs().max()


def test_a_circular_positional_embedding_closes_at_the_seam(tmp_path):
    clip = with_positional_embedding(wide_clip(tmp_path / "clip"), "circular")
    grid = clip.network.visual.positional_embedding[1:].view(4, 8, -1)
    steps = (grid.roll(-1, 1) - grid).norm(dim=-1)
    assert steps[:, -1].max() == 0 and steps[:, 3].max() == 0 and steps[:, 0].min() > 0
    with pytest.raises(ValueError, match="positional_embedding is 'polar'"):
        with_positional_embedding(clip, "polar")


def test_rolled_scores_are_those_of_rolled_inputs(tmp_path):
    clip = small_clip(tmp_path / "clip")
    images = grey_image_set(tmp_path / "set", one_object(0), one_object(20), one_object(41))
    rolls, layers, maps = analyse_tokens(clip, images, kinds=("own", "rows"), batch_size=2)
    inputs = network_inputs(clip, torch.tensor(one_object(20)).expand(1, 3, HEIGHT, -1).byte())
    with torch.no_grad():
        image = F.normalize(clip.network.encode_image(inputs.roll(12, dims=-1)), dim=-1)
        text = F.normalize(clip.network.encode_text(clip.tokenize([images.texts[1]])), dim=-1)
    own = rolls[(rolls.measure == "clip_score") & (rolls.positional_embedding == "own")]
    row = own[(own.image == "1.jpg") & (own.level == 12 / 32)].iloc[0]
    assert row.value == pytest.approx(max(100 * (image @ text.T).item(), 0), abs=0.3)  # the file went through JPEG
    assert not row.whole_patches
    assert len(rolls) == 2 * 3 * 2 * 8 and len(layers) == 3 * 2 and len(maps) == 16


def test_shifts_that_are_no_multiple_of_the_windows_are_refused(tmp_path):
    images = grey_image_set(tmp_path / "set", one_object(0))
    controls = control_views(small_shift=0.0625, jpeg_quality=95, resample_scale=0.5)
    with pytest.raises(ValueError, match="n_shifts is 6 and n_windows 4: expected a multiple"):
        view_measurements(
            small_clip(tmp_path / "clip"), images, n_shifts=6, n_windows=4, controls=controls, batch_size=4
        )
