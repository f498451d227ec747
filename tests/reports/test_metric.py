"""The metric of training loops gives the scores of the command, batch by batch."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from clip360.data.image_set import load_image_set
from clip360.models.clip import load_clip
from clip360.reports.metric import PanoramaScore
from clip360.reports.panorama_scores import score_panoramas
from tests.small_clips import small_clip


@pytest.fixture
def clip(tmp_path):
    small_clip(tmp_path / "small", seed=2)
    return load_clip(tmp_path / "small", device="cpu")


def test_values_are_those_of_a_folder_and_reset_forgets_them(clip, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 64, 3), dtype=np.uint8)
    texts = [f"object {k % 3}" for k in range(5)]
    (tmp_path / "set").mkdir()
    for k in range(5):
        Image.fromarray(pixels[k]).save(tmp_path / "set" / f"{k}.png")
    table = pd.DataFrame({"image": [f"{k}.png" for k in range(5)], "caption": texts})
    table.to_csv(tmp_path / "set" / "captions.csv", index=False)
    names = ["half-crop", "cube-6", "robust-8"]
    expected = pd.concat(score_panoramas(clip, load_image_set(tmp_path / "set"), n_shifts=2, protocols=names))
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    for name in names:
        metric = PanoramaScore(clip, name)
        metric.update(images[:3], texts[:3])
        metric.update(images[3:3], [])
        metric.update(images[3:].contiguous(), texts[3:])
        assert metric.values.numpy() == pytest.approx(expected[name].to_numpy(), abs=1e-4)
        assert metric.compute().item() == pytest.approx(expected[name].mean(), abs=1e-4)
        metric.reset()
        metric.update(images[4:], texts[4:])
        assert metric.compute().item() == pytest.approx(expected[name].iloc[4], abs=1e-4)
    assert not any(parameter.grad is not None for parameter in clip.network.parameters())


def test_what_cannot_be_scored_is_one_sentence(clip):
    metric, images = PanoramaScore(clip), torch.zeros(2, 3, 8, 16, dtype=torch.uint8)
    for arguments, message in (
        ((images / 255, ["a", "b"]), r"images are torch.float32 \[2, 3, 8, 16\]: expected torch.uint8"),
        ((images[0], ["a", "b"]), r"images are torch.uint8 \[3, 8, 16\]"),
        ((images[..., :8], ["a", "b"]), "images are 8 x 8: expected twice as wide as high"),
        ((images, ["a"]), "1 texts for 2 images"),
        ((images, "ab"), "one text for 2 images"),
    ):
        with pytest.raises(ValueError, match=message):
            metric.update(*arguments)
    with pytest.raises(ValueError, match="no panoramas: call update before compute"):
        metric.compute()
    with pytest.raises(ValueError, match="protocol 'fisheye': expected one of half-crop"):
        PanoramaScore(clip, "fisheye")
