"""The command `clip360`: its options, what it prints and writes, and its errors."""

import hashlib
import json
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from clip360.cli import INTERRUPTED, build_parser
from clip360.commands.options import PROTOCOLS as PROTOCOL_NAMES
from clip360.commands.options import separate_protocols
from clip360.finetune.lora import attach_lora, save_adapter
from clip360.models.clip import WEIGHTS, load_clip, save_weights
from clip360.models.protocol import CHOICES
from clip360.reports import embedding_cache, score_folder, view_protocols
from clip360.reports.folder_lock import folder_lock
from clip360.reports.view_protocols import PROTOCOLS
from tests.command_line import error_of, run
from tests.reports.test_panorama_sources import png, write_tar
from tests.small_clips import small_clip

LONG = "very " * 30 + "long"  # a caption that the small model truncates


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


def test_the_summary_says_how_scores_came_about(model, image_set, tmp_path, capsys):
    names, out = ["half-crop", "squash", "cube-6"], tmp_path / "out"
    (image_set / "captions.csv").write_text("image,caption\na.png,sea\nb.png," + LONG + "\nc.png," + LONG + "\n")
    arguments = ["score", image_set, "--model", model, "--device", "cpu", "--shifts", 4, "--out", out]
    assert run(*arguments, "--protocols", *names, "--cue", "360 photo") == 0
    printed, scores = capsys.readouterr().out, pd.read_csv(out / "scores.csv")
    summary = json.loads((out / "summary.json").read_text())
    weights = hashlib.sha256()
    for name, tensor in sorted(load_file(model / WEIGHTS).items()):
        weights.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode() + tensor.numpy().tobytes())
    assert summary["model"] == {"name": "small", "weights_sha256": weights.hexdigest()}
    assert summary["versions"]["torch"] == torch.__version__ and set(summary["versions"]) == {
        "clip360",
        "torch",
        "open_clip_torch",
    }
    assert (summary["n"], summary["n_truncated"], summary["cue"]) == (3, 2, "360 photo")
    assert list(summary["protocols"]) == ["shifts", *names]
    for name in names:
        metric, protocol = summary["metrics"][name], summary["protocols"][name]
        assert metric["mean"] == pytest.approx(scores[name].mean(), rel=1e-4)
        assert scores[name].min() <= metric["low"] <= metric["mean"] <= metric["high"] <= scores[name].max() + 1e-4
        assert f"{name} {protocol['hash']}: {metric['mean']:.2f} [" in printed
    assert "worst_yaw" not in summary["metrics"] and scores.squash.tolist() == scores.score.tolist()
    shifts = summary["protocols"]["shifts"]["by_yaw"]
    assert list(shifts) == ["0", "-90", "-180", "90"] and shifts["0"] == summary["metrics"]["squash"]
    cube = {name: group["mean"] for name, group in summary["protocols"]["cube-6"]["by_latitude"].items()}
    assert (cube["up"] + cube["down"] + 4 * cube["sides"]) / 6 == pytest.approx(scores["cube-6"].mean(), rel=1e-4)
    for row in summary["rank_correlations"]:
        pairs = list(combinations(range(3), 2))
        signs = [
            np.sign((scores[row["a"]][i] - scores[row["a"]][j]) * (scores[row["b"]][i] - scores[row["b"]][j]))
            for i, j in pairs
        ]
        assert row["kendall"] == pytest.approx(np.mean(signs))
    assert [(row["a"], row["b"]) for row in summary["rank_correlations"]] == list(combinations(names, 2))


def test_strict_turns_warnings_into_errors(model, image_set, tmp_path, capsys):
    score = ["score", image_set, "--model", model, "--device", "cpu", "--shifts", 2, "--out", tmp_path / "out"]
    assert run(*score, "--strict") == 0
    capsys.readouterr()
    (image_set / "images" / "c.png").write_bytes((image_set / "images" / "a.png").read_bytes())
    assert run(*score) == 0 and "such as c.png, which equals a.png" in capsys.readouterr().err
    assert "such as c.png, which equals a.png" in error_of(capsys, *score, "--strict")
    (image_set / "captions.csv").write_text("image,caption\na.png,sea\nb.png,land\nc.png," + LONG + "\n")
    assert run(*score) == 0 and "small truncates 1 texts" in capsys.readouterr().err
    assert "small truncates 1 texts, such as: very" in error_of(capsys, *score, "--strict")
    (model / "source.json").write_text('{"architecture": "ViT-B-32", "pretrained": "openai"}')
    mismatch = "openai was trained with QuickGELU, ViT-B-32 computes GELU: use ViT-B-32-quickgelu"
    assert run(*score) == 0 and mismatch in capsys.readouterr().err
    assert error_of(capsys, *score, "--strict") == mismatch


@pytest.mark.parametrize(
    "words",
    [
        ["--protocols", "squash,cube-6", "SET"],
        ["--protocols", "squash", "cube-6", "SET"],
        ["--protocols", "squash", "--protocols", "cube-6", "SET"],
        ["--protocols=squash", "SET", "--protocols", "cube-6"],
        ["SET", "--protocols", "squash", "cube-6", "--shifts", "4"],
    ],
)
def test_a_folder_after_protocols_is_a_folder(image_set, words):
    words = [str(image_set) if word == "SET" else word for word in words]
    options = build_parser().parse_args(separate_protocols(["score", *words, "--model", "m"]))
    assert (options.images, options.protocols) == (str(image_set), ["squash", "cube-6"])
    none = build_parser().parse_args(separate_protocols(["score", str(image_set), "--protocols", "--model", "m"]))
    assert none.protocols == []


def test_the_weights_are_hashed_once(model, image_set, tmp_path, monkeypatch):
    calls, hashed = [], view_protocols.weights_sha256
    for module in (view_protocols, score_folder, embedding_cache):
        monkeypatch.setattr(module, "weights_sha256", lambda clip: calls.append(clip) or hashed(clip))
    options = ["--model", model, "--device", "cpu", "--shifts", 2, "--cache", tmp_path / "cache"]
    assert run("score", image_set, *options, "--out", tmp_path / "out") == 0
    assert len(calls) == 1


def test_two_runs_do_not_write_into_one_folder(model, image_set, tmp_path, capsys):
    with folder_lock(tmp_path / "out"):
        message = error_of(capsys, "score", image_set, "--model", model, "--device", "cpu", "--out", tmp_path / "out")
        assert f"out is being written by the process {os.getpid()}: wait until it ends" in message
        assert len(list((tmp_path / "out").iterdir())) == 1


def test_errors_of_score_are_one_sentence(model, image_set, tmp_path, capsys):
    score = ["score", image_set, "--out", tmp_path / "out", "--model"]
    for arguments, message in (
        (["score", tmp_path / "none", "--model", model], "captions.csv does not exist"),
        ([*score, "ViT-Z-9"], "ViT-Z-9 is neither the folder of a model, nor an architecture of open_clip"),
        ([*score, "ViT-B-32"], "ViT-B-32 is an architecture without weights: set `pretrained`"),
        ([*score, "ViT-B-32", "--pretrained", "laion9b"], "laion9b is neither a checkpoint file nor a published tag"),
        ([*score, "ViT-B-32", "--pretrained", "openai"], "computes GELU: use ViT-B-32-quickgelu"),
        ([*score, "hf-hub:us/small"], "hf-hub:us/small has no `revision`"),
        ([*score, model, "--shifts", 1], "n_shifts is 1: expected at least 2"),
        ([*score, model, "--protocols", "fisheye"], "protocol 'fisheye': expected one of half-crop, squash"),
        ([*score, model, "--alpha", 2], "alpha is 2.0: expected a number between 0 and 1"),
        ([*score, model, "--batch-size", 0], "batch_size is 0: expected at least 1"),
        ([*score, model, "--view", "fisheye"], "protocol.view is 'fisheye': expected one of own, center_crop"),
        ([*score, model, "--device", "gpu"], "device is 'gpu'"),
        ([*score, model, "--adapter", tmp_path], "holds neither adapter_config.json"),
        ([*score, model, "--out", model / WEIGHTS], f"{model / WEIGHTS}: File exists"),
    ):
        assert message in error_of(capsys, *arguments)
    (model / WEIGHTS).write_bytes(b"")
    assert "do not fit" in error_of(capsys, *score, model)


def test_scores_that_are_all_clamped_are_no_stability(model, image_set, tmp_path, capsys):
    clip = load_clip(model, device="cpu")
    with torch.no_grad():
        clip.network.text_projection.neg_()  # so that every cosine is below 0
    save_weights(clip, model)
    assert run("score", image_set, "--model", model, "--out", tmp_path / "out") == 0
    error, page = capsys.readouterr().err, (tmp_path / "out/report.html").read_text(encoding="utf-8")
    for text in (error, page):
        assert "cores below zero count as 0: of 3 panoramas 3 have the score 0 in some direction, 3 in every" in text
    n_zero = json.loads((tmp_path / "out/summary.json").read_text())["n_zero"]
    assert n_zero == dict.fromkeys(("worst", "robust", "half-crop", "squash", "robust-8"), 3)
    assert (pd.read_csv(tmp_path / "out/scores.csv").spread == 0).all()


def test_ctrl_c_is_one_sentence(model, image_set, tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("clip360.reports.score_folder.score_folder", interrupted)
    assert run("score", image_set, "--model", model, "--out", tmp_path / "out") == INTERRUPTED
    assert capsys.readouterr().err == "stopped: run the same command again to continue\n"


def test_the_help_names_every_choice_of_the_protocol(capsys):
    """The parser cannot take them from the protocol, which loads torch."""
    with pytest.raises(SystemExit):
        build_parser().parse_args(["score", "--help"])
    words = capsys.readouterr().out.replace(",", " ").split()
    assert all(choice in words for name in ("view", "precision", "resize") for choice in CHOICES[name])
    assert all(name in words for name in PROTOCOLS) and tuple(PROTOCOLS) == PROTOCOL_NAMES


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
    assert "none does not exist: expected a folder of JPEG" in error_of(capsys, "check", tmp_path / "none")


def test_check_lists_the_problems_of_every_form(tmp_path, capsys):
    """Of panoramas that are named in a tar file or by JSON lines all at once; of what names them the first."""
    members = {f"{k}.png": png(seed=k) for k in range(3)} | {
        "3.png": png(64, 64),
        "4.png": png()[:99],
        "5.png": png(seed=2),
    }
    texts = {f"{k}.txt": b"sea" for k in range(5)} | {"5.txt": ("very " * 80).encode()}
    write_tar(tmp_path / "set.tar", members | texts)
    for name, content in members.items():
        (tmp_path / name).write_bytes(content)
    captions = {f"{name[0]}.png": text.decode() for name, text in texts.items()}
    lines = [json.dumps({"image": image, "caption": text}) for image, text in captions.items()]
    (tmp_path / "set.jsonl").write_text("\n".join(lines))
    expected = [
        "error: 3.png is 64 x 64: expected an equirectangular panorama, twice as wide as high",
        "error: 4.png cannot be read as an image",
        "warning: 5.png has a text of 80 tokens: shorten it to 75, models read no further",
        "warning: 5.png shows the same pixels as 2.png: keep one of them",
    ]
    for form in ("set.tar", "set.jsonl"):
        assert run("check", tmp_path / form) == 1
        first, *printed = capsys.readouterr().out.splitlines()
        assert first == f"{tmp_path / form}: errors 2, warnings 2"
        assert all(text in line for text, line in zip(expected, printed, strict=True)), printed
    write_tar(tmp_path / "set.tar", {"a.png": png()})
    assert run("check", tmp_path / "set.tar") == 1
    assert "error: set.tar/a.png has no caption: add a.txt" in capsys.readouterr().out
    assert "set.tar is no folder of images" in error_of(capsys, "check", tmp_path / "set.tar", "--sheet", tmp_path)
    write_tar(tmp_path / "set.tar", {"a.png": png(), "a.txt": b"sea"})
    assert run("check", tmp_path / "set.tar") == 0


def test_the_module_runs_as_the_command_does(tmp_path):
    command = [sys.executable, "-m", "clip360.cli", "check", tmp_path / "none"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "none does not exist" in done.stderr
