"""The profile `paper` from weights to tables, on made weights and made panoramas of 512 x 1024 pixels.

ViT-B-32 is fetched by its tag and scored; the whole pipeline runs on a smaller network that reads pictures of the same size.
"""

import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from clip360.data.image_set import load_image_set
from clip360.models.clip import CONFIGURATION, WEIGHTS, load_clip, new_clip, write_configuration
from clip360.scoring.panorama_scores import score_images
from pipeline.parameters import tell
from tests.copies import call, copy_repository, succeeds

REPOSITORY = "timm/vit_base_patch32_clip_224.laion400m_e32"  # where open_clip fetches ViT-B-32, laion400m_e32
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LISTED, QUICK, MODEL = "vit_b_32_laion400m", "vit_b_32_laion400m_quickgelu", "made"
ARCHITECTURE = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 224, "patch_size": 32, "layers": 2, "width": 64, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "layers": 1, "width": 64, "heads": 1},
}
COUNT = 12  # pictures in each set: fewer, and no test of 84 could reject at the level below
PROFILE = f"""
extends: paper
profile: made
figures: results/made/figures
compute: {{threads: 1}}
models: [{MODEL}]
weights: !replace
  {MODEL}: {{architecture: made/{CONFIGURATION}, pretrained: made/{WEIGHTS}}}
  {LISTED}: {{architecture: ViT-B-32, pretrained: laion400m_e32}}
  {QUICK}: {{architecture: ViT-B-32-quickgelu, pretrained: laion400m_e32}}
visual_probe: {{curve: 8, alpha: 0.05, bootstrap: {{draws: 100}}}}
textual_probe: {{alpha: 0.05, bootstrap: {{draws: 100}}}}
finetune:
  optimisation: {{epochs: 1}}
  runs: !replace
    made_attention_l050: {{model: {MODEL}, strategy: attention, weight: 0.5, shifts: [0.0, 1.0]}}
    made_omniview: {{model: {MODEL}, strategy: omniview, weight: 1.0, shifts: [0.0, 1.0]}}
  untrained: !replace {{}}
hazards: {{models: [{MODEL}], images: {COUNT}, variants: !replace {{}}}}
crop_or_model:
  images: {COUNT}
  views: [center_crop, squash]
  steps: 4
  turns: 2
  inside: {{models: [{MODEL}], views: [squash], images: 2}}
  alpha: 0.05
  bootstrap: {{draws: 100}}
own_images: {{images: panoramas/360_real, model: results/made/models/{MODEL}, count: 4, shifts: 2}}
"""
RELEASED = f"""
extends: paper_released
profile: made_released
figures: results/made_released/figures
models: [{MODEL}]
weights: !replace {{{MODEL}: {{architecture: made/{CONFIGURATION}, pretrained: made/{WEIGHTS}}}}}
protocol: {{precision: float32}}
visual_probe: {{alpha: 0.05}}
finetune:
  runs: !replace
    made_released_l100: {{model: {MODEL}, strategy: released, weight: 1.0, shifts: [0.0, 1.0]}}
hazards: {{models: [{MODEL}]}}
crop_or_model: {{inside: {{models: [{MODEL}]}}}}
own_images: {{model: results/made_released/models/{MODEL}}}
"""


def write_weights(path: Path, network: torch.nn.Module) -> None:
    """Random weights, but pictures and texts have a direction in common, so that scores are above 0."""
    torch.manual_seed(0)
    with torch.no_grad():
        seen, read = network.visual.ln_post.bias, network.ln_final.bias
        seen.copy_(torch.randn(len(seen)))
        read.copy_(torch.randn(len(read)))
        network.text_projection.add_(torch.outer(read, seen @ network.visual.proj) / read.square().sum())
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), path)


def write_set(folder: Path, seed: int) -> None:
    """Panoramas of smooth noise, JPEG and PNG, one with a caption beyond 77 tokens."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    rows = []
    for k in range(COUNT):
        name = f"room {k}.png" if k == 3 else f"szene_ä{k}.jpg"
        low = Image.fromarray(rng.integers(0, 256, (16, 32, 3), dtype=np.uint8))
        low.resize((1024, 512), Image.Resampling.BICUBIC).save(folder / "images" / name, quality=95)
        rows.append({"image": name, "caption": " ".join(f"thing {k}{j}" for j in range(60 if k == 5 else 3))})
    cues = ["360 panorama", "360 photo"] * (COUNT // 2)
    pd.DataFrame(rows).assign(cue=cues).to_csv(folder / "captions.csv", index=False)


@pytest.fixture(scope="module")
def offline(tmp_path_factory) -> dict[str, str]:
    """Settings for a machine without a network, whose cache holds the weights of one tag."""
    home = tmp_path_factory.mktemp("home")
    store = home / "hub" / f"models--{REPOSITORY.replace('/', '--')}"
    write_weights(store / "snapshots" / COMMIT / WEIGHTS, open_clip.create_model("ViT-B-32"))
    (store / "refs").mkdir()
    (store / "refs" / "main").write_text(COMMIT)
    return {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="module")
def paper(tmp_path_factory, offline) -> Path:
    """A copy of the repository with the pipeline run under the profile."""
    folder = copy_repository(tmp_path_factory.mktemp("paper"), profile="world")
    for seed, name in enumerate(("360_real", "360_syn", "360_train")):
        write_set(folder / "panoramas" / name, seed)
    write_configuration(folder / "made", ARCHITECTURE)
    write_weights(folder / "made" / WEIGHTS, new_clip(folder / "made", seed=0, device="cpu").network)
    for name, text in (("made", PROFILE), ("made_released", RELEASED)):
        (folder / "profiles" / f"{name}.yaml").write_text(text)
    succeeds(call(folder, "python", "-m", "pipeline.profiles", "made"))
    succeeds(call(folder, sys.executable, "-m", "pipeline.run_parallel", **offline))
    return folder


def plain_scores(paper: Path, image_set: str, shift: int, model: str, **weights: str) -> dict[str, float]:
    """Scores as open_clip gives them, one picture at a time, shifted by ``shift`` pixels before its own transform."""
    network, _, preprocess = open_clip.create_model_and_transforms(model, **weights)
    tokenize, scores = open_clip.get_tokenizer(model), {}
    for row in pd.read_csv(paper / "panoramas" / image_set / "captions.csv").itertuples():
        picture = np.array(Image.open(paper / "panoramas" / image_set / "images" / row.image))
        with torch.no_grad():
            seen = network.eval().encode_image(preprocess(Image.fromarray(np.roll(picture, shift, axis=1)))[None])
            read = network.encode_text(tokenize([f"This is a {row.cue} of {row.caption}"]))
        scores[row.image] = 100 * torch.cosine_similarity(seen, read).item()
    return scores


def scored(paper: Path, profile: str, model: str, image_set: str, shift: float) -> dict[str, float]:
    table = pd.read_parquet(paper / f"results/{profile}/scores/visual/{model}__{image_set}.parquet")
    rows = table[(table.condition == "shift") & (table.value == shift)]
    return dict(zip(rows.image, rows.score, strict=True))


def test_one_command_writes_every_table_and_figure(paper):
    figures = paper / "results/made/figures"
    tables = {path.stem for path in (figures / "tables").glob("*.csv")}
    expected = {
        "textual",
        "visual",
        "normality",
        "verdicts",
        "hazards",
        "tradeoff",
        "claims",
        "own_images",
        "decomposition",
    }
    assert expected <= tables and "exam" not in tables
    assert len(list(figures.glob("*.png"))) >= 12
    notebooks = {path.stem for path in (figures / "notebooks").glob("*.ipynb")}
    assert "00_world" not in notebooks and {"01_textual_probe", "05_tradeoff", "10_claims"} <= notebooks
    texts = [path.read_text() for path in (figures / "notebooks").glob("*.ipynb")]
    assert not any("In the rendered world" in text for text in texts)
    claims = pd.read_csv(figures / "tables" / "claims.csv")
    assert set(claims.image_set) == {"360_real", "360_syn"} and len(claims) >= 8
    assert "Data and pipelines are up to date." in call(paper, "dvc", "status").stdout
    assert not call(paper, "git", "diff", "--stat", "--", "README.md", "figures").stdout


def test_a_listed_model_is_fetched_by_its_tag(paper):
    folder = paper / "results/made/models" / LISTED
    source = json.loads((folder / "source.json").read_text())
    assert source["pretrained"] == "laion400m_e32" and len(source["sha256"]) == 64
    assert json.loads((folder.with_name(QUICK) / "source.json").read_text())["sha256"] == source["sha256"]
    clip, pictures = load_clip(folder, device="cpu"), load_image_set(paper / "panoramas/360_real").head(4)
    ours = pd.concat(score_images(clip, pictures, shifts=2)).set_index("image").score
    plain = plain_scores(paper, "360_real", 0, "ViT-B-32", pretrained=str(folder / WEIGHTS))
    assert max(abs(ours[name] - max(plain[name], 0)) for name in ours.index) < 1e-3


@pytest.mark.parametrize("shift", [0, 128, 512])
def test_scores_are_those_of_open_clip(paper, shift):
    plain = plain_scores(paper, "360_real", shift, f"local-dir:{paper / 'made'}")
    ours = scored(paper, "made", MODEL, "360_real", shift / 1024)
    assert ours.keys() == plain.keys() and len(set(ours.values())) == COUNT
    assert max(abs(ours[name] - max(plain[name], 0)) for name in ours) < 1e-3


def test_the_activation_that_the_weights_were_trained_with_gives_other_scores(paper, tmp_path):
    plain = scored(paper, "made", MODEL, "360_real", 0.0)
    write_configuration(tmp_path, ARCHITECTURE | {"quick_gelu": True})
    shutil.copy(paper / "made" / WEIGHTS, tmp_path)
    clip, pictures = load_clip(tmp_path, device="cpu"), load_image_set(paper / "panoramas/360_real")
    quick = pd.concat(score_images(clip, pictures, shifts=2)).set_index("image").score
    reference = plain_scores(paper, "360_real", 0, f"local-dir:{tmp_path}")
    assert max(abs(quick[name] - max(reference[name], 0)) for name in plain) < 1e-3
    assert max(abs(quick[name] - plain[name]) for name in plain) > 1e-2


def test_as_released_scores_are_rounded_and_copies_are_files(paper, offline):
    succeeds(call(paper, "python", "-m", "pipeline.profiles", "made_released"))
    succeeds(call(paper, "dvc", "repro", "visual_probe", **offline))
    ours = scored(paper, "made_released", MODEL, "360_syn", 0.0)
    plain = plain_scores(paper, "360_syn", 0, f"local-dir:{paper / 'made'}")
    # By order: the captions belong to the pictures as sorted by name, whatever the table says.
    table = pd.read_csv(paper / "panoramas/360_syn/captions.csv")
    assert sorted(table.image) != table.image.tolist() and ours.keys() == plain.keys()
    assert all(score == round(score, 4) for score in ours.values())
    first = table.image[0] == sorted(table.image)[0]
    assert not first or abs(ours[table.image[0]] - plain[table.image[0]]) < 1e-3
    shifted = scored(paper, "made_released", MODEL, "360_real", 0.125)
    exact = scored(paper, "made", MODEL, "360_real", 0.125)
    assert shifted.keys() == exact.keys() and shifted != exact
    succeeds(call(paper, "python", "-m", "pipeline.profiles", "made"))


@pytest.mark.parametrize(
    ("change", "command", "sentence"),
    [
        (
            ("ViT-B-32, pretrained", "ViT-Z-9, pretrained"),
            ("fetch_model", LISTED),
            "ViT-Z-9 is no architecture of open_clip",
        ),
        (("laion400m_e32}", "laion2b_e16}"), ("fetch_model", LISTED), "could not be fetched and is not in the cache"),
        (("laion400m_e32}", "laion400m_e32, sha256: abc}"), ("fetch_model", LISTED), "expected abc"),
        (
            ("precision: float32", "precision: half"),
            ("score_probes", MODEL, "360_real"),
            "protocol.precision is 'half'",
        ),
        (
            ("data: panoramas", "data: pictures"),
            ("score_probes", MODEL, "360_real"),
            "pictures/360_real/captions.csv does",
        ),
        (("view: own", "view: multi_view"), ("finetune", "made_attention_l050"), "protocol.view is multi_view"),
    ],
)
def test_a_fault_is_told_in_one_sentence(paper, offline, change, command, sentence, monkeypatch):
    monkeypatch.chdir(paper)
    for name, value in offline.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(Path(offline["HF_HOME"], "hub")))
    params = Path("params.yaml")
    before = params.read_text()
    assert change[0] in before
    params.write_text(before.replace(*change))
    stage, *arguments = command
    with pytest.raises(SystemExit, match=sentence) as told:
        tell(importlib.import_module(f"stages.{stage}").main, *arguments)
    params.write_text(before)
    assert "\n" not in str(told.value)
    assert Path("results/made/models", LISTED, WEIGHTS).is_file()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: Image.new("RGB", (640, 512)).save(folder / "images" / "room 3.png"), "is 640 x 512: expected"),
        (lambda folder: (folder / "images" / "room 3.png").write_bytes(b"x"), "room 3.png cannot be read as a picture"),
    ],
)
def test_a_flawed_panorama_is_told_in_one_sentence(paper, offline, damage, sentence, tmp_path):
    folder = paper / "panoramas" / "360_syn"
    shutil.copytree(folder, tmp_path / "kept")
    damage(folder)
    done = call(paper, "dvc", "repro", "score_probes", **offline)
    shutil.rmtree(folder)
    shutil.move(tmp_path / "kept", folder)
    assert done.returncode != 0 and sentence in done.stderr and "Traceback" not in done.stderr


def test_a_set_too_small_for_the_tests_is_told(paper, offline):
    folder = paper / "panoramas" / "360_few"
    write_set(folder, 3)
    table = pd.read_csv(folder / "captions.csv")
    for name in table.image[5:]:
        (folder / "images" / name).unlink()
    table.head(5).to_csv(folder / "captions.csv", index=False)
    params = paper / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("image_sets: [360_real, 360_syn]", "image_sets: [360_few]"))
    done = call(paper, "dvc", "repro", "visual_probe", **offline)
    params.write_text(before)
    assert done.returncode != 0 and "images" in done.stderr and "Traceback" not in done.stderr
    assert "5" in done.stderr.split("failed with")[-1]
