"""Scores of single panoramas: against a plain loop, stopped and continued, reported, and told what is wrong."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import clip360.scoring.panorama_scores as score
from clip360.data.image_set import load_image_set
from clip360.finetune.lora import attach_lora, save_adapter
from clip360.models.clip import WEIGHTS, load_clip
from clip360.scoring.panorama_scores import score_folder, score_images, yaw
from tests.small_clips import small_clip


@pytest.fixture
def pictures(tmp_path):
    """Seven panoramas of two sizes with unruly names and captions, pictures and table side by side."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "my panoramas"
    folder.mkdir()
    rows = []
    for k, name in enumerate(("a.png", "b b.png", "ç.jpg", "d.webp", "<e>.png", "f.png", "g.png")):
        height = 32 if k < 5 else 48
        Image.fromarray(rng.integers(0, 256, (height, 2 * height, 3), dtype=np.uint8)).save(folder / name)
        rows.append({"image": name, "caption": f'thing {k}, "quoted",\nin <b>two</b> lines'})
    pd.DataFrame(rows).to_csv(tmp_path / "texts.csv", index=False)
    return load_image_set(folder, tmp_path / "texts.csv")


@pytest.fixture
def clip(tmp_path):
    small_clip(tmp_path / "models" / "small")
    return load_clip(tmp_path / "models" / "small", device="cpu")


def test_scores_equal_a_plain_loop(clip, pictures):
    scores = pd.concat(score_images(clip, pictures, shifts=4, batch=2)).reset_index(drop=True)
    assert scores.image.tolist() == pictures.table.image.tolist()
    for row in scores.itertuples():
        picture = np.array(Image.open(pictures.images / row.image).convert("RGB"))
        with torch.no_grad():
            text = clip.network.encode_text(clip.tokenize([row.caption]))
            turns = [np.roll(picture, k * picture.shape[1] // 4, axis=1) for k in range(4)]
            seen = [clip.network.encode_image(clip.preprocess(Image.fromarray(x))[None]) for x in turns]
        plain = np.array([max(100 * torch.cosine_similarity(x, text).item(), 0) for x in seen])
        measured = (row.score, row.robust, row.spread, row.worst)
        assert measured == pytest.approx((plain[0], plain.mean(), plain.std(), plain.min()), abs=1e-4)
        assert row.worst_yaw in [yaw(k / 4) for k in range(4) if plain[k] < plain.min() + 1e-4]


def test_a_stopped_run_goes_on_and_ends_the_same(clip, pictures, tmp_path, monkeypatch):
    whole = score_folder(clip, pictures, tmp_path / "whole", shifts=2, batch=2)
    plain_encode, calls = clip.network.visual.forward, []

    def stopping(inputs):
        calls.append(len(inputs))
        if len(calls) == 6:
            raise KeyboardInterrupt
        return plain_encode(inputs)

    monkeypatch.setattr(clip.network.visual, "forward", stopping)
    with pytest.raises(KeyboardInterrupt):
        score_folder(clip, pictures, tmp_path / "stopped", shifts=2, batch=2)
    partial = next((tmp_path / "stopped").glob("*.partial"))
    with partial.open("a") as file:
        file.write('torn.png,"half a')  # as a killed process leaves it
    calls.append(0)
    again = score_folder(clip, pictures, tmp_path / "stopped", shifts=2, batch=2)
    assert len(calls) == 7 + 2 * 2  # 4 of 7 pictures were done
    pd.testing.assert_frame_equal(again, whole)
    for name in ("scores.csv", "report.html"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "stopped").iterdir()) == ["report.html", "scores.csv"]


def test_the_report_shows_what_the_files_say_and_nothing_acts(clip, pictures, tmp_path):
    score_folder(clip, pictures, tmp_path / "report", shifts=2)
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "&lt;e&gt;.png" in page and "<e>" not in page and "<b>two" not in page
    assert page.count("data:image/jpeg;base64,") == 4 * 7


@pytest.fixture
def run(monkeypatch):
    """Calls the command as a shell would; returns with what it ended, None for success."""

    def call(*arguments: object) -> str | None:
        monkeypatch.setattr("sys.argv", ["score", *map(str, arguments)])
        try:
            score.main()
        except SystemExit as ended:
            return str(ended)

    return call


def test_the_command_takes_a_cue_and_an_adapter(clip, pictures, tmp_path, run):
    clip = attach_lora(clip, targets="attention", rank=2, alpha=4, dropout=0.0, seed=0)
    with torch.no_grad():
        for name, parameter in clip.network.visual.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    save_adapter(clip, tmp_path / "adapter")
    command = [pictures.folder, "--captions", tmp_path / "texts.csv", "--model", tmp_path / "models" / "small"]
    command += ["--device", "cpu", "--shifts", 2]
    tables = {}
    for name, options in (
        ("plain", []),
        ("cue", ["--cue", "360 photo"]),
        ("adapter", ["--adapter", tmp_path / "adapter"]),
    ):
        assert run(*command, "--out", tmp_path / name, *options) is None
        tables[name] = pd.read_csv(tmp_path / name / "scores.csv")
    assert not np.allclose(tables["plain"].score, tables["cue"].score)
    assert not np.allclose(tables["plain"].score, tables["adapter"].score)


def test_bad_input_is_told_in_one_sentence(clip, pictures, tmp_path, run):
    model, table = tmp_path / "models" / "small", tmp_path / "texts.csv"
    for arguments, sentence in (
        ((pictures.folder, "--model", model), "captions.csv does not exist"),
        ((pictures.folder, "--captions", table, "--model", "ViT-Z-9"), "ViT-Z-9 is no architecture of open_clip"),
        ((pictures.folder, "--captions", table, "--model", model, "--shifts", 1), "shifts is 1: expected at least 2"),
        (
            (pictures.folder, "--captions", table, "--model", model, "--adapter", tmp_path),
            "holds neither adapter_config.json",
        ),
    ):
        told = run(*arguments, "--out", tmp_path / "out")
        assert sentence in told and "\n" not in told
    with torch.no_grad():
        clip.network.visual.proj.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"the score of a\.png is not a number"):
        list(score_images(clip, pictures))
    (model / WEIGHTS).write_bytes(b"")
    with pytest.raises(ValueError, match="do not fit"):
        score.open_model(str(model))
