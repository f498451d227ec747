"""The command `clip360`: its options, what it prints and writes, and its errors."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from clip360.cli import INTERRUPTED, build_parser, main
from clip360.finetune.lora import attach_lora, save_adapter
from clip360.models.clip import WEIGHTS, load_clip
from clip360.models.protocol import CHOICES
from tests.small_clips import small_clip


@pytest.fixture
def model(tmp_path) -> Path:
    """The folder of a model."""
    small_clip(tmp_path / "models" / "small", seed=2)  # its scores are positive
    return tmp_path / "models" / "small"


@pytest.fixture
def image_set(tmp_path) -> Path:
    """The folder of an image set of three panoramas of noise, which has no visible seam."""
    (tmp_path / "set" / "images").mkdir(parents=True)
    rng, rows = np.random.default_rng(0), []
    for name in ("a.png", "b.png", "c.png"):
        pixels = rng.integers(0, 256, (32, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "set" / "images" / name)
        rows.append({"image": name, "caption": f"the panorama {name}"})
    pd.DataFrame(rows).to_csv(tmp_path / "set" / "captions.csv", index=False)
    return tmp_path / "set"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def error_of(capsys, *arguments: object) -> str:
    """The message with which the command fails: one line, without a traceback."""
    assert run(*arguments) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "%|" not in line]  # without progress bars
    assert len(lines) == 1, lines
    return lines[0]


def test_score_takes_captions_a_cue_and_an_adapter(model, image_set, tmp_path, capsys):
    clip = attach_lora(load_clip(model, device="cpu"), targets="lora_attention", rank=2, alpha=4, dropout=0.0, seed=0)
    with torch.no_grad():
        for name, parameter in clip.network.visual.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    save_adapter(clip, tmp_path / "adapter")
    (image_set / "captions.csv").rename(tmp_path / "texts.csv")
    scores = {}
    for name, options in (
        ("plain", []),
        ("cue", ["--cue", "360 photo"]),
        ("adapter", ["--adapter", tmp_path / "adapter"]),
        ("tensor", ["--resize", "tensor", "--batch-size", 2]),
    ):
        arguments = ["score", image_set, "--captions", tmp_path / "texts.csv", "--model", model, "--device", "cpu"]
        assert run(*arguments, "--shifts", 2, "--out", tmp_path / name, *options) == 0
        printed = capsys.readouterr()
        assert "3 panoramas, mean score " in printed.out and f"{tmp_path / name / 'report.html'}" in printed.out
        assert ("resizing on tensors changes scores by" in printed.err) == (name == "tensor")
        scores[name] = pd.read_csv(tmp_path / name / "scores.csv").score
    assert not np.allclose(scores["plain"], scores["cue"])
    assert not np.allclose(scores["plain"], scores["adapter"])


def test_errors_of_score_are_one_sentence(model, image_set, tmp_path, capsys):
    score = ["score", image_set, "--out", tmp_path / "out", "--model"]
    for arguments, message in (
        (["score", tmp_path / "none", "--model", model], "captions.csv does not exist"),
        ([*score, "ViT-Z-9"], "ViT-Z-9 is neither the folder of a model, nor an architecture of open_clip"),
        ([*score, "ViT-B-32"], "ViT-B-32 is an architecture without weights: set `pretrained`"),
        ([*score, "ViT-B-32", "--pretrained", "laion9b"], "laion9b is neither a checkpoint file nor a published tag"),
        ([*score, "hf-hub:us/small"], "hf-hub:us/small has no `revision`"),
        ([*score, model, "--shifts", 1], "n_shifts is 1: expected at least 2"),
        ([*score, model, "--batch-size", 0], "batch_size is 0: expected at least 1"),
        ([*score, model, "--view", "fisheye"], "protocol.view is 'fisheye': expected one of own, center_crop"),
        ([*score, model, "--device", "gpu"], "device is 'gpu'"),
        ([*score, model, "--adapter", tmp_path], "holds neither adapter_config.json"),
        ([*score, model, "--out", model / WEIGHTS], f"{model / WEIGHTS}: File exists"),
    ):
        assert message in error_of(capsys, *arguments)
    (model / WEIGHTS).write_bytes(b"")
    assert "do not fit" in error_of(capsys, *score, model)


def test_ctrl_c_is_one_sentence(model, image_set, tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("clip360.scoring.panorama_scores.score_folder", interrupted)
    assert run("score", image_set, "--model", model, "--out", tmp_path / "out") == INTERRUPTED
    assert capsys.readouterr().err == "stopped: run the same command again to continue\n"


def test_the_help_names_every_choice_of_the_protocol(capsys):
    """The parser cannot take them from the protocol, which loads torch."""
    with pytest.raises(SystemExit):
        build_parser().parse_args(["score", "--help"])
    words = capsys.readouterr().out.replace(",", " ").split()
    assert all(choice in words for name in ("view", "precision", "resize") for choice in CHOICES[name])


def test_check_prints_problems_and_draws_a_sheet(image_set, tmp_path, capsys):
    assert run("check", image_set, "--sheet", tmp_path / "sheets") == 0
    assert f"{image_set}: errors 0, warnings 0\n" in capsys.readouterr().out
    with Image.open(tmp_path / "sheets" / "set.png") as sheet:
        assert sheet.width > 1000 and np.asarray(sheet).std() > 20
    (image_set / "images" / "a.png").write_bytes((image_set / "images" / "b.png").read_bytes())
    assert run("check", image_set) == 0, "equal images are a warning"
    (image_set / "images" / "c.png").unlink()
    assert run("check", image_set, image_set) == 1
    printed = capsys.readouterr().out
    assert printed.count("  error: c.png is named in captions.csv, but there is no such") == 2
    assert "shows the same pixels as a.png" in printed
    assert "not a directory" in error_of(capsys, "check", tmp_path / "none")


def test_the_module_runs_as_the_command_does(tmp_path):
    command = [sys.executable, "-m", "clip360.cli", "check", tmp_path / "none"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "not a directory" in done.stderr
