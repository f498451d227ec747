"""The variance over shifts on scenes and networks whose answer is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clip360.evaluation.view_modes import control_views, view_measurements
from clip360.models.clip import Clip
from clip360.stats.inference import Inference
from clip360.stats.stability_bounds import CONTENT_MATCHED, content_matched
from clip360.stats.variance_decomposition import (
    column_profile,
    decompose,
    explained_by_objects,
    in_window_control,
    split,
    visible_fractions,
)
from tests.grey_panoramas import grey_image_set, one_object
from tests.small_clips import small_clip

RESAMPLING = {"inference": Inference(alpha=0.01, n_bootstrap=100, seed=0)}
CONTROLS = control_views(small_shift=0.0625, jpeg_quality=95, resample_scale=0.5)
EVEN, UNEVEN = torch.ones(32), torch.linspace(0.2, 1.8, 32)  # weights of a network's columns


def mean_brightness_clip(folder, weights: torch.Tensor) -> Clip:
    """A model whose score depends on the mean of its input, columns weighted: e = (mean, 1), against the text (1, 0)."""
    clip = small_clip(folder)
    mean = torch.tensor(clip.network.visual.image_mean)[:, None, None]
    std = torch.tensor(clip.network.visual.image_std)[:, None, None]

    def encode_image(inputs: torch.Tensor) -> torch.Tensor:
        brightness = ((inputs * std + mean).mean((1, 2)) * weights).mean(-1)
        return torch.stack([brightness, torch.ones_like(brightness)], dim=1)

    clip.network.encode_image = encode_image
    clip.network.encode_text = lambda tokens: torch.tensor([[1.0, 0.0]]).expand(len(tokens), -1)
    return clip


def measure(clip: Clip, images) -> pd.DataFrame:
    return view_measurements(clip, images, n_shifts=8, n_windows=8, controls=CONTROLS, batch_size=4)


def decomposed(clip: Clip, images) -> pd.Series:
    return decompose(measure(clip, images), n_windows=8, **RESAMPLING).iloc[0]


def three_scenes(folder):
    return grey_image_set(folder, one_object(0), one_object(20), one_object(41))


def test_a_scene_with_one_object_and_a_network_without_positions_is_all_content(tmp_path):
    row = decomposed(mean_brightness_clip(tmp_path / "even", EVEN), three_scenes(tmp_path / "set"))
    assert row.content_fraction > 0.999 and row.position_sd < 0.02 < 1 < row.content_sd


def test_a_network_with_positions_adds_a_position_part(tmp_path):
    row = decomposed(mean_brightness_clip(tmp_path / "uneven", UNEVEN), three_scenes(tmp_path / "set"))
    assert 0.2 < row.content_fraction < 0.9 and row.position_sd > 0.5


def test_in_a_periodic_panorama_all_variance_is_position(tmp_path):
    """Its two halves are the same, so every window shows the same content, shifted in itself."""
    images = grey_image_set(tmp_path / "set", *(np.tile(one_object(at)[:32], 2) for at in (0, 9, 20)))
    row = decomposed(mean_brightness_clip(tmp_path / "uneven", UNEVEN), images)
    assert row.content_fraction < 1e-3 and row.position_sd > 0.5 and row.sd > 0.5


def test_an_empty_scene_has_no_variance(tmp_path):
    images = grey_image_set(tmp_path / "set", *(np.full(64, level) for level in (40, 90, 200)))
    row = decomposed(mean_brightness_clip(tmp_path / "uneven", UNEVEN), images)
    assert row.sd < 1e-3 and row.position_sd < 1e-3 and row.content_sd < 1e-3


def test_squashed_all_variance_is_position(tmp_path):
    images = three_scenes(tmp_path / "set")
    views = ("center_crop", "squash")
    clips = [replace(mean_brightness_clip(tmp_path / name, UNEVEN), view=name) for name in views]
    table = pd.concat([measure(clip, images) for clip in clips]).assign(model="m")
    parts = decompose(table, n_windows=8, **RESAMPLING).set_index("view")
    assert parts.content_fraction["squash"] == 0
    assert parts.position_sd["squash"] == pytest.approx(parts.sd["squash"])
    with pytest.raises(ValueError, match="views are squash: expected center_crop"):
        decompose(table[table["view"] == "squash"], n_windows=8, **RESAMPLING)


@given(st.integers(0, 2**32 - 1))
def test_the_two_parts_and_the_interactions_share_of_the_means_add_up_to_the_whole_variance(seed):
    scores = np.random.default_rng(seed).normal(0, 1, (3, 4, 5))
    content, position = split(scores)
    by_loops = np.zeros(3)
    for i, c, p in np.ndindex(scores.shape):
        by_loops[i] += (scores[i, c, p] - scores[i, c].mean() - scores[i, :, p].mean() + scores[i].mean()) ** 2
    mean_square = by_loops / (3 * 4)
    np.testing.assert_allclose(content + position + 3 / 4 * mean_square / 5, scores.reshape(3, -1).var(1))


def test_the_content_is_the_mean_covariance_between_two_positions():
    scores = np.random.default_rng(0).normal(0, 1, (1, 8, 8))
    covariance = np.cov(scores[0].T, ddof=0)  # over contents, between positions
    assert split(scores)[0] == pytest.approx(covariance[~np.eye(8, dtype=bool)].mean())


@pytest.mark.parametrize(
    ("content", "position", "interaction"),
    [(0, 0, 1), (0, 1, 1), (1, 0, 1), (0.5, 0.2, 0.3), (0.8, 0.1, 0.1), (1, 0, 0), (0, 1, 0)],
)
def test_the_fraction_of_the_content_is_unbiased(content, position, interaction):
    """Simulated layouts of 8 contents and 8 positions whose variances are known, 48 images in each of 200 samples."""
    rng = np.random.default_rng(0)
    estimates, uncorrected = [], []
    for _ in range(200):
        effects = (
            variance**0.5 * rng.normal(size=shape)
            for variance, shape in ((content, (48, 8, 1)), (position, (48, 1, 8)), (interaction, (48, 8, 8)))
        )
        scores = sum(effects)
        a, b = (part.sum() for part in split(scores))
        estimates.append(a / (a + b))
        uncorrected.append(scores.mean(2).var(1).sum() / scores.var((1, 2)).sum())
    whole = content + position + interaction
    assert np.mean(estimates) == pytest.approx(content / whole, abs=0.005)
    biased = (content + interaction / 8) / (whole + interaction / 8)  # 1 / 9 for the interaction alone
    assert np.mean(uncorrected) == pytest.approx(biased, abs=0.005)


def test_a_negative_sum_of_contents_becomes_zero():
    scores = np.zeros((4, 8, 8)) + np.resize([1.0, -1.0], 8)[:, None] * np.resize([1.0, -1.0], 8)
    content, position = split(scores)
    assert (content < 0).all() and (position > 0).all()
    shifts = [
        {"condition": "window", "level": c / 8, "in_window_shift": p / 8, "image": f"{i}", "value": scores[i, c, p]}
        for i, c, p in np.ndindex(scores.shape)
        if p
    ]
    shifts += [
        {"condition": "shift", "level": c / 8, "image": f"{i}", "value": scores[i, c, 0]} for i, c in np.ndindex(4, 8)
    ]
    table = pd.DataFrame(shifts).fillna({"in_window_shift": 0.0})
    table = table.assign(model="m", image_set="s", measure="clip_score", view="center_crop")
    row = decompose(table, n_windows=8, **RESAMPLING).iloc[0]
    assert row.content_sd == 0 and row.content_fraction == 0 and row.content_fraction_low == 0
    assert row.position_sd == pytest.approx(1)


def test_the_window_shifted_in_itself_keeps_its_content(tmp_path):
    table = measure(mean_brightness_clip(tmp_path / "even", EVEN), three_scenes(tmp_path / "set"))
    matched = content_matched(table)
    pivot = matched[matched.condition == "shift"].pivot(index="image", columns="level", values="value")
    assert set(matched["view"]) == {CONTENT_MATCHED} and list(pivot) == [k / 8 for k in range(8)]
    shifted = table[(table.measure == "clip_score") & (table.condition == "shift")]
    assert pivot.var(axis=1).max() < 1e-3 < shifted.groupby("image").value.var().max()


def test_an_edge_that_costs_three_points_is_found(tmp_path):
    """Windows shifted in themselves, all of which have the edge, lose 3 points; nothing else varies."""
    table = measure(mean_brightness_clip(tmp_path / "even", EVEN), three_scenes(tmp_path / "set"))
    with_edge = (table.condition == "window") & (table.in_window_shift > 0)
    row = in_window_control(table.assign(value=50.0 - 3 * with_edge), n_windows=8, **RESAMPLING).iloc[0]
    assert row.change == pytest.approx(-3) and row.ratio == 0


def test_objects_explain_what_they_cause_and_nothing_else():
    rng = np.random.default_rng(1)
    rows = [
        {"image": image, "object": index, "column": column % 64, "fraction": 0.2}
        for image in range(60)
        for index in range(3)
        for start in [rng.integers(64)]
        for column in range(start, start + 5)
    ]
    profiles = [column_profile(part, width=64) for _, part in pd.DataFrame(rows).groupby("image")]
    shifts = [k / 16 for k in range(16)]
    visible = [visible_fractions(profile, shifts) for profile in profiles]
    assert np.allclose(visible[0].mean(0), 0.5)  # over all shifts the crop shows each object half of the time
    n_visible = np.stack([fractions.sum(1) for fractions in visible])
    assert explained_by_objects(n_visible, visible, **RESAMPLING)["explained"] == pytest.approx(1, abs=0.02)
    position = np.stack([np.sin(2 * np.pi * (np.array(shifts) + phase)) for phase in rng.random(60)])
    explained = explained_by_objects(position, visible, **RESAMPLING)
    assert explained["explained_low"] < 0.1 and abs(explained["explained"]) < 0.15
