"""What a view shows: its fraction of the sphere, and windows shifted in themselves."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.functional import to_pil_image

from clip360.geometry.views import Shift, Window
from clip360.scoring.embedding import embed_images
from clip360.scoring.view_coverage import sphere_fraction
from tests.small_clips import small_clip


@pytest.mark.parametrize("fov", [40.0, 90.0, 120.0])
def test_the_sphere_fraction_of_a_square_image_is_its_solid_angle(fov):
    """Ω = 4 asin(sin²(fov / 2)) of a square pyramid."""
    solid_angle = 4 * math.asin(math.sin(math.radians(fov / 2)) ** 2)
    assert sphere_fraction("multi_view", n_views=1, fov=fov) == pytest.approx(solid_angle / (4 * math.pi), abs=1e-3)


def test_four_faces_of_a_cube_show_two_thirds_of_the_sphere():
    expected = {"multi_view": 2 / 3, "center_crop": 0.5, "squash": 1.0, "wide": 1.0}
    assert {view: sphere_fraction(view, n_views=4, fov=90.0) for view in expected} == pytest.approx(expected, abs=1e-3)


@given(shift=st.integers(0, 7), in_window_shift=st.integers(0, 7))
def test_every_in_window_shift_shows_the_same_columns(shift, in_window_shift):
    panorama = torch.randint(256, (1, 3, 16, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    unshifted, shifted = (Window(shift / 8, inner / 8)(panorama) for inner in (0, in_window_shift))
    assert torch.equal(shifted, unshifted.roll(2 * in_window_shift, dims=-1))
    assert torch.equal(unshifted, panorama.roll(4 * shift, dims=-1)[..., 8:24])


def test_windows_cut_from_one_resize_are_those_of_the_models_own_transform(tmp_path):
    """Up to the border, where the resize of the square alone does not see the pixels beyond it."""
    clip = small_clip(tmp_path / "clip")
    panorama = torch.rand(2, 3, 8, 16, generator=torch.Generator().manual_seed(1))
    panorama = F.interpolate(panorama, (64, 128), mode="bicubic").clamp(0, 1).mul(255).byte()
    views = {0: Shift(0.0), 1: Shift(0.5), 2: Window(0.25, 0.5)}
    inputs = []
    clip.network.encode_image = lambda batch: inputs.append(batch) or batch.flatten(1)
    embed_images(clip, [panorama], views, total=2)
    plain = torch.stack([clip.preprocess(to_pil_image(x)) for x in Window(0.25, 0.0)(panorama)]).roll(16, dims=-1)
    inner = [column for column in range(32) if min((column - 16) % 32, (15 - column) % 32) > 2]
    assert (inputs[2] - plain)[..., inner].abs().max() < 1e-6
