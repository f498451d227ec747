"""Models, their training and their scores, against open_clip used plainly."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image

from lib.embedding import embed_images, embed_texts, perspective_view, truncated
from lib.exam import examine
from lib.models import load_clip, new_clip, save_weights
from lib.pretrain import normalise, train_clip
from lib.prompts import prompt
from lib.scoring import textual_scores

ARCHITECTURE = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "layers": 1, "width": 32, "head_width": 32},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "layers": 1, "width": 32, "heads": 1},
}
RECIPE = {"steps": 6, "batch": 16, "peak": 1e-3, "warmup": 2, "weight_decay": 0.1, "precision": "bfloat16", "seed": 0}
TEXTS = [[f"This is a photo of a {colour} cube", f"a {colour} cube"] for colour in ("red", "green", "blue", "pink") * 8]
IMAGES = torch.randint(0, 256, (32, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    """A trained checkpoint and its configuration."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "small.json").write_text(json.dumps(ARCHITECTURE))
    clip = new_clip("small", architecture=str(folder / "small.json"), seed=0)
    train_clip(clip, IMAGES, TEXTS, **RECIPE)
    save_weights(clip, folder / "small.safetensors")
    return {"architecture": str(folder / "small.json"), "pretrained": str(folder / "small.safetensors")}


def test_a_checkpoint_is_an_ordinary_one_of_open_clip(files):
    clip = load_clip("small", **files)
    network, _, preprocess = open_clip.create_model_and_transforms("small", pretrained=files["pretrained"])
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 96, 3), dtype=np.uint8))
    tokens = open_clip.get_tokenizer("small")(["a red cube"])
    with torch.no_grad():
        plain = network.eval()(preprocess(picture)[None], tokens)
        ours = clip.network(clip.preprocess(picture)[None], clip.tokenize(["a red cube"]))
    assert all(torch.equal(a, b) for a, b in zip(plain, ours, strict=True))


def test_training_is_the_same_bit_for_bit_and_lowers_the_loss(files):
    runs = []
    for _ in range(2):
        clip = new_clip("small", architecture=files["architecture"], seed=0)
        history = train_clip(clip, IMAGES, TEXTS, **RECIPE | {"steps": 12})
        runs.append((clip.network.state_dict(), history))
    assert all(torch.equal(runs[0][0][name], runs[1][0][name]) for name in runs[0][0])
    assert runs[0][1].equals(runs[1][1])
    assert runs[0][1].loss.tail(3).mean() < runs[0][1].loss.head(3).mean()


def test_training_sees_what_the_default_transform_shows(files):
    clip = load_clip("small", **files)
    plain = torch.stack([clip.preprocess(Image.fromarray(x.permute(1, 2, 0).numpy())) for x in IMAGES[:4]])
    assert torch.allclose(normalise(clip.network, IMAGES[:4]), plain, atol=1e-6)


def test_scores_equal_a_plain_loop(files):
    """Embedding once, in batches, against one picture and one text at a time."""
    clip = load_clip("small", **files)
    panoramas = torch.randint(0, 256, (5, 3, 32, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    table = pd.DataFrame({"image": [f"{k}.jpg" for k in range(5)], "caption": list("abcab"), "cue": ["360 photo"] * 5})
    views = {"panorama": lambda x: x, "perspective": perspective_view(yaw=0, pitch=0, fov=75, size=32)}
    embeddings = embed_images(clip, panoramas.split(2), views, total=5)
    scores = textual_scores(clip, table, embeddings, ["photo", "image"], image_set="set")
    assert len(scores) == 5 * 2 * 3
    for row in scores.itertuples():
        k = int(row.image[0])
        picture = views[row.view](panoramas[k : k + 1])[0]
        with torch.no_grad():
            image, text, _ = clip.network(
                clip.preprocess(Image.fromarray(picture.permute(1, 2, 0).numpy()))[None],
                clip.tokenize([prompt(row.value, table.caption[k])]),
            )
        assert row.score == pytest.approx(max(100 * float((image * text).sum()), 0), abs=1e-4)


def test_an_exam_of_perfect_and_of_shuffled_answers(files):
    """A model whose images are its own texts knows all; with the texts shuffled it knows nothing."""
    clip = load_clip("small", **files)
    labels = pd.DataFrame({"setting": ["beach"] * 32, "shape": [""] * 31 + ["cube"], "colour": [""] * 31 + ["red"]})
    exam = examine(clip, IMAGES, [f"text {k}" for k in range(32)], labels, gallery=16).set_index("task")
    assert exam.n.tolist() == [32, 1, 32, 32, 32, 32]
    assert exam.chance["image to text, R@5 of 16"] == 5 / 16
    images = embed_images(clip, [IMAGES], {"view": lambda x: x}, total=32)["view"]
    texts = embed_texts(clip, [f"text {k}" for k in range(32)])
    ranks = [
        sum((images[i] @ texts[j]) >= (images[i] @ texts[i]) for j in range(i // 16 * 16, i // 16 * 16 + 16))
        for i in range(32)
    ]
    assert exam.score["image to text, R@5 of 16"] == np.mean([rank <= 5 for rank in ranks])


def test_long_texts_are_told(files):
    clip = load_clip("small", **files)
    fits, longer = " ".join(["cube"] * 22), " ".join(["cube"] * 23)
    assert truncated(clip, [fits, longer]) == [longer]


def test_faults_are_told_in_one_sentence(files, tmp_path):
    with pytest.raises(ValueError, match="ViT-Z-9 is no architecture of open_clip"):
        load_clip("m", architecture="ViT-Z-9", pretrained="openai")
    with pytest.raises(
        FileNotFoundError, match="neither a checkpoint file nor one of the weights of ViT-B-32 .*laion400m_e32"
    ):
        load_clip("m", architecture="ViT-B-32", pretrained="laion9b")
    with pytest.raises(FileNotFoundError, match="none.json does not exist"):
        load_clip("m", architecture=str(tmp_path / "none.json"), pretrained=files["pretrained"])
    wider = tmp_path / "wider.json"
    wider.write_text(json.dumps(ARCHITECTURE | {"embed_dim": 48}))
    with pytest.raises(ValueError, match="do not fit the architecture wider") as told:
        load_clip("m", architecture=str(wider), pretrained=files["pretrained"])
    assert "\n" not in str(told.value)
    clip = new_clip("small", architecture=files["architecture"], seed=0)
    with pytest.raises(ValueError, match="precision is 'half'"):
        train_clip(clip, IMAGES, TEXTS, **RECIPE | {"precision": "half"})
    with pytest.raises(ValueError, match="batch is 64 but there are 32 pictures"):
        train_clip(clip, IMAGES, TEXTS, **RECIPE | {"batch": 64})
    with torch.no_grad():
        clip.network.visual.proj.fill_(torch.nan)
    table = pd.DataFrame({"image": ["a.jpg"], "caption": ["a"], "cue": ["photo"]})
    embeddings = embed_images(clip, [IMAGES[:1]], {"panorama": lambda x: x}, total=1)
    with pytest.raises(ValueError, match="some scores are not numbers"):
        textual_scores(clip, table, embeddings, ["image"], image_set="set")
    assert Path(files["pretrained"]).is_file()
