"""The canonical yaw: the same image for every shift, the mirror image for the mirror image, by a plain loop."""

import cmath
import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from clip360.geometry.canonical_yaw import at_canonical_yaw
from clip360.geometry.panorama import circular_shift, mirror

PANORAMAS = torch.randint(256, (4, 3, 8, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@given(shift=st.integers(-40, 40))
def test_every_shift_has_one_image_at_its_canonical_yaw(shift):
    canonical = at_canonical_yaw(PANORAMAS)
    assert torch.equal(at_canonical_yaw(circular_shift(PANORAMAS, shift)), canonical)
    assert torch.equal(at_canonical_yaw(canonical), canonical)
    assert torch.equal(at_canonical_yaw(mirror(circular_shift(PANORAMAS, shift))), mirror(canonical))


def test_the_canonical_yaw_puts_the_circular_mean_of_brightness_in_the_middle():
    for panorama, image in zip(PANORAMAS, at_canonical_yaw(PANORAMAS), strict=True):
        assert any(torch.equal(image, circular_shift(panorama, shift)) for shift in range(16))
        light = sum(image[:, :, x].double().sum().item() * cmath.exp(2j * math.pi * (x + 0.5) / 16) for x in range(16))
        column = cmath.phase(light) / (2 * math.pi) * 16 % 16
        assert abs(column - 8) <= 0.5


def test_a_single_light_lies_in_the_middle():
    panorama = torch.zeros(1, 3, 8, 16, dtype=torch.uint8)
    panorama[0, :, 4, 3] = 200
    columns = at_canonical_yaw(panorama).sum((0, 1, 2)).nonzero().flatten().tolist()
    assert columns in ([7], [8])  # the middle lies between the two
