"""The geometry of panoramas against plain loops and numpy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clip360.geometry import panorama


@settings(max_examples=25, deadline=None)
@given(delta=st.integers(-40, 40), other=st.integers(-40, 40))
def test_shifts_add_up_and_follow_the_definition(delta, other):
    image = torch.rand(3, 4, 8, generator=torch.Generator().manual_seed(0))
    shifted = panorama.circular_shift(image, delta)
    assert all(torch.equal(shifted[..., x], image[..., (x - delta) % 8]) for x in range(8))
    assert torch.equal(panorama.circular_shift(shifted, other), panorama.circular_shift(image, delta + other))


def test_mirror_is_its_own_inverse_and_reverses_shifts():
    image = torch.rand(3, 4, 8)
    assert torch.equal(panorama.mirror(panorama.mirror(image)), image)
    mirrored = panorama.mirror(panorama.circular_shift(image, 3))
    assert torch.equal(mirrored, panorama.circular_shift(panorama.mirror(image), -3))


def test_directions_follow_the_stated_axes():
    rays = panorama.equirectangular_directions(64)
    assert torch.allclose(rays.norm(dim=-1), torch.ones(64, 128, dtype=torch.float64))
    assert rays[32, 64, 1] > 0.99  # the middle looks forward
    assert rays[32, 96, 0] > 0.99  # a quarter of the width further, right
    assert rays[0, 0, 2] > 0.99  # the top row, up
    centre = panorama.pinhole_directions(9, 70.0, yaw=90.0, pitch=30.0)[4, 4]
    assert np.allclose(centre, [math.cos(math.radians(30)), 0, math.sin(math.radians(30))])


def test_a_view_of_a_panorama_equals_a_loop_over_its_pixels():
    """Bilinear interpolation on the sphere, pixel by pixel, with the seam and the poles closed by hand."""
    height, width = 16, 32
    image = torch.rand(1, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def at(row: int, column: int) -> float:
        if row < 0 or row >= height:  # over the pole
            row, column = (-1 - row if row < 0 else 2 * height - 1 - row), column + width // 2
        return float(image[0, row, column % width])

    for yaw, pitch, fov in ((0, 0, 90), (170, 20, 75), (-45, 85, 100), (33, -88, 60)):
        view = panorama.perspective(image, yaw=yaw, pitch=pitch, fov=fov, size=7)
        rays = panorama.pinhole_directions(7, fov, yaw=yaw, pitch=pitch)
        for i, j in np.ndindex(7, 7):
            x, y, z = rays[i, j].tolist()
            column = (math.atan2(x, y) / math.pi + 1) * width / 2 - 0.5
            row = (0.5 - math.asin(max(-1, min(1, z))) / math.pi) * height - 0.5
            c, r = math.floor(column), math.floor(row)
            fc, fr = column - c, row - r
            expected = (1 - fr) * ((1 - fc) * at(r, c) + fc * at(r, c + 1)) + fr * (
                (1 - fc) * at(r + 1, c) + fc * at(r + 1, c + 1)
            )
            assert float(view[0, i, j]) == pytest.approx(expected, abs=1e-12)


def test_refuses_other_aspect_ratios_and_angles():
    with pytest.raises(ValueError, match="twice as wide as high"):
        panorama.perspective(torch.zeros(3, 8, 8), size=4)
    with pytest.raises(ValueError, match="fov is 180"):
        panorama.perspective(torch.zeros(3, 8, 16), fov=180, size=4)
