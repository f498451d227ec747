"""The commands `clip360 card` and `clip360 leaderboard`: what they write, and their errors."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from clip360.finetune.lora import attach_lora, save_adapter
from clip360.models.clip import load_clip
from tests.command_line import error_of, run
from tests.small_cards import ramps
from tests.small_clips import small_clip

QUICK = ("--shifts", 2, "--windows", 2, "--resamples", 20, "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a model, an adapter for it, an image set, and a model whose image tower is no ViT."""
    folder = tmp_path_factory.mktemp("commands")
    clip = small_clip(folder / "small", seed=2)
    small_clip(folder / "resnet", seed=0, layers=[1, 1, 1, 1], width=8, patch_size=None, head_width=16)
    ramps(folder / "set", 7)
    clip = attach_lora(
        load_clip(folder / "small", device="cpu"), targets="lora_attention", rank=2, alpha=4, dropout=0.0, seed=0
    )
    with torch.no_grad():
        for name, parameter in clip.network.visual.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    save_adapter(clip, folder / "adapter")
    return folder


def test_cards_of_a_model_its_adapter_and_a_resnet_stand_in_one_table(folder, tmp_path, capsys):
    models = {"small": (), "adapted": ("--adapter", folder / "adapter"), "resnet": ()}
    for name, options in models.items():
        model = folder / ("resnet" if name == "resnet" else "small")
        assert run("card", folder / "set", "--model", model, "--out", tmp_path / name, *options, *QUICK) == 0
    cards = {name: json.loads((tmp_path / name / "card.json").read_text(encoding="utf-8")) for name in models}
    assert len({card["model"]["weights_sha256"] for card in cards.values()}) == 3
    assert len({card["protocol"]["hash"] for card in cards.values()}) == 1
    assert set(cards["small"]["views"]) == {"center_crop", "squash", "letterbox", "wide", "multi_view"}
    assert cards["small"]["protocol"]["definition"]["scoring"]["clamp_at_zero"] is False
    assert not cards["small"]["left_out"] and "whole_patches" in cards["small"]["views"]["squash"]["numbers"]
    resnet = cards["resnet"]
    assert (
        resnet["left_out"].keys() == {"wide", "rolls"} and "whole_patches" not in resnet["views"]["squash"]["numbers"]
    )
    capsys.readouterr()
    paths = [tmp_path / name for name in models]
    assert run("leaderboard", *paths, "--out", tmp_path / "board", "--sort", "gflop") == 0
    assert "3 cards, first by gflop" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "board" / "leaderboard.csv")
    assert table.gflop.is_monotonic_increasing and set(table.model) == {cards[name]["model"]["name"] for name in models}
    for name in ("leaderboard.html", "leaderboard.md"):
        assert (tmp_path / "board" / name).is_file()
    assert "--sort is 'x', which no card has" in error_of(capsys, "leaderboard", *paths, "--sort", "x")
    assert "is no card: expected" in error_of(capsys, "leaderboard", tmp_path / "nowhere")
    assert "a card is named twice" in error_of(capsys, "leaderboard", paths[0], paths[0])
    assert (
        run("card", folder / "set", "--model", folder / "small", "--cue", "photo", "--out", tmp_path / "cue", *QUICK)
        == 0
    )
    message = error_of(capsys, "leaderboard", paths[0], tmp_path / "cue")
    assert "were measured on different image sets (set (7) and set (7))" in message


def test_sets_without_cues_get_one(folder, tmp_path):
    table = pd.read_csv(folder / "set" / "captions.csv")
    table[["image", "caption"]].to_csv(tmp_path / "texts.csv", index=False)
    options = ("--captions", tmp_path / "texts.csv", "--views", "center_crop,squash", *QUICK)
    assert run("card", folder / "set", "--model", folder / "small", "--out", tmp_path / "card", *options) == 0
    card = json.loads((tmp_path / "card" / "card.json").read_text(encoding="utf-8"))
    assert card["image_set"]["cues"] == ["360 panorama"] and set(card["views"]) == {"center_crop", "squash"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--n-images", 6), "6 panoramas are too few for intervals of 99 %: expected at least 7"),
        (("--n-images", -1), "--n-images is -1: expected at least 0"),
        (("--shifts", 6, "--windows", 4), "--shifts is 6 and --windows 4: expected a multiple of the windows"),
        (("--views", "squash"), "--views lacks center_crop: expected center_crop and squash"),
        (("--views", "squash,cube"), "--views names 'cube': expected some of center_crop, squash"),
        (("--captions", "nowhere.csv"), "nowhere.csv does not exist: expected a table of the images"),
        (("--alpha", 2), "alpha is 2.0: expected a number between 0 and 1"),
        (("--batch-size", 0), "--batch-size is 0: expected at least 1"),
    ],
)
def test_wrong_options_stop_before_anything_is_measured(folder, tmp_path, capsys, options, message):
    out = tmp_path / "card"
    assert message in error_of(
        capsys, "card", folder / "set", "--model", folder / "small", "--out", out, *QUICK, *options
    )
    assert not out.exists()


def test_unknown_models_and_views_that_a_model_cannot_take_are_errors(folder, tmp_path, capsys):
    assert "did you mean ViT-B-32?" in error_of(capsys, "card", folder / "set", "--model", "ViT-B-33", *QUICK)
    options = ("--views", "center_crop,squash,wide", "--out", tmp_path / "card", *QUICK)
    message = error_of(capsys, "card", folder / "set", "--model", folder / "resnet", *options)
    assert message.startswith("--views names wide, which resnet cannot take: ")
