"""CLIP scores under shifts: shifting on the tensor against image files shifted on disk, and independence of threads."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps

from clip360.data.image_set import load_image_set
from clip360.geometry.views import shift_fractions
from clip360.models.clip import load_clip
from clip360.models.protocol import Protocol
from clip360.scoring.clip_score import clip_score, measurement_rows
from clip360.scoring.embedding import embed_images, embed_texts
from clip360.scoring.shifts import MIRROR, embed_distinct, shift_measurements, shift_views
from tests.small_clips import small_clip

COLUMNS = ["model", "image_set", "image", "measure", "condition", "level", "view", "value"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "small"
    small_clip(folder)
    return folder


@pytest.fixture(scope="module")
def clip(folder):
    return load_clip(folder, device="cpu")


@pytest.fixture
def image_set(tmp_path):
    """Three panoramas of smooth noise, 128 x 64."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    rows = []
    for k in range(3):
        low = Image.fromarray(rng.integers(0, 256, (8, 16, 3), dtype=np.uint8))
        low.resize((128, 64), Image.Resampling.BICUBIC).save(tmp_path / "images" / f"{k}.png")
        rows.append({"image": f"{k}.png", "caption": f"object {k}", "cue": "360 photo"})
    pd.DataFrame(rows).to_csv(tmp_path / "captions.csv", index=False)
    return load_image_set(tmp_path)


def test_scores_equal_those_of_files_shifted_on_disk(clip, image_set, tmp_path):
    """Each panorama is shifted, saved without loss, read back by PIL and passed through open_clip's transform alone.

    Scores agree within 1e-4 points: the images are the same to the last bit, batching changes the last digits.
    """
    image_embeds = embed_images(clip, image_set.batches(2), shift_views(shift_fractions(8)), total=3)
    text_embeds = embed_texts(clip, image_set.texts)
    measurements = shift_measurements(clip, image_set.table, image_embeds, text_embeds, image_set="set")
    assert list(measurements.columns) == COLUMNS
    assert measurements.dtypes[["level", "value"]].tolist() == ["float64", "float64"]
    assert len(measurements) == 3 * (1 + 7 + 1)
    assert set(measurements.measure) == {"clip_score"} and set(measurements["view"]) == {"center_crop"}
    for row in measurements.itertuples():
        original = Image.open(image_set.images / row.image)
        if row.condition == "mirror":
            changed = ImageOps.mirror(original)
        else:
            changed = Image.fromarray(np.roll(np.array(original), round(row.level * 128), axis=1))
        changed.save(tmp_path / "changed.png")
        with torch.no_grad():
            image = clip.network.encode_image(
                clip.preprocess(Image.open(tmp_path / "changed.png"))[None], normalize=True
            )
            text = clip.network.encode_text(
                clip.tokenize([f"This is a 360 photo of object {row.image[0]}"]), normalize=True
            )
        assert row.value == pytest.approx(max(100 * float((image * text).sum()), 0), abs=1e-4)


def test_measurements_have_a_float_level_and_value_and_nan_where_no_level_applies(clip):
    rows = measurement_rows(
        clip, "set", ["a.jpg", "b.jpg"], "zero_shot_hit", "unshifted", math.nan, "panorama", torch.tensor([True, False])
    )
    assert list(rows.columns) == COLUMNS and rows.level.isna().all()
    assert rows.level.dtype == "float64" and rows.value.dtype == "float64" and rows.value.tolist() == [1.0, 0.0]
    jpeg = measurement_rows(clip, "set", ["a.jpg"], "clip_score", "jpeg", 75, "panorama", torch.ones(1))
    assert jpeg.level.dtype == "float64" and jpeg.level.tolist() == [75.0]


def test_shifts_that_show_the_same_perspective_views_are_embedded_once(folder, image_set, monkeypatch):
    clip = load_clip(folder, protocol=Protocol(view="multi_view", n_views=4), device="cpu")
    views = shift_views(shift_fractions(8))
    expected = embed_images(clip, image_set.batches(3), views, total=3)
    forward, n_inputs = clip.network.visual.forward, []

    def counting(inputs):
        n_inputs.append(len(inputs))
        return forward(inputs)

    monkeypatch.setattr(clip.network.visual, "forward", counting)
    actual = embed_distinct(clip, image_set, views, batch_size=3)
    assert sum(n_inputs) == 3 * 4 * 3  # images, perspective views, and of 8 shifts and the mirror the three distinct
    assert actual.keys() == expected.keys() and MIRROR in actual
    assert all(torch.allclose(actual[key], expected[key], atol=1e-3) for key in expected)


def test_another_number_of_threads_changes_scores_by_less_than_a_thousandth_of_a_point(tmp_path):
    """Threads stand for another machine, which sums floats in another order. Scores have two digits before the point."""
    clip = small_clip(tmp_path / "clip", width=256, head_width=64, layers=4)
    images = torch.randint(256, (48, 3, 64, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    views, threads, scores = shift_views(shift_fractions(4)), torch.get_num_threads(), []
    try:
        for n_threads in (1, 2, 4):
            torch.set_num_threads(n_threads)
            image_embeds = embed_images(clip, images.split(16), views, total=len(images))
            text_embeds = embed_texts(clip, [f"a text, number {k}" for k in range(len(images))])
            scores.append(
                torch.stack([clip_score(embeds, text_embeds, clamp_at_zero=False) for embeds in image_embeds.values()])
            )
    finally:
        torch.set_num_threads(threads)
    assert max((other - scores[0]).abs().max().item() for other in scores[1:]) < 1e-3
