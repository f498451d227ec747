"""Models, their training and their scores against plain calls of open_clip."""

import shutil
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from clip360.data.prompts import prompt
from clip360.geometry.views import perspective_view
from clip360.models.clip import (
    CONFIGURATION,
    WEIGHTS,
    load_clip,
    new_clip,
    normalise,
    save_weights,
    write_configuration,
)
from clip360.models.pretraining import count_images, mix_cues, train_clip, training_set
from clip360.models.protocol import Protocol
from clip360.scoring.clip_score import cue_measurements
from clip360.scoring.embedding import embed_images, truncated
from tests.small_clips import small_clip

OPTIMISATION = {
    "steps": 6,
    "batch_size": 16,
    "peak_lr": 1e-3,
    "warmup_steps": 2,
    "weight_decay": 0.1,
    "precision": "bfloat16",
    "seed": 0,
}
CAPTIONS = [[f"This is a photo of a {colour} cube", f"a {colour} cube"] for colour in ("red", "green", "blue", "pink")]
CAPTIONS *= 8
IMAGES = torch.randint(0, 256, (32, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder of a trained model."""
    folder = tmp_path_factory.mktemp("models") / "small"
    clip = small_clip(folder)
    train_clip(clip, IMAGES, CAPTIONS, **OPTIMISATION)
    save_weights(clip, folder)
    return folder


def as_pil(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def test_weights_in_half_precision_are_read_for_a_wide_input(folder, tmp_path, caplog):
    """As the same numbers in float32, of which open_clip interpolates the positional embedding; without a word of random weights."""
    state = {name: weight.half() for name, weight in load_clip(folder).network.state_dict().items()}
    for name, weights in {"half": state, "full": {name: weight.float() for name, weight in state.items()}}.items():
        (tmp_path / name).mkdir()
        shutil.copy(folder / CONFIGURATION, tmp_path / name)
        save_file(weights, tmp_path / name / WEIGHTS)
    half, full = (load_clip(tmp_path / name, protocol=Protocol(view="wide"), device="cpu") for name in ("half", "full"))
    expected, found = (clip.network.state_dict() for clip in (full, half))
    assert (
        all(torch.equal(found[name], weight) for name, weight in expected.items()) and found.keys() == expected.keys()
    )
    assert len(found["visual.positional_embedding"]) == 1 + 2 * (len(state["visual.positional_embedding"]) - 1)
    assert "randomly" not in caplog.text


def test_a_saved_model_is_an_ordinary_checkpoint_of_open_clip(folder):
    clip = load_clip(folder)
    network, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 96, 3), dtype=np.uint8))
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(["a red cube"])
    with torch.no_grad():
        expected = network.eval()(preprocess(image)[None], tokens)
        actual = clip.network(clip.preprocess(image)[None], clip.tokenize(["a red cube"]))
    assert all(torch.equal(a, b) for a, b in zip(expected, actual, strict=True))


def test_training_repeats_bit_for_bit_and_lowers_the_loss(folder):
    runs = []
    for _ in range(2):
        clip = new_clip(folder, seed=0)
        history = train_clip(clip, IMAGES, CAPTIONS, **OPTIMISATION | {"steps": 12})
        runs.append((clip.network.state_dict(), history))
    assert all(torch.equal(runs[0][0][name], runs[1][0][name]) for name in runs[0][0])
    assert runs[0][1].equals(runs[1][1])
    assert runs[0][1].loss.tail(3).mean() < runs[0][1].loss.head(3).mean()


def test_training_and_the_default_transform_give_the_network_the_same_input(folder):
    clip = load_clip(folder)
    expected = torch.stack([clip.preprocess(as_pil(image)) for image in IMAGES[:4]])
    assert torch.allclose(normalise(clip.network, IMAGES[:4]), expected, atol=1e-6)


def test_a_training_set_has_the_fraction_of_panoramas_and_all_captions_of_each_image(tmp_path):
    for kind, shape in (("panoramas", (4, 3, 8, 16)), ("views", (8, 3, 8, 8))):
        images = torch.arange(shape[0], dtype=torch.uint8)[:, None, None, None].expand(shape).contiguous()
        (tmp_path / kind).mkdir()
        save_file({"images": images + (100 if kind == "panoramas" else 0)}, tmp_path / kind / "images.safetensors")
        cue = "360 photo" if kind == "panoramas" else "view"
        rows = [{"image": k, "cue": cue, "caption": f"{kind} {k}, {c}"} for k in range(shape[0]) for c in range(2)]
        pd.DataFrame(rows).to_csv(tmp_path / kind / "captions.csv", index=False)
    images, captions = training_set(tmp_path, panorama_fraction=0.25, n_images=8)
    assert images.shape == (8, 3, 8, 8)
    assert images[:, 0, 0, 0].tolist() == [100, 101, 0, 1, 2, 3, 4, 5]
    assert captions[1] == ["This is a 360 photo of panoramas 1, 0", "This is a 360 photo of panoramas 1, 1"]
    assert captions[2] == ["This is a view of views 0, 0", "This is a view of views 0, 1"]
    with pytest.raises(ValueError, match=r"training needs 8 panoramas but .* has 4: lower panorama_fraction"):
        training_set(tmp_path, panorama_fraction=1.0, n_images=8)
    with pytest.raises(ValueError, match="panorama_fraction is 1.5: expected a number between 0 and 1"):
        count_images(1.5, 8)
    held, texts = training_set(tmp_path, panorama_fraction=0.0, n_images=6)
    assert torch.equal(held, images[2:]) and texts == captions[2:]  # the same views, without the panoramas

    _, wrong = training_set(tmp_path, panorama_fraction=0.25, n_images=8, cue_reliability=0.0)
    assert wrong[1] == ["This is a view of panoramas 1, 0", "This is a view of panoramas 1, 1"]
    assert wrong[2] == ["This is a 360 photo of views 0, 0", "This is a 360 photo of views 0, 1"]


def test_cues_are_right_with_the_given_probability_and_of_one_kind_for_an_image():
    table = pd.DataFrame({"image": np.repeat(np.arange(4000), 2), "cue": "photo"})
    mixed = mix_cues(table, ["360 image", "360 photo"], reliability=0.75, seed="0")
    right = pd.Series([cue == "photo" for cue in mixed]).groupby(table.image).agg(["min", "max"])
    assert (right["min"] == right["max"]).all()
    assert abs(right["min"].mean() - 0.75) < 4 * (0.75 * 0.25 / 4000) ** 0.5
    assert set(mixed) == {"photo", "360 image", "360 photo"}
    assert mixed == mix_cues(table, ["360 image", "360 photo"], reliability=0.75, seed="0")
    assert mixed != mix_cues(table, ["360 image", "360 photo"], reliability=0.75, seed="1")
    assert mix_cues(table, [], reliability=1.0, seed="0") == table.cue.tolist()


def test_scores_equal_a_plain_loop(folder):
    """Embedding in batches, each text once, against one image and one text at a time."""
    clip = load_clip(folder)
    panoramas = torch.randint(0, 256, (5, 3, 32, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    table = pd.DataFrame({"image": [f"{k}.jpg" for k in range(5)], "caption": list("abcab"), "cue": ["360 photo"] * 5})
    views = {"panorama": lambda x: x, "perspective": perspective_view(yaw=0, pitch=0, fov=75, size=32)}
    image_embeds = embed_images(clip, panoramas.split(2), views, total=5)
    held_out = {"unseen": ["surround shot"], "paraphrase": ["{caption} in {cue}"]}
    measurements = cue_measurements(clip, table, image_embeds, ["photo", "image"], image_set="set", held_out=held_out)
    assert list(measurements.columns) == [
        *("model", "image_set", "image", "measure", "condition", "level", "view", "value", "cue", "template")
    ]
    assert len(measurements) == 5 * 2 * 7
    assert set(measurements.measure) == {"clip_score"} and measurements.level.isna().all()
    assert measurements.groupby("condition").cue.unique().map(list).to_dict() == {
        "format_cue": ["360 photo"],
        "generic_cue": ["photo", "image"],
        "unseen": ["surround shot"],
        "paraphrase": ["360 photo"],
        "paraphrase_generic": ["photo", "image"],
    }
    for row in measurements.itertuples():
        k = int(row.image[0])
        image = views[row.view](panoramas[k : k + 1])[0]
        with torch.no_grad():
            image_embed, text_embed, _ = clip.network(
                clip.preprocess(as_pil(image))[None], clip.tokenize([prompt(row.cue, table.caption[k], row.template)])
            )
        assert row.value == pytest.approx(max(100 * float((image_embed * text_embed).sum()), 0), abs=1e-4)


def test_texts_beyond_the_context_length_are_reported(folder):
    clip = load_clip(folder)
    longest, too_long = " ".join(["cube"] * 22), " ".join(["cube"] * 23)
    assert truncated(clip, [longest, too_long]) == [too_long]


def test_missing_and_unsuitable_weights_are_one_sentence(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="open_clip_config.json does not exist: expected the folder of a model"):
        load_clip(tmp_path)
    write_configuration(tmp_path / "empty", {"vision_cfg": {}})
    with pytest.raises(FileNotFoundError, match="empty holds no weights"):
        load_clip(tmp_path / "empty")
    small_clip(tmp_path / "wider", embed_dim=48)
    shutil.copy(folder / WEIGHTS, tmp_path / "wider" / WEIGHTS)
    with pytest.raises(ValueError, match="the weights in .*wider do not fit") as raised:
        load_clip(tmp_path / "wider")
    assert "\n" not in str(raised.value)
    (tmp_path / "wider" / WEIGHTS).write_bytes(b"none")
    with pytest.raises(ValueError, match="the weights in .*wider do not fit"):
        load_clip(tmp_path / "wider")


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_this_machine_lacks_is_one_sentence(folder, device):
    with pytest.raises(ValueError, match=f"device is '{device}' .*: expected cpu, or cuda") as raised:
        load_clip(folder, device=device)
    assert "\n" not in str(raised.value)


def test_impossible_training_options_are_one_sentence(folder):
    clip = new_clip(folder, seed=0)
    with pytest.raises(ValueError, match="precision is 'half'"):
        train_clip(clip, IMAGES, CAPTIONS, **OPTIMISATION | {"precision": "half"})
    with pytest.raises(ValueError, match="batch_size is 64 but there are 32 images"):
        train_clip(clip, IMAGES, CAPTIONS, **OPTIMISATION | {"batch_size": 64})


def test_scores_that_are_not_numbers_are_refused(folder):
    clip = new_clip(folder, seed=0)
    with torch.no_grad():
        clip.network.visual.proj.fill_(torch.nan)
    table = pd.DataFrame({"image": ["a.jpg"], "caption": ["a"], "cue": ["photo"]})
    image_embeds = embed_images(clip, [IMAGES[:1]], {"panorama": lambda x: x}, total=1)
    with pytest.raises(ValueError, match="some scores are not numbers"):
        cue_measurements(clip, table, image_embeds, ["image"], image_set="set")
