"""The profile `paper` from weights to tables, on random weights and synthetic panoramas.

ViT-B-32 is fetched by its tag and scored; all experiments of the profile run on a small network, on panoramas of 64 x 128 pixels.
"""

import importlib
import json
import re
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
from clip360.models.weights import WeightSource, fetch_clip
from clip360.reports.panorama_scores import score_panoramas
from clip360.scoring.embedding import embed_texts, truncated
from clip360.stats.adaptation_methods import FAMILIES
from pipeline import score_probes
from pipeline.error_messages import report
from pipeline.parameters import parse
from pipeline.profiles import compose
from tests.copies import call, copy_repository, succeeds

REPOSITORY = "timm/vit_base_patch32_clip_224.laion400m_e32"  # where open_clip fetches ViT-B-32, laion400m_e32
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LISTED, MODEL = "vit_b_32_laion400m", "made"
ARCHITECTURE = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 48, "patch_size": 16, "layers": 2, "width": 64, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "layers": 1, "width": 64, "heads": 1},
}
HEIGHT = 64  # of the panoramas
# In each set: below 14, scipy goes through all signs of tied differences, which took half the time of this file.
COUNT = 14
PAPER = parse(compose("paper"), "paper")
RUNS_OF_PAPER = [PAPER[section]["runs"] for section in ("finetune", "adaptation")]
# Of every method under every view the last run of its sweep over λ, and what the notebooks compare with it.
LAST = {
    (run["method"], run.get("view")): name
    for runs in RUNS_OF_PAPER
    for name, run in runs.items()
    if "epochs" not in run
}
TAKEN = (*LAST.values(), "paper_attention_l050", "paper_attention_l100", "paper_quarter_l050")
RUNS, OTHERS = ({name: run | {"model": MODEL} for name, run in runs.items() if name in TAKEN} for runs in RUNS_OF_PAPER)
TRAINING_FREE = {
    name: method | {"model": MODEL} for name, method in PAPER["adaptation"]["training_free"][LISTED].items()
}
PROFILE = f"""
extends: paper
profile: made
figures: results/made/figures
compute: {{threads: 1}}
models: [{MODEL}]
weights: !replace
  {MODEL}: {{architecture: made/{CONFIGURATION}, pretrained: made/{WEIGHTS}}}
  {LISTED}: {{architecture: ViT-B-32, pretrained: laion400m_e32}}
inference: {{alpha: 0.05, n_bootstrap: 40}}
visual_probe: {{n_curve_shifts: 8}}
textual_probe: {{control_view: {{size: {HEIGHT}}}}}
finetune:
  n_validation: 8
  optimisation: {{epochs: 1}}
  runs: !replace {json.dumps(RUNS)}
adaptation:
  base_model: {MODEL}
  runs: !replace {json.dumps(OTHERS)}
  training_free: !replace {json.dumps({MODEL: TRAINING_FREE})}
protocol_ablations:
  models: [{MODEL}]
  n_images: {COUNT}
  variants: !replace {{squash: {{view: squash}}, other_activation: {{activation: quick_gelu}}, by_order: {{pairing: order}}}}
crop_or_model:
  n_images: {COUNT}
  views: [center_crop, squash, wide]
  n_shifts: 4
  n_windows: 4
  token_analysis: {{models: [{MODEL}], views: [squash], n_images: 2}}
capabilities: {{matching: {{models: [{MODEL}], n_validation: 2, epochs: 2}}}}
live_figure: {{n_panoramas: 2, n_yaws: 8}}
own_panoramas: {{images: panoramas/360_real, model: results/made/models/{MODEL}, n_images: 4, n_shifts: 2}}
"""
RELEASED = f"""
extends: paper_released
profile: made_released
figures: results/made_released/figures
models: [{MODEL}]
weights: !replace {{{MODEL}: {{architecture: made/{CONFIGURATION}, pretrained: made/{WEIGHTS}}}}}
protocol: {{precision: float32}}
inference: {{alpha: 0.05}}
finetune:
  runs: !replace
    made_released_l100: {{model: {MODEL}, method: lora_as_released, lam: 1.0, shift_range: [0.0, 1.0]}}
protocol_ablations: {{models: [{MODEL}]}}
crop_or_model: {{token_analysis: {{models: [{MODEL}]}}}}
own_panoramas: {{model: results/made_released/models/{MODEL}}}
"""


def write_weights(path: Path, network: torch.nn.Module) -> None:
    """Random weights with a direction that images and texts have in common, so that scores are above 0."""
    torch.manual_seed(0)
    with torch.no_grad():
        image, text = network.visual.ln_post.bias, network.ln_final.bias
        image.copy_(torch.randn(len(image)))
        text.copy_(torch.randn(len(text)))
        network.text_projection.add_(torch.outer(text, image @ network.visual.proj) / text.square().sum())
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.half().state_dict(), path)  # half the bytes


def write_set(folder: Path, seed: int, *, count: int = COUNT, png: int | None = 3) -> None:
    """Panoramas of smooth noise, JPEG and one PNG (the number ``png``), one with a caption beyond 77 tokens."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    rows, rooms = [], ("a kitchen", "a hall")
    for k in range(count):
        name = f"room {k}.png" if k == png else f"szene_ä{k}.jpg"
        low = Image.fromarray(rng.integers(0, 256, (16, 32, 3), dtype=np.uint8))
        low.resize((2 * HEIGHT, HEIGHT), Image.Resampling.BICUBIC).save(folder / "images" / name, quality=95)
        rows.append({"image": name, "caption": " ".join(f"thing {k}{j}" for j in range(60 if k == 5 else 3))})
    cues = ["360 panorama", "360 photo"] * (count // 2)
    table = pd.DataFrame(rows).assign(cue=cues)
    if folder.name == "360_real":  # the only set whose categories are known
        table["category"] = [rooms[k % 2] for k in range(count)]
    table.to_csv(folder / "captions.csv", index=False)


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
        # By order, fine-tuning counts files that end in .jpg alone.
        if name == "360_train":
            write_set(folder / "panoramas" / name, seed, count=16, png=None)  # half of them for validation
        else:
            write_set(folder / "panoramas" / name, seed)
    write_configuration(folder / "made", ARCHITECTURE)
    write_weights(folder / "made" / WEIGHTS, new_clip(folder / "made", seed=0, device="cpu").network)
    for name, text in (("made", PROFILE), ("made_released", RELEASED)):
        (folder / "profiles" / f"{name}.yaml").write_text(text)
    succeeds(call(folder, "python", "-m", "pipeline.profiles", "made"))
    succeeds(call(folder, sys.executable, "-m", "pipeline.run_in_workers", **offline))
    return folder


def plain_scores(
    paper: Path, image_set: str, shift: int, model: str, *, by_order: bool = False, **weights: str
) -> dict[str, float]:
    """Scores as open_clip gives them, one image at a time, shifted by ``shift`` pixels before open_clip's transform.

    Captions belong to the image they name or, ``by_order``, the n-th caption to the n-th image by name.
    """
    network, _, preprocess = open_clip.create_model_and_transforms(model, **weights)
    tokenize, scores, folder = open_clip.get_tokenizer(model), {}, paper / "panoramas" / image_set
    table = pd.read_csv(folder / "captions.csv")
    if by_order:
        table["image"] = sorted(path.name for path in (folder / "images").iterdir())
    for row in table.itertuples():
        pixels = np.array(Image.open(folder / "images" / row.image))
        with torch.no_grad():
            image = network.eval().encode_image(preprocess(Image.fromarray(np.roll(pixels, shift, axis=1)))[None])
            text = network.encode_text(tokenize([f"This is a {row.cue} of {row.caption}"]))
        scores[row.image] = 100 * torch.cosine_similarity(image, text).item()
    return scores


def scored(paper: Path, profile: str, model: str, image_set: str, shift: float) -> dict[str, float]:
    table = pd.read_parquet(paper / f"results/{profile}/measurements/visual_probe/{model}__{image_set}.parquet")
    rows = table[(table.condition == "shift") & (table.level == shift)]
    return dict(zip(rows.image, rows.value, strict=True))


TABLES = (
    *(
        "01_textual_probe/cue_tests",
        "02_visual_shift_probe/shift_tests",
        "03_statistics/verdicts",
        "04_lora_finetuning/training",
    ),
    *("05_tradeoff/tradeoff", "05b_protocol_ablations/protocol_ablations", "06_crop_or_model/variance_decomposition"),
    *("07_adaptation_methods/dominance", "08_capabilities/zero_shot_classification", "08_capabilities/matching"),
    *(
        "08_capabilities/viewpoint_consistency",
        "08b_adaptation_costs/capability_changes",
        "09_score_your_panoramas/scores",
    ),
    "10_claims/claims",
)


def test_all_experiments_end_in_tables_and_notebooks(paper):
    figures = paper / "results/made/figures"
    assert [table for table in TABLES if not (figures / f"{table}.csv").is_file()] == []
    assert len(list(figures.glob("*/*.png"))) >= 20 and (figures / "live/index.html").is_file()
    notebooks = {path.stem: path.read_text() for path in figures.glob("*/*.ipynb")}
    assert notebooks.keys() == {path.stem for path in (paper / "notebooks").glob("*.ipynb")}
    empty = {name for name, text in notebooks.items() if "which the profile `made` leaves empty" in text}
    assert {"00_world", "00b_pretraining", "06b_panorama_fraction"} == empty
    assert all([path.name for path in (figures / name).iterdir()] == [f"{name}.ipynb"] for name in empty)
    claims = pd.read_csv(figures / "10_claims/claims.csv")
    assert set(claims.image_set) == {"360_real", "360_syn"} and set(claims.claim) == {"cues", "shifts", "gain", "cost"}
    assert not call(paper, "git", "diff", "--stat", "--", "README.md", "figures").stdout


def test_notebooks_say_nothing_of_the_rendered_world(paper):
    """And a claim about runs that the profile lacks says so."""
    figures = paper / "results/made/figures"
    notebooks = {path.stem: path.read_text() for path in figures.glob("*/*.ipynb")}
    said = (
        "the rendered world",
        "scene rendered again",
        "48 × 48",
        "four-layer",
        "four layers",
        "at our rate",
        "192 images",
        "192 scenes",
    )
    assert [(name, words) for name, text in notebooks.items() for words in said if words in text] == []
    assert "makes different images alike.** Not run." in notebooks["05_tradeoff"]
    assert "need scenes that are known exactly" in notebooks["08_capabilities"]


def test_every_family_of_methods_is_compared_and_one_run_of_each_method_chosen(paper):
    methods = pd.read_csv(paper / "results/made/figures/07_adaptation_methods/methods.csv")
    assert set(methods.method_family) == set(FAMILIES)
    assert methods[methods.chosen].method.is_unique and set(methods[methods.chosen].method) == set(methods.method)
    assert {"distilled, squash", "distilled_tower, squash", "omniview", "linear_head", "mlp_head"} <= set(
        methods.method
    )
    assert {f"average_{n}" for n in (2, 4, 8, 16)} <= set(methods.method)
    assert {f"single_pass, {view}" for view in ("squash", "letterbox", "wide", "multi_view")} <= set(methods.method)
    zero_shot = methods.zero_shot_change.notna()
    assert zero_shot.all(), "of the set with categories"


def test_zero_shot_classification_is_that_of_open_clip(paper):
    """On the set with the column category, of panoramas, by the ensemble of its format cues."""
    folder, model = paper / "panoramas/360_real", f"local-dir:{paper / 'made'}"
    network, _, preprocess = open_clip.create_model_and_transforms(model)
    tokenize, table = open_clip.get_tokenizer(model), pd.read_csv(folder / "captions.csv")
    rooms, unit = sorted(set(table.category)), torch.nn.functional.normalize
    with torch.no_grad():
        prompts = [[f"This is a {cue} of {room}" for cue in table.cue.unique()] for room in rooms]
        classes = torch.stack([unit(network.encode_text(tokenize(texts))).mean(0) for texts in prompts])
        images = torch.stack([preprocess(Image.open(folder / "images" / name).convert("RGB")) for name in table.image])
        scores = unit(network.eval().encode_image(images)) @ unit(classes).T
    expected = [rooms[k] == room for k, room in zip(scores.argmax(1).tolist(), table.category, strict=True)]
    measured = pd.read_parquet(paper / f"results/made/measurements/capabilities/{MODEL}.parquet")
    rows = measured[
        (measured.task == "scene_category") & (measured["view"] == "panorama") & (measured.measure == "rank")
    ]
    assert set(rows.image_set) == {"360_real"} and list(rows.image) == table.image.tolist()
    assert [value <= 1 for value in rows.value] == expected


def test_fine_tuning_by_two_processes_survives_the_death_of_one(paper, tmp_path):
    """Started again it continues after the last epoch, and ends with the same bytes."""
    params = paper / "params.yaml"
    before = params.read_text()
    once, often = "optimisation: {epochs: 1, batch_size: 16,", "optimisation: {epochs: 30, batch_size: 2,"
    assert before.count(once) == 1
    params.write_text(before.replace(once, often))
    kept = shutil.copytree(paper / "results/made/finetuned", tmp_path / "kept")
    succeeds(call(paper, sys.executable, "-m", "tests.killed_workers", "paper_attention_l050", str(tmp_path)))
    params.write_text(before)
    shutil.copytree(kept, paper / "results/made/finetuned", dirs_exist_ok=True)
    undisturbed, killed = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "undisturbed", tmp_path / "killed")
    )
    assert undisturbed == killed and undisturbed


def test_a_long_clip_checkpoint_reads_248_tokens(tmp_path, monkeypatch):
    """By the lines of docs/running.md, on a small network."""
    code = re.search(r"```python\n(import json.*?)```", Path("docs/running.md").read_text(), re.DOTALL)[1]
    long = ARCHITECTURE | {"text_cfg": ARCHITECTURE["text_cfg"] | {"context_length": 248}}
    write_configuration(tmp_path / "random", long)
    state = new_clip(tmp_path / "random", seed=0, device="cpu").network.state_dict()
    torch.save(state | {"positional_embedding_res": 2 * state["positional_embedding"]}, tmp_path / "longclip-B.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(open_clip, "get_model_config", lambda _: json.loads(json.dumps(ARCHITECTURE)))
    exec(code, {})
    source = WeightSource(f"long_clip/{CONFIGURATION}", "long_clip/longclip-B.safetensors")
    fetch_clip(tmp_path / "long", source)
    clip = load_clip(tmp_path / "long", device="cpu")
    found, before = clip.network.positional_embedding, state["positional_embedding"]
    assert torch.equal(found[:20], before[:20]) and torch.equal(found[20:], 2 * before[20:])
    words = ["thing"] * 200
    assert not truncated(clip, [" ".join(words)]) and truncated(clip, [" ".join(words * 2)])
    first, last = embed_texts(clip, [" ".join(words), " ".join([*words[:-1], "other"])])
    assert not torch.allclose(first, last)


@pytest.fixture
def offline_here(offline, monkeypatch) -> None:
    """Let this process, too, find the weights in the cache."""
    for name, value in offline.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(Path(offline["HF_HOME"], "hub")))


def test_a_listed_model_is_fetched_by_its_tag(paper, offline_here, tmp_path):
    folder = paper / "results/made/models" / LISTED
    source = json.loads((folder / "source.json").read_text())
    assert source["pretrained"] == "laion400m_e32" and len(source["sha256"]) == 64
    clip, images = load_clip(folder, device="cpu"), load_image_set(paper / "panoramas/360_real").head(4)
    ours = pd.concat(score_panoramas(clip, images, n_shifts=2)).set_index("image").score
    plain = plain_scores(paper, "360_real", 0, "ViT-B-32", pretrained=str(folder / WEIGHTS))
    assert max(abs(ours[name] - max(plain[name], 0)) for name in ours.index) < 1e-3
    fetch_clip(tmp_path / "quick", WeightSource("ViT-B-32-quickgelu", "laion400m_e32"))
    assert json.loads((tmp_path / "quick/source.json").read_text())["sha256"] == source["sha256"]


@pytest.mark.parametrize("shift", [0, HEIGHT // 4, HEIGHT])
def test_scores_are_those_of_open_clip(paper, shift):
    plain = plain_scores(paper, "360_real", shift, f"local-dir:{paper / 'made'}")
    ours = scored(paper, "made", MODEL, "360_real", shift / (2 * HEIGHT))
    assert ours.keys() == plain.keys() and len(set(ours.values())) == COUNT
    assert max(abs(ours[name] - max(plain[name], 0)) for name in ours) < 1e-3


def test_the_activation_that_the_weights_were_trained_with_gives_other_scores(paper, tmp_path):
    plain = scored(paper, "made", MODEL, "360_real", 0.0)
    write_configuration(tmp_path, ARCHITECTURE | {"quick_gelu": True})
    shutil.copy(paper / "made" / WEIGHTS, tmp_path)
    clip, images = load_clip(tmp_path, device="cpu"), load_image_set(paper / "panoramas/360_real")
    quick = pd.concat(score_panoramas(clip, images, n_shifts=2)).set_index("image").score
    reference = plain_scores(paper, "360_real", 0, f"local-dir:{tmp_path}")
    assert max(abs(quick[name] - max(reference[name], 0)) for name in plain) < 1e-3
    assert max(abs(quick[name] - plain[name]) for name in plain) > 1e-2


def test_as_released_scores_are_rounded_and_copies_are_files(paper, offline):
    succeeds(call(paper, "python", "-m", "pipeline.profiles", "made_released"))
    succeeds(call(paper, "dvc", "repro", "visual_probe", **offline))
    ours = scored(paper, "made_released", MODEL, "360_syn", 0.0)
    by_order, by_name = (
        plain_scores(paper, "360_syn", 0, f"local-dir:{paper / 'made'}", by_order=order) for order in (True, False)
    )
    assert ours.keys() == by_order.keys() and all(score == round(score, 4) for score in ours.values())
    assert max(abs(ours[name] - by_order[name]) for name in ours) < 1e-3
    assert max(abs(ours[name] - by_name[name]) for name in ours) > 1e-2  # so that the order makes a difference here
    shifted = scored(paper, "made_released", MODEL, "360_real", 0.125)
    exact = scored(paper, "made", MODEL, "360_real", 0.125)
    assert shifted.keys() == exact.keys() and shifted != exact
    succeeds(call(paper, "python", "-m", "pipeline.profiles", "made"))


@pytest.mark.parametrize(
    ("change", "command", "message"),
    [
        (
            ("ViT-B-32, pretrained", "ViT-Z-9, pretrained"),
            ("fetch_model", LISTED),
            "architecture. is .ViT-Z-9.: expected an architecture of open_clip, .* did you mean ViT-",
        ),
        (("laion400m_e32}", "laion2b_e16}"), ("fetch_model", LISTED), "could not be fetched and is not in the cache"),
        (("laion400m_e32}", f"laion400m_e32, sha256: {'ab' * 32}}}"), ("fetch_model", LISTED), f"expected {'ab' * 32}"),
        (
            ("precision: float32", "precision: half"),
            ("score_probes", MODEL, "360_real"),
            "protocol.precision. is half|'half'",
        ),
        (
            ("data: panoramas", "data: pictures"),
            ("score_probes", MODEL, "360_real"),
            "`image_sets.0.` names pictures/360_real, which is not a folder",
        ),
    ],
)
def test_a_fault_is_reported_in_one_sentence(paper, offline_here, change, command, message, monkeypatch):
    monkeypatch.chdir(paper)
    params = Path("params.yaml")
    before = params.read_text()
    assert change[0] in before
    params.write_text(before.replace(*change, 1))
    script, *arguments = command
    try:
        with pytest.raises(SystemExit, match=message) as ended:
            report(importlib.import_module(f"pipeline.{script}").main, *arguments)
    finally:
        params.write_text(before)
    first, *others = str(ended.value).split("\n")
    assert all(line.startswith("params.yaml: `") for line in (first, *others) if others)  # a line for each fault
    assert Path("results/made/models", LISTED, WEIGHTS).is_file()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: Image.new("RGB", (80, 64)).save(folder / "images" / "room 3.png"), "is 80 x 64: expected"),
        (lambda folder: (folder / "images" / "room 3.png").write_bytes(b"x"), "room 3.png cannot be read as an image"),
    ],
)
def test_a_flawed_panorama_is_reported_in_one_sentence(paper, damage, message, monkeypatch):
    monkeypatch.chdir(paper)
    path = Path("panoramas/360_syn/images/room 3.png")
    before = path.read_bytes()
    damage(path.parents[1])
    with pytest.raises(SystemExit, match=message) as ended:
        report(score_probes.main, MODEL, "360_syn")
    path.write_bytes(before)
    assert "\n" not in ended.value.code


def test_a_fault_in_the_data_is_reported_through_dvc_and_costs_nothing(paper, offline):
    captions = paper / "panoramas/360_syn/captions.csv"
    before = captions.read_text()
    captions.write_text(before.replace("room 3.png", "nowhere.jpg"))
    done = call(paper, "dvc", "repro", "score_probes", **offline)
    captions.write_text(before)
    assert done.returncode != 0 and "Traceback" not in done.stdout + done.stderr
    assert "nowhere.jpg is named in captions.csv, but there is no such" in done.stderr
    again = succeeds(call(paper, "dvc", "repro", "score_probes", **offline))
    assert "is cached - skipping run" in again and "> python" not in again


def test_a_set_too_small_for_the_tests_is_reported(paper, offline):
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
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "360_few with 5 images: expected at least 8" in done.stderr
