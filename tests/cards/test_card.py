"""A card of a small model: its numbers are those of the notebooks' functions, its verdict that of the intervals."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from clip360.cards.card import make_card
from clip360.cards.cost import image_gflop, parameters
from clip360.cards.inputs import received
from clip360.cards.measurements import measure
from clip360.cards.numbers import card_numbers, require_images
from clip360.cards.protocol import VIEWS, CardProtocol
from clip360.cards.verdict import card_verdicts, verdict_text
from clip360.evaluation.token_analysis import analyse_tokens
from clip360.evaluation.view_modes import view_measurements
from clip360.models.clip import WEIGHTS, load_clip
from clip360.models.positional_embeddings import KINDS
from clip360.models.protocol import Protocol
from clip360.stats.inference import Inference
from clip360.stats.stability_ratio import worst_ratios
from clip360.stats.token_analysis import positional_ablations
from clip360.stats.variance_decomposition import decompose
from clip360.stats.view_comparison import compare_views
from tests.small_cards import ramps
from tests.small_clips import small_clip

INFERENCE = Inference(alpha=0.01, n_bootstrap=50, seed=1)
PROTOCOL = CardProtocol(n_shifts=8, n_windows=4)
SCORING = Protocol(clamp_at_zero=False)  # the scores of random weights can be negative


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    small_clip(folder / "small", seed=2)
    return folder


@pytest.fixture(scope="module")
def clips(folder):
    """The model under every view mode, as the stages of the pipeline load it."""
    return {view: load_clip(folder / "small", protocol=replace(SCORING, view=view), device="cpu") for view in VIEWS}


@pytest.fixture(scope="module")
def image_set(folder):
    return ramps(folder / "set")


@pytest.fixture(scope="module")
def measured(clips, image_set):
    return measure(clips["squash"], image_set, PROTOCOL, views=VIEWS, wide=clips["wide"], batch_size=3)


@pytest.fixture(scope="module")
def numbers(measured):
    return card_numbers(measured, PROTOCOL, inference=INFERENCE).set_index(["measure", "view"])


def test_the_measurements_are_those_of_the_notebooks(clips, image_set, measured):
    keys = ["view", "measure", "condition", "level", "in_window_shift", "image"]
    options = {"n_shifts": 8, "n_windows": 4, "controls": {}, "batch_size": 8}
    expected = pd.concat([view_measurements(clips[view], image_set, **options) for view in VIEWS])
    expected = expected[expected.condition != "averaged"].set_index(keys).value.sort_index()
    found = measured.scores[measured.scores.measure != "text_to_image_rank"].set_index(keys).value.sort_index()
    pd.testing.assert_series_equal(found, expected, rtol=0, atol=1e-4)
    # Rolled inputs.
    keys = ["measure", "level", "positional_embedding", "whole_patches", "image"]
    rolls = analyse_tokens(clips["squash"], image_set, kinds=KINDS, batch_size=8).rolls.set_index(keys).value
    found = measured.rolls.set_index(keys).value
    np.testing.assert_allclose(found, rolls.loc[found.index], rtol=0, atol=1e-4)
    assert (measured.rolls.measure == "clip_score").sum() == (rolls.index.get_level_values(0) == "clip_score").sum()


def test_the_numbers_are_those_of_the_notebooks_tables(measured, numbers):
    compared = compare_views(measured.scores, dict.fromkeys(VIEWS, 1), inference=INFERENCE).set_index("view")
    bounds = worst_ratios(measured.scores, shifts=[0.25, 0.5, 0.75], inference=INFERENCE).set_index("view")
    for view in VIEWS:
        for measure_name, table, column in (
            ("instability", compared, "relative_sd"),
            ("image_to_text", compared, "recall"),
            ("worst_of_beta", bounds, "of_beta"),
        ):
            row = numbers.loc[measure_name, view]
            expected = table.loc[view, [column, f"{column}_low", f"{column}_high"]].tolist()
            assert [row.value, row.value_low, row.value_high] == pytest.approx(expected)
    parts = decompose(measured.scores, n_windows=4, inference=INFERENCE).set_index("view")
    assert numbers.loc["content_fraction", "center_crop"].value == parts.content_fraction["center_crop"]
    ablations = positional_ablations(measured.rolls, inference=INFERENCE).set_index("ablation").variance_left
    assert numbers.loc["whole_patches", "squash"].value == ablations["shifts by whole patches"]
    assert numbers.loc["no_columns", "squash"].value == ablations["positions by row"]
    assert numbers.loc["closed_seam", "squash"].value == ablations["circular positions"]
    assert (numbers.undefined == "").all() and (numbers.value_low <= numbers.value_high).all()


def test_contrast_and_retrieval_by_hand(clips, image_set, numbers):
    clip, panoramas = clips["squash"], next(image_set.batches(8))
    pictures = {"panorama": panoramas, "perspective": _control(panoramas)}
    with torch.no_grad():
        embeds = {
            name: F.normalize(clip.network.encode_image(_inputs(clip, x)), dim=-1) for name, x in pictures.items()
        }
        texts = {
            cue: F.normalize(
                clip.network.encode_text(clip.tokenize([f"This is {cue} of {x}" for x in image_set.table.caption])),
                dim=-1,
            )
            for cue in ("a 360 photo", "a photo", "an image", "a picture", "a view")
        }
    scores = {
        name: {cue: 100 * (embed * text).sum(-1).double() for cue, text in texts.items()}
        for name, embed in embeds.items()
    }
    gains = {
        name: by_cue.pop("a 360 photo") - torch.stack(list(by_cue.values())).mean(0) for name, by_cue in scores.items()
    }
    excess = (gains["panorama"] - gains["perspective"]).numpy()
    assert numbers.loc["cue_contrast", "squash"].value == pytest.approx(np.median(excess), abs=1e-4)
    hits = []
    for pixels in range(0, panoramas.shape[-1], panoramas.shape[-1] // 8):
        with torch.no_grad():
            shifted = F.normalize(clip.network.encode_image(_inputs(clip, panoramas.roll(pixels, -1))), dim=-1)
        similarity = texts["a 360 photo"] @ shifted.T
        hits.append((similarity.argmax(1) == torch.arange(8)).double().mean())
    assert numbers.loc["text_to_image", "squash"].value == pytest.approx(np.mean(hits))


def _control(panoramas):
    from clip360.geometry.panorama import perspective

    return (perspective(panoramas.float() / 255, fov=75.0, size=panoramas.shape[-2] // 2) * 255).round().byte()


def _inputs(clip, images):
    from torchvision.transforms.functional import to_pil_image

    return torch.stack([clip.preprocess(to_pil_image(image)) for image in images])


def test_the_cost_is_that_of_the_architecture(folder, clips):
    """One layer of width 32 on 16 patches of 8 x 8 pixels and a class token, with an MLP of four times the width."""
    tokens, width, patch = 17, 32, 3 * 8 * 8
    products = 16 * patch * width + tokens * (3 + 1 + 4 + 4) * width**2 + 2 * tokens**2 * width + width * 32
    assert image_gflop(clips["squash"]) == pytest.approx(2 * products / 1e9)
    assert image_gflop(clips["multi_view"]) == pytest.approx(4 * 2 * products / 1e9)
    weights = load_file(folder / "small" / WEIGHTS)
    trained = sum(x.numel() for name, x in weights.items() if name != "attn_mask")
    assert parameters(clips["squash"])["all"] == trained


def test_a_card_is_json_that_names_everything_that_decides_its_numbers(clips, image_set, measured):
    card = make_card(clips["squash"], image_set, PROTOCOL, measured, inference=INFERENCE, wide=clips["wide"])
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    other = replace(PROTOCOL, control_fov=80.0)
    others = [
        make_card(clips["squash"], image_set, *x, inference=y, wide=clips["wide"])["protocol"]["hash"]
        for x, y in (((other, measured), INFERENCE), ((PROTOCOL, measured), replace(INFERENCE, alpha=0.05)))
    ]
    assert len({card["protocol"]["hash"], *others}) == 3
    assert set(card["views"]) == set(VIEWS) and not card["left_out"]
    row = card["views"]["center_crop"]["numbers"]["content_fraction"]
    assert row["low"] <= row["value"] <= row["high"] and row["n"] == 8
    assert "Not decided at 99 %" in card["verdict"] or len(card["verdicts"]) == 10


def test_the_hash_of_the_image_set_is_that_of_its_content(folder, clips, image_set, measured):
    def content(of):
        return measure(clips["squash"], of, PROTOCOL, views=("center_crop", "squash")).image_set_sha256

    renamed = folder / "renamed"
    ramps(renamed)
    table = image_set.table
    for name in table.image:
        (renamed / "images" / name).rename(renamed / "images" / f"x{name}")
    moved = replace(image_set, name="renamed", images=renamed / "images", table=table.assign(image="x" + table.image))
    assert content(moved) == measured.image_set_sha256
    for column in ("caption", "cue"):
        changed = table.assign(**{column: [*table[column][:-1], "other"]})
        assert content(replace(image_set, table=changed)) != measured.image_set_sha256
    assert content(image_set.head(7)) != measured.image_set_sha256


def test_every_panorama_is_decoded_and_every_text_embedded_once(clips, image_set, monkeypatch):
    decoded, embedded = [], []
    read, encode = type(image_set).read, clips["squash"].network.encode_text
    monkeypatch.setattr(type(image_set), "read", lambda self, name: decoded.append(name) or read(self, name))
    for view in ("squash", "wide"):
        network = clips[view].network
        monkeypatch.setattr(network, "encode_text", lambda tokens: embedded.append(len(tokens)) or encode(tokens))
    measure(clips["squash"], image_set, PROTOCOL, views=VIEWS, wide=clips["wide"], batch_size=3)
    assert sorted(decoded) == sorted(image_set.table.image)
    assert sum(embedded) == 8 * 5


def test_a_cache_gives_the_same_numbers_without_the_network(folder, clips, image_set, measured, monkeypatch):
    options = {"views": ("center_crop", "squash"), "batch_size": 4, "cache": folder / "cache"}
    first = measure(clips["squash"], image_set, PROTOCOL, **options)
    calls, encode = [], clips["squash"].network.encode_image
    monkeypatch.setattr(clips["squash"].network, "encode_image", lambda x: calls.append(x) or encode(x))
    monkeypatch.setattr("clip360.cards.measurements.panoramas_per_second", lambda *_: 1.0)
    monkeypatch.setattr("clip360.cards.measurements.RollEmbedder", _no_rolls)
    again = measure(clips["squash"], image_set, PROTOCOL, **options)
    assert not calls
    pd.testing.assert_frame_equal(again.scores, first.scores)


def _no_rolls(clip):
    raise ValueError("no rolls")


def test_views_without_another_network_are_received_as_loaded(clips):
    picture = torch.arange(3 * 16 * 32, dtype=torch.uint8).view(1, 3, 16, 32)
    for view in ("center_crop", "letterbox"):
        assert torch.equal(_inputs(received(clips["squash"], view), picture), _inputs(clips[view], picture))


def test_verdicts_follow_the_intervals():
    rows = [
        ("cue_contrast", "center_crop", 2.0, 1.0, 3.0),
        ("instability", "center_crop", 0.5, 0.4, 0.6),
        ("worst_of_beta", "squash", 0.9, 0.7, 1.2),
    ]
    table = pd.DataFrame(
        [
            {"measure": m, "view": v, "n": 8, "value": x, "value_low": low, "value_high": high, "undefined": ""}
            for m, v, x, low, high in rows
        ]
    )
    verdicts = card_verdicts(table, inference=INFERENCE)
    assert [verdict["verdict"] for verdict in verdicts] == ["holds", "refuted", "undecided"]
    assert verdict_text(verdicts, table, inference=INFERENCE) == (
        "A format cue raises the score of panoramas more than that of perspective views of the same pictures (2.00 [1.00, 3.00]"
        " points). Under the centre crop the score changes with the direction less than panoramas differ from each other (0.50"
        " [0.40, 0.60] times the differences between panoramas). Not decided at 99 %: whether the worst shift of squashed"
        " panoramas stays below the bound β (0.90 [0.70, 1.20] times β)."
    )
    table.loc[0, ["value", "value_low", "value_high"]] = 0.0
    first = card_verdicts(table, inference=INFERENCE)[0]
    assert first["verdict"] == "equal" and "exactly as much" in first["sentence"]
    assert "exactly as much as that of perspective views (0.00 [0.00, 0.00] points). Under" in verdict_text(
        card_verdicts(table, inference=INFERENCE), table, inference=INFERENCE
    )
    table.loc[0, "value_high"] = 0.5
    assert card_verdicts(table, inference=INFERENCE)[0]["verdict"] == "undecided"
    table.loc[0, ["value", "value_low", "value_high", "undefined"]] = [np.nan, np.nan, np.nan, "nothing varies"]
    assert len(card_verdicts(table, inference=INFERENCE)) == 2


def test_scores_that_are_all_clamped_leave_numbers_undefined(folder, clips, image_set):
    clip = replace(clips["squash"], protocol=Protocol(view="squash"))
    with torch.no_grad():
        text = clip.network.encode_text
        clip.network.encode_text = lambda tokens: (
            -clip.network.encode_image(torch.zeros(1, 3, 32, 32)).expand(len(tokens), -1)
        )
        try:
            measured = measure(clip, image_set, PROTOCOL, views=("center_crop", "squash"))
        finally:
            clip.network.encode_text = text
    numbers = card_numbers(measured, PROTOCOL, inference=INFERENCE)
    names = ["cue_contrast", "instability", "content_fraction", "worst_of_beta", "whole_patches"]
    broken = numbers[numbers.measure.isin(names)].groupby("measure", sort=False)
    assert set(broken.groups) == set(names)
    assert (
        broken.value.apply(lambda x: x.isna().all()).all() and broken.undefined.apply(lambda x: (x != "").all()).all()
    )
    assert "every score is 0: all were clamped" in set(numbers.undefined)


def test_few_panoramas_and_wrong_protocols_are_refused():
    with pytest.raises(ValueError, match="6 panoramas are too few for intervals of 99 %: expected at least 7"):
        require_images(6, INFERENCE)
    with pytest.raises(ValueError, match="--shifts is 6 and --windows 4: expected a multiple"):
        CardProtocol(n_shifts=6, n_windows=4)
