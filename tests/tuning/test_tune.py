"""`clip360 tune` on the smallest model: what it writes is what it trained, whoever loads it, stopped or not."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from open_clip.push_to_hf_hub import save_for_hf
from peft import PeftModel
from PIL import Image

from clip360.commands.tune import WITH_CAPTIONS, WITHOUT_CAPTIONS
from clip360.finetune import loop
from clip360.finetune.attention import separate_attention
from clip360.finetune.methods import find_method, load_finetuned
from clip360.models.clip import CONFIGURATION, WEIGHTS, load_clip
from clip360.models.protocol import Protocol
from clip360.tuning.tune import tunable_methods
from tests.command_line import error_of, run
from tests.small_clips import small_clip

N, N_VALIDATION = 24, 8  # panoramas in all, and held out
TEXTS = ["a red cube", "the sea"]
OPTIONS = {
    "--epochs": 1,
    "--batch-size": 8,
    "--lr": 0.01,
    "--shifts": 4,
    "--device": "cpu",
    "--resamples": 20,
}  # two steps
IN_A_FRESH_PROCESS = """
import sys
import clip360.models  # lets torchvision load beside a CPU build of torch
import numpy, open_clip, torch
from PIL import Image

for folder in sys.argv[2:]:
    network, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(["a red cube", "the sea"])
    with torch.no_grad():
        image = network.eval().encode_image(preprocess(Image.open(sys.argv[1]))[None])
        text = network.encode_text(tokens)
    numpy.save(f"{folder}/embeds.npy", torch.cat([image, text]).numpy())
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The folder of a model."""
    folder = tmp_path_factory.mktemp("models") / "small"
    small_clip(folder, layers=2, head_width=16)
    return folder


@pytest.fixture(scope="module")
def panoramas(tmp_path_factory) -> Path:
    """The folder of an image set of panoramas of noise."""
    folder = tmp_path_factory.mktemp("sets") / "noise"
    (folder / "images").mkdir(parents=True)
    rng, rows = np.random.default_rng(0), []
    for k in range(N):
        Image.fromarray(rng.integers(0, 256, (32, 64, 3), dtype=np.uint8)).save(folder / "images" / f"{k:02}.png")
        rows.append({"image": f"{k:02}.png", "caption": f"thing {k}"})
    pd.DataFrame(rows).to_csv(folder / "captions.csv", index=False)
    return folder


def arguments(panoramas: Path, model: Path, out: Path, **changes) -> list:
    """The command line; ``changes`` are options, a value of None leaves one out."""
    options = OPTIONS | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    given = [part for pair in options.items() if pair[1] is not None for part in pair]
    return ["tune", panoramas, "--model", model, "--out", out, *given]


@torch.no_grad()
def embeds(network, preprocess, tokenize, panorama: Path) -> torch.Tensor:
    image = network.eval().encode_image(preprocess(Image.open(panorama))[None])
    return torch.cat([image, network.encode_text(tokenize(TEXTS))])


def test_open_clip_alone_and_peft_get_the_embeddings_of_the_tuned_network(model, panoramas, tmp_path, capsys):
    runs = {
        "distilled": {},  # the default method
        "tower": {"method": "distilled_tower", "view": "letterbox"},
        "periodic": {"method": "distilled_periodic"},
        "texts": {"method": "both_towers"},
        "wide": {"method": "distilled_tower", "view": "wide"},
    }
    for name, changes in runs.items():
        assert run(*arguments(panoramas, model, tmp_path / name, **changes)) == 0
        assert "on 8 panoramas held out: instability of the score " in capsys.readouterr().out
    panorama, folders = panoramas / "images" / "23.png", [str(tmp_path / name) for name in runs]
    subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS, str(panorama), *folders], check=True, capture_output=True)
    for name, changes in runs.items():
        frozen = load_clip(model, protocol=Protocol(view=changes.get("view", "squash")), device="cpu")
        before = embeds(frozen.network, frozen.preprocess, frozen.tokenize, panorama)
        tuned = load_finetuned(frozen, tmp_path / name / "adapter")
        expected = embeds(tuned.network, tuned.preprocess, tuned.tokenize, panorama)
        assert torch.allclose(torch.tensor(np.load(tmp_path / name / "embeds.npy")), expected, atol=1e-5), name
        assert not torch.allclose(before, expected, atol=1e-3), name

    network, _, _ = open_clip.create_model_and_transforms(f"local-dir:{model}")
    separate_attention(network.visual)
    network.visual = PeftModel.from_pretrained(network.visual, tmp_path / "distilled" / "adapter")
    squash = load_clip(model, protocol=Protocol(view="squash"), device="cpu")
    by_peft = embeds(network, squash.preprocess, squash.tokenize, panorama)
    assert torch.allclose(by_peft, torch.tensor(np.load(tmp_path / "distilled" / "embeds.npy")), atol=1e-5)


def test_the_folder_is_that_of_a_hub_and_its_card_says_what_was_measured(model, panoramas, tmp_path):
    out = tmp_path / "tuned"
    assert run(*arguments(panoramas, model, out, method="lora_attention", seed=3)) == 0
    assert {path.name for path in out.iterdir()} == {
        *("README.md", CONFIGURATION, WEIGHTS, "adapter", "evaluation.csv", "log.csv")
    }
    network, _, _ = open_clip.create_model_and_transforms(f"local-dir:{out}")
    configuration = json.loads((out / CONFIGURATION).read_text())

    class Tokenizer:  # CLIP's own has no files
        def save_pretrained(self, folder):
            pass

    save_for_hf(network, Tokenizer(), configuration["model_cfg"], tmp_path / "hub", safe_serialization=True)
    assert {path.name for path in (tmp_path / "hub").iterdir()} == {CONFIGURATION, WEIGHTS}
    of_hub = json.loads((tmp_path / "hub" / CONFIGURATION).read_text())
    assert configuration["model_cfg"] == of_hub["model_cfg"]
    assert configuration["preprocess_cfg"]["resize_mode"] == of_hub["preprocess_cfg"]["resize_mode"] == "squash"

    card, table = (out / "README.md").read_text(), pd.read_csv(out / "evaluation.csv")
    assert card.startswith("---\nlibrary_name: open_clip\n") and "| LoRA: rank | 8 |" in card
    assert f"| data | {N - N_VALIDATION} panoramas of `noise` |" in card and "On 8 panoramas" in card
    for row in table.itertuples():
        assert f" {row.before:.3f} [{row.before_low:.3f}, {row.before_high:.3f}] | {row.after:.3f} [" in card
    assert len(pd.read_csv(out / "log.csv")) == 2
    spec = json.loads((out / "adapter" / "method.json").read_text())
    assert (spec["method"], spec["lam"], spec["lora"]["seed"], spec["optimisation"]["seed"]) == (
        "lora_attention",
        0.5,
        3,
        3,
    )
    assert "panoramas of `noise`" in (out / "adapter" / "README.md").read_text()


def test_stopped_and_started_again_it_gives_the_same_bytes(model, panoramas, tmp_path, capsys, monkeypatch):
    whole, stopped = tmp_path / "whole" / "tuned", tmp_path / "stopped" / "tuned"  # cards name their folder
    assert run(*arguments(panoramas, model, whole, epochs=3)) == 0
    save = loop.Checkpoint.save

    def save_and_stop(self, history):
        save(self, history)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.Checkpoint, "save", save_and_stop)
        assert run(*arguments(panoramas, model, stopped, epochs=3)) == 130
    assert "run the same command again to continue" in capsys.readouterr().err
    assert [path.name for path in stopped.iterdir()] == ["checkpoints"]
    assert run(*arguments(panoramas, model, stopped, epochs=3)) == 0
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert (
        files == sorted(path.relative_to(stopped) for path in stopped.rglob("*") if path.is_file()) and len(files) == 9
    )
    assert all((whole / file).read_bytes() == (stopped / file).read_bytes() for file in files)


def test_distillation_needs_no_captions(model, panoramas, tmp_path, capsys):
    captioned, bare = tmp_path / "captioned" / "tuned", tmp_path / "bare" / "tuned"
    assert run(*arguments(panoramas, model, captioned)) == 0
    assert run(*arguments(panoramas / "images", model, bare)) == 0
    assert (captioned / WEIGHTS).read_bytes() == (bare / WEIGHTS).read_bytes()
    tables = [pd.read_csv(folder / "evaluation.csv").set_index("measure") for folder in (captioned, bare)]
    assert list(tables[1].index) == ["embedding_instability"]
    assert tables[0].loc["embedding_instability"].equals(tables[1].loc["embedding_instability"])


def test_the_command_names_the_methods_that_open_clip_can_compute():
    assert sorted(tunable_methods()) == sorted(WITH_CAPTIONS + WITHOUT_CAPTIONS)
    assert [find_method(name).needs_captions for name in WITH_CAPTIONS] == [True] * len(WITH_CAPTIONS)
    assert not any(find_method(name).needs_captions for name in WITHOUT_CAPTIONS)


FAULTS = {
    "--epochs is 0: expected at least 1": {"epochs": 0},
    "--batch-size is 0: expected at least 1": {"batch_size": 0},
    "--lr is 2.0: expected a number between 0 and 1": {"lr": 2},
    "--lam is 1.5: expected 0 to 1": {"lam": 1.5},
    "--weight-decay is -1.0: expected 0 to 10": {"weight_decay": -1},
    "--rank is 0: expected at least 1": {"rank": 0},
    "--seed is -1: expected at least 0": {"seed": -1},
    "n_shifts is 7: expected a divisor of the width of 64 pixels": {"shifts": 7},
    "24 of 24 panoramas would be held out: expected at least 8 and fewer than all": {"n_validation": 24},
    "2 of 24 panoramas would be held out: expected at least 8": {"n_validation": 2},
    "--view is multi_view: tuning needs one image for each panorama": {"view": "multi_view"},
    "protocol.view is 'round': expected one of own,": {"view": "round"},
    "method is 'magic': expected one of lora_as_released": {"method": "magic"},
    "the method linear_head trains linear heads on the image and the text embedding, and open_clip cannot": {
        "method": "linear_head"
    },
    "the method distilled_canonical trains the image tower, which receives a panorama at its canonical yaw, and": {
        "method": "distilled_canonical"
    },
}


@pytest.mark.parametrize("message", FAULTS)
def test_wrong_options_are_one_sentence(model, panoramas, tmp_path, capsys, message):
    assert message in error_of(capsys, *arguments(panoramas, model, tmp_path / "out", **FAULTS[message]))
    assert not (tmp_path / "out" / CONFIGURATION).exists()


def test_panoramas_and_models_that_do_not_serve_are_one_sentence(model, panoramas, tmp_path, capsys):
    def error(panoramas: Path, model: Path = model, **changes) -> str:
        return error_of(capsys, *arguments(panoramas, model, tmp_path / "out", **changes))

    (tmp_path / "empty").mkdir()
    assert "empty holds no images: expected JPEG, PNG or WebP files" in error(tmp_path / "empty")
    needed = (
        "images has no captions.csv, but the method lora_attention compares panoramas with their captions: add it, or"
    )
    assert f"{needed} choose one of distilled, distilled_tower, distilled_periodic" in error(
        panoramas / "images", method="lora_attention"
    )
    small_clip(tmp_path / "resnet", layers=[1, 1, 1, 1], width=16, head_width=8)
    assert "ModifiedResNet has no nn.MultiheadAttention to adapt" in error(panoramas, tmp_path / "resnet")
    assert "the image tower of resnet is a ModifiedResNet: this method needs one of open_clip's own ViTs" in error(
        panoramas, tmp_path / "resnet", method="distilled_periodic"
    )
    double = tmp_path / "double"
    double.mkdir()
    for path in (panoramas / "images").iterdir():
        (double / path.name).write_bytes(path.read_bytes())
    (double / "23.png").write_bytes((double / "04.png").read_bytes())
    assert "23.png is held out, but equals 04.png, which the model would be trained on: remove one of them" in error(
        double
    )
    (double / "23.png").unlink()
    Image.new("RGB", (32, 16)).save(double / "03.png")
    assert "a panorama is 32 x 16 pixels, the first 64 x 32: fine-tuning needs panoramas of one size" in error(double)


def test_a_folder_with_other_files_is_left_alone(model, panoramas, tmp_path, capsys):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "README.md").write_text("mine")
    assert "holds other files, such as README.md: choose a new or empty folder for --out" in error_of(
        capsys, *arguments(panoramas, model, mine)
    )
    assert "holds other files, such as " in error_of(capsys, *arguments(panoramas, model, model))
    assert [path.name for path in mine.iterdir()] == ["README.md"]
