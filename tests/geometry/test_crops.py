"""Crops of panoramas against a known panorama and a loop."""

import torch

from clip360.geometry.crops import crops
from clip360.geometry.panorama import perspective


def test_a_crop_shows_what_lies_in_its_direction():
    """A bright meridian at yaw -100 is in the middle of the crop that looks there, and in no other."""
    panorama = torch.zeros(1, 3, 64, 128, dtype=torch.uint8)
    panorama[..., round((180 - 100) / 360 * 128)] = 255
    (cut,) = crops([panorama], [[-100.0, 60.0]], pitch=-10.0, fov=60.0, size=33)
    assert cut.shape == (2, 3, 33, 33) and cut[1].max() == 0
    assert abs(int(cut[0].float().mean((0, 1)).argmax()) - 16) <= 1


def test_crops_are_the_views_of_a_loop():
    panoramas = torch.randint(256, (5, 3, 32, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    directions = [[10.0], [-170.0, 30.0], [], [77.0], [0.0, 1.0, 2.0]]
    directions[2] = [180.0]
    ours = torch.cat(list(crops(panoramas.split(2), directions, pitch=5.0, fov=70.0, size=16)))
    loop = [
        (perspective(panorama.float() / 255, yaw=yaw, pitch=5.0, fov=70.0, size=16) * 255).round().byte()
        for panorama, yaws in zip(panoramas, directions, strict=True)
        for yaw in yaws
    ]
    assert torch.equal(ours, torch.stack(loop))
