"""Crop or model: what is asked of views, variances, bounds and image towers, on cases whose answer is known."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.functional import to_pil_image

from clip360.data.image_set import Picture, load_image_set, write_image_set
from clip360.evaluation.token_analysis import look_inside, network_inputs, token_changes
from clip360.evaluation.view_modes import harmless_changes, view_scores
from clip360.models.clip import Clip
from clip360.models.positional_embeddings import with_positions
from clip360.scoring.embedding import embed_images
from clip360.scoring.view_coverage import share_of_sphere
from clip360.scoring.views import Shift, Window
from clip360.stats.stability_bounds import FAIR, HELD, bounds, hold_content, verdicts_by_bound
from clip360.stats.token_analysis import ablations, seam_directions
from clip360.stats.variance_decomposition import decomposition, explained_by_things, split, visible_shares
from clip360.stats.view_comparison import best_ways, ways_to_show
from clip360.stats.visual_probe import stability_bound
from clip360.world.object_visibility import thing_columns
from clip360.world.scene import sample_scenes
from pipeline.render_embedded_data import panoramas
from tests.small_clips import small_clip

BOOTSTRAP = {"seed": 0, "draws": 100}
CONTROLS = harmless_changes(small_shift=0.0625, jpeg=95, resampled=0.5)
HEIGHT, GREY = 32, 100


@pytest.mark.parametrize("fov", [40.0, 90.0, 120.0])
def test_the_share_of_the_sphere_in_a_square_picture_is_its_solid_angle(fov):
    """Ω = 4 asin(sin²(fov / 2)) of a square pyramid."""
    solid_angle = 4 * math.asin(math.sin(math.radians(fov / 2)) ** 2)
    assert share_of_sphere("multi_view", count=1, fov=fov) == pytest.approx(solid_angle / (4 * math.pi), abs=1e-3)


def test_four_faces_of_a_cube_show_two_thirds_of_the_sphere():
    shares = {
        view: share_of_sphere(view, count=4, fov=90.0) for view in ("multi_view", "center_crop", "squash", "wide")
    }
    assert shares == pytest.approx({"multi_view": 2 / 3, "center_crop": 0.5, "squash": 1.0, "wide": 1.0}, abs=1e-3)


@given(share=st.integers(0, 7), turn=st.integers(0, 7))
def test_every_turn_of_a_window_shows_the_same_columns(share, turn):
    panorama = torch.randint(256, (1, 3, 16, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    still, turned = (Window(share / 8, t / 8)(panorama) for t in (0, turn))
    assert torch.equal(turned, still.roll(2 * turn, dims=-1))
    assert torch.equal(still, panorama.roll(4 * share, dims=-1)[..., 8:24])


def test_windows_cut_from_one_resize_are_those_of_the_models_own_transform(tmp_path):
    """Up to the border, where the resize of the square alone does not see what lies beyond it."""
    clip = small_clip(tmp_path / "clip")
    panorama = torch.rand(2, 3, 8, 16, generator=torch.Generator().manual_seed(1))
    panorama = F.interpolate(panorama, (64, 128), mode="bicubic").clamp(0, 1).mul(255).byte()
    views = {0: Shift(0.0), 1: Shift(0.5), 2: Window(0.25, 0.5)}
    seen = []
    clip.network.encode_image = lambda inputs: seen.append(inputs) or inputs.flatten(1)
    embed_images(clip, [panorama], views, total=2)
    plain = torch.stack([clip.preprocess(to_pil_image(x)) for x in Window(0.25, 0.0)(panorama)]).roll(16, dims=-1)
    inner = [column for column in range(32) if min((column - 16) % 32, (15 - column) % 32) > 2]
    assert (seen[2] - plain)[..., inner].abs().max() < 1e-6


# Pictures whose answer is known, read by networks that are.


def image_set(folder, *pictures: np.ndarray):
    """Panoramas given as grey columns [W]."""
    images = [torch.tensor(columns, dtype=torch.uint8).expand(3, HEIGHT, -1).contiguous() for columns in pictures]
    write_image_set(folder, [Picture(f"{k}.jpg", image, f"picture {k}", "360 photo") for k, image in enumerate(images)])
    return load_image_set(folder)


def one_object(at: int) -> np.ndarray:
    columns = np.full(2 * HEIGHT, GREY)
    columns[at : at + 8] = 250
    return columns


def reader(folder, weights: torch.Tensor) -> Clip:
    """A model whose score tells the mean of what it sees, columns weighted: e = (mean, 1), against the text (1, 0)."""
    clip = small_clip(folder)
    mean = torch.tensor(clip.network.visual.image_mean)[:, None, None]
    std = torch.tensor(clip.network.visual.image_std)[:, None, None]

    def see(inputs: torch.Tensor) -> torch.Tensor:
        light = ((inputs * std + mean).mean((1, 2)) * weights).mean(-1)
        return torch.stack([light, torch.ones_like(light)], dim=1)

    clip.network.encode_image = see
    clip.network.encode_text = lambda tokens: torch.tensor([[1.0, 0.0]]).expand(len(tokens), -1)
    return clip


EVEN, UNEVEN = torch.ones(32), torch.linspace(0.2, 1.8, 32)


def decomposed(clip: Clip, pictures) -> pd.Series:
    scores = view_scores(clip, pictures, steps=8, turns=8, controls=CONTROLS, batch=4)
    return decomposition(scores, turns=8, **BOOTSTRAP).iloc[0]


def test_a_scene_with_one_object_and_a_network_without_positions_is_all_content(tmp_path):
    pictures = image_set(tmp_path / "set", one_object(0), one_object(20), one_object(41))
    found = decomposed(reader(tmp_path / "even", EVEN), pictures)
    assert found.share > 0.999 and found.own < 0.02 < 1 < found.content


def test_a_network_with_positions_adds_a_part_of_its_own(tmp_path):
    pictures = image_set(tmp_path / "set", one_object(0), one_object(20), one_object(41))
    found = decomposed(reader(tmp_path / "uneven", UNEVEN), pictures)
    assert 0.2 < found.share < 0.9 and found.own > 0.5


def test_in_a_periodic_panorama_all_variance_is_the_models_own(tmp_path):
    """Its two halves are the same, so every window shows the same content, turned."""
    pictures = image_set(tmp_path / "set", *(np.tile(one_object(at)[:32], 2) for at in (0, 9, 20)))
    found = decomposed(reader(tmp_path / "uneven", UNEVEN), pictures)
    assert found.share < 1e-3 and found.own > 0.5 and found.sd > 0.5


def test_an_empty_scene_has_no_variance(tmp_path):
    pictures = image_set(tmp_path / "set", *(np.full(64, level) for level in (40, 90, 200)))
    found = decomposed(reader(tmp_path / "uneven", UNEVEN), pictures)
    assert found.sd < 1e-3 and found.own < 1e-3 and found.content < 1e-3


def test_shown_whole_all_variance_is_the_models_own(tmp_path):
    pictures = image_set(tmp_path / "set", one_object(0), one_object(20), one_object(41))
    clips = [replace(reader(tmp_path / name, UNEVEN), view=name) for name in ("center_crop", "squash")]
    scores = pd.concat([view_scores(c, pictures, steps=8, turns=8, controls=CONTROLS, batch=4) for c in clips])
    scores["model"] = "m"
    found = decomposition(scores, turns=8, **BOOTSTRAP).set_index("view")
    assert found.share["squash"] == 0 and found.own["squash"] == pytest.approx(found.sd["squash"])


@given(st.integers(0, 2**32 - 1))
def test_the_two_parts_add_up_to_the_whole_variance(seed):
    scores = np.random.default_rng(seed).normal(0, 1, (3, 4, 5))
    content, own = split(scores)
    np.testing.assert_allclose(content + own, scores.reshape(3, -1).var(1))


def test_things_explain_what_they_cause_and_nothing_else():
    rng = np.random.default_rng(1)
    columns = []
    for _ in range(60):
        profile = np.zeros((3, 64))
        for thing in profile:
            start = rng.integers(64)
            thing[np.arange(start, start + 5) % 64] = 0.2
        columns.append(profile)
    shifts = [k / 16 for k in range(16)]
    visible = [visible_shares(profile, shifts) for profile in columns]
    assert np.allclose(visible[0].mean(0), 0.5)  # over a whole turn each thing is seen half of the time
    counted = np.stack([seen.sum(1) for seen in visible])
    assert explained_by_things(counted, visible, **BOOTSTRAP)["explained"] == pytest.approx(1, abs=0.02)
    position = np.stack([np.sin(2 * np.pi * (np.array(shifts) + phase)) for phase in rng.random(60)])
    found = explained_by_things(position, visible, **BOOTSTRAP)
    assert found["explained_low"] < 0.1 and abs(found["explained"]) < 0.15


# The bound.


def test_bounds_come_from_their_controls_and_turn_verdicts():
    rng, n = np.random.default_rng(2), 30
    s = rng.normal(50, 5, n)
    small, large = rng.normal(0, 0.1, n), rng.normal(0, 4, n)
    conditions = {("shift", 0.0): s, ("mirror", 0.0): s + large, ("jpeg", 95.0): s + small}
    conditions |= {("shift", share): s + rng.normal(0, 1, n) for share in (0.25, 0.5, 0.75)}
    frame = pd.concat(
        pd.DataFrame({"image": [f"{k}" for k in range(n)], "condition": c, "value": v, "score": x, "turn": 0.0})
        for (c, v), x in conditions.items()
    ).assign(model="m", image_set="set", view="squash")
    table = bounds(frame, ["mirror", "jpeg"], **BOOTSTRAP)
    beta = table.set_index("control").beta
    assert beta["mirror"] == pytest.approx(stability_bound(s, s + large))
    assert beta["jpeg"] == pytest.approx(stability_bound(s, s + small))
    largest = np.maximum(np.abs(small), np.abs(large))
    assert beta[FAIR] == pytest.approx(stability_bound(largest, np.zeros(n)))
    found = verdicts_by_bound(frame, table, shifts=[0.25, 0.5, 0.75], alpha=0.01, **BOOTSTRAP).set_index("control")
    assert found.stable.to_dict() == {"mirror": 3, "jpeg": 0, FAIR: 3}


def test_content_is_held_by_turning_the_window(tmp_path):
    pictures = image_set(tmp_path / "set", one_object(0), one_object(20), one_object(41))
    scores = view_scores(reader(tmp_path / "even", EVEN), pictures, steps=8, turns=8, controls=CONTROLS, batch=4)
    held = hold_content(scores)
    table = held[held.condition == "shift"].pivot(index="image", columns="value", values="score")
    assert set(held["view"]) == {HELD} and list(table) == [k / 8 for k in range(8)]
    assert table.var(axis=1).max() < 1e-3 < scores[scores.condition == "shift"].groupby("image").score.var().max()


def test_views_and_steps_that_cannot_be_compared_are_refused(tmp_path):
    pictures, clip = image_set(tmp_path / "set", one_object(0)), reader(tmp_path / "even", EVEN)
    with pytest.raises(ValueError, match="steps is 6 and turns 4: expected a multiple"):
        view_scores(clip, pictures, steps=6, turns=4, controls=CONTROLS, batch=4)
    scores = view_scores(replace(clip, view="squash"), pictures, steps=4, turns=4, controls=CONTROLS, batch=4)
    with pytest.raises(ValueError, match="views are squash: expected center_crop"):
        decomposition(scores, turns=4, **BOOTSTRAP)


# Inside the network.


def wide_clip(folder) -> Clip:
    return small_clip(folder, image_size=[32, 64], layers=2)


def test_positions_by_row_make_shifts_by_whole_patches_invisible(tmp_path):
    clip = wide_clip(tmp_path / "clip")
    clip.network.visual.positional_embedding.data.mul_(20)  # so that it matters
    inputs = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(3))
    learned = clip.network.visual.positional_embedding.clone()
    own, rows = (token_changes(with_positions(clip, kind), inputs) for kind in ("own", "rows"))
    assert own.shape == rows.shape == (3, 2, 4, 8)
    assert own[0].abs().max() < 1e-5 and rows.abs().max() < 1e-5 < 1e-2 < own[1:].mean()
    assert torch.equal(clip.network.visual.positional_embedding, learned)
    with torch.no_grad():
        embedded = with_positions(clip, "rows").network.encode_image(torch.cat([inputs, inputs.roll(24, -1)]))
        partly = with_positions(clip, "rows").network.encode_image(inputs.roll(20, -1))
    assert (embedded[:2] - embedded[2:]).abs().max() < 1e-5 < (partly - embedded[:2]).abs().max()


def test_circular_positions_close_at_the_seam(tmp_path):
    clip = with_positions(wide_clip(tmp_path / "clip"), "circular")
    grid = clip.network.visual.positional_embedding[1:].view(4, 8, -1)
    steps = (grid.roll(-1, 1) - grid).norm(dim=-1)
    assert steps[:, -1].max() == 0 and steps[:, 3].max() == 0 and steps[:, 0].min() > 0
    with pytest.raises(ValueError, match="positions are 'polar'"):
        with_positions(clip, "polar")


def test_rolled_scores_are_those_of_rolled_inputs(tmp_path):
    clip = small_clip(tmp_path / "clip")
    pictures = image_set(tmp_path / "set", one_object(0), one_object(20), one_object(41))
    rolls, layers, maps = look_inside(clip, pictures, kinds=("own", "rows"), batch=2)
    inputs = network_inputs(clip, torch.stack([torch.tensor(one_object(20)).expand(3, HEIGHT, -1).byte()]))
    with torch.no_grad():
        image = F.normalize(clip.network.encode_image(inputs.roll(12, dims=-1)), dim=-1)
        text = F.normalize(clip.network.encode_text(clip.tokenize([pictures.texts[1]])), dim=-1)
    row = rolls[(rolls.image == "1.jpg") & (rolls.positions == "own") & (rolls.share == 12 / 32)].iloc[0]
    assert row.score == pytest.approx(max(100 * (image @ text.T).item(), 0), abs=0.3)  # the file went through JPEG
    assert not row.whole and len(rolls) == 3 * 2 * 8 and len(layers) == 3 * 2 and len(maps) == 16


def test_ablations_and_seams_find_what_was_put_in():
    rng, n = np.random.default_rng(4), 40
    base = rng.normal(50, 5, n)
    shares = np.arange(16) / 16
    whole, wave = np.arange(16) % 2 == 0, np.cos(2 * np.pi * shares)
    phase = np.where(whole, 0.0, 1.0)
    left = {"own": 2 * wave + phase, "circular": wave + phase, "rows": phase}
    rows = [
        {"image": k, "positions": kind, "share": share, "whole": w, "score": base[k] + x, "rank": 1 + k % 2}
        for kind, extra in left.items()
        for k in range(n)
        for share, w, x in zip(shares, whole, extra, strict=True)
    ]
    rolled = pd.DataFrame(rows).assign(model="m", image_set="set", view="wide")
    found = ablations(rolled, **BOOTSTRAP).set_index("ablation")
    assert found.left["positions by row"] == pytest.approx(0.25 / (2 + 0.25))
    assert found.left["positions by row, whole patches"] == pytest.approx(0, abs=1e-12)
    assert found.recall.tolist() == [0.5] * 5 and found.between["circular positions"] == pytest.approx(1)

    things = pd.DataFrame(
        [
            {"image_set": "set", "image": k, "thing": 0, "column": (c + k) % 32, "share": 0.1}
            for k in range(n)
            for c in range(10)
        ]
    )
    edge = (np.round((1 - shares) * 32).astype(int)) % 32
    own = rolled[rolled.positions == "own"].copy()
    cut = [1 <= (edge[int(share * 16)] - k) % 32 <= 9 for k, share in zip(own.image, own.share, strict=True)]
    own["score"] = base[own.image] - 3.0 * np.array(cut)
    found = seam_directions(own, things, width=32, **BOOTSTRAP).iloc[0]
    assert found["drop"] == pytest.approx(-3) and found.left == pytest.approx(0, abs=1e-12)


# Ways to show, and where things are.


def test_averaging_removes_what_turns_and_keeps_what_stays():
    rng, n = np.random.default_rng(5), 20
    base, shares = rng.normal(50, 5, n), np.arange(8) / 8
    rows = [
        {"image": k, "condition": condition, "value": share, "score": score}
        for k in range(n)
        for share in shares
        for condition, score in (("shift", base[k] + np.cos(2 * np.pi * share)), ("rank", 1 if share < 0.5 else 2))
    ]
    rows += [{"image": k, "condition": "mean_rank", "value": c, "score": 1} for k in range(n) for c in (2.0, 4.0)]
    scores = pd.DataFrame(rows).assign(model="m", image_set="set", view="wide")
    found = ways_to_show(scores, {"wide": 2.0}, **BOOTSTRAP).set_index("averaged")
    assert found.sd.tolist() == pytest.approx([math.sqrt(0.5), 0, 0], abs=1e-9)
    assert found.recall.tolist() == [0.5, 1, 1] and found.passes.tolist() == [2, 4, 8]


def test_things_lie_where_the_scene_says():
    scenes = [scene for _, scene in zip(range(6), sample_scenes(1, "probe"), strict=False)]
    table = thing_columns(scenes, [f"{k}" for k in range(6)], height=64)
    assert table.groupby(["image", "thing"]).share.sum().to_numpy() == pytest.approx(1)
    checked = 0
    for (image, index), rows in table.groupby(["image", "thing"]):
        thing = scenes[int(image)].things[index]
        angle = np.radians((rows.column + 0.5) / 128 * 360 - 180)
        middle = np.degrees(np.angle((rows.share * np.exp(1j * angle)).sum()))
        reach = math.degrees(math.asin(min(1, thing.radius / thing.distance)))
        assert abs((middle - thing.azimuth + 180) % 360 - 180) <= reach + 3
        checked += 1
    assert checked >= 12


def test_panoramas_rendered_again_without_a_turn_are_those_of_the_image_set(tmp_path):
    recipe = {"split": "probe", "where": "outdoor", "seed": 360, "height": 256, "count": 2}
    for yaw, same in ((0.0, True), (1.875, False)):
        write_image_set(tmp_path / "again", panoramas("world_outdoor", cues=["360 photo"], yaw=yaw, **recipe))
        for path in (tmp_path / "again/images").iterdir():
            first = Path("data/world_outdoor/images", path.name)
            assert (path.read_bytes() == first.read_bytes()) == same


def test_the_best_way_is_the_steadiest_that_loses_nothing():
    ways = [
        ("center_crop", 1, 1, 0.9, 0.5),
        ("squash", 1, 1, 0.4, 0.5),
        ("letterbox", 1, 1, 0.1, 0.2),
        ("wide", 2, 4, 0.3, 0.6),
    ]
    table = pd.DataFrame(ways, columns=["view", "averaged", "passes", "noise", "recall"])
    table = table.assign(model="m", image_set="set", recall_high=table.recall + 0.05)
    assert best_ways(table, [1, 2, 4])["view"].tolist() == ["squash", "squash", "wide"]
