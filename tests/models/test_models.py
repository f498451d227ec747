"""Models, their training and their scores, against open_clip used plainly."""

import shutil
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image

from clip360.data.prompts import prompt
from clip360.evaluation.pretraining_evaluation import examine
from clip360.models.clip import WEIGHTS, load_clip, new_clip, normalise, save_weights, write_configuration
from clip360.models.pretraining import train_clip
from clip360.scoring.clip_score import textual_scores
from clip360.scoring.embedding import embed_images, embed_texts, truncated
from clip360.scoring.views import perspective_view
from tests.small_clips import small_clip

RECIPE = {"steps": 6, "batch": 16, "peak": 1e-3, "warmup": 2, "weight_decay": 0.1, "precision": "bfloat16", "seed": 0}
TEXTS = [[f"This is a photo of a {colour} cube", f"a {colour} cube"] for colour in ("red", "green", "blue", "pink") * 8]
IMAGES = torch.randint(0, 256, (32, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder of a trained model."""
    folder = tmp_path_factory.mktemp("models") / "small"
    clip = small_clip(folder)
    train_clip(clip, IMAGES, TEXTS, **RECIPE)
    save_weights(clip, folder)
    return folder


def test_a_checkpoint_is_an_ordinary_one_of_open_clip(folder):
    clip = load_clip(folder)
    network, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 96, 3), dtype=np.uint8))
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(["a red cube"])
    with torch.no_grad():
        plain = network.eval()(preprocess(picture)[None], tokens)
        ours = clip.network(clip.preprocess(picture)[None], clip.tokenize(["a red cube"]))
    assert all(torch.equal(a, b) for a, b in zip(plain, ours, strict=True))


def test_training_is_the_same_bit_for_bit_and_lowers_the_loss(folder):
    runs = []
    for _ in range(2):
        clip = new_clip(folder, seed=0)
        history = train_clip(clip, IMAGES, TEXTS, **RECIPE | {"steps": 12})
        runs.append((clip.network.state_dict(), history))
    assert all(torch.equal(runs[0][0][name], runs[1][0][name]) for name in runs[0][0])
    assert runs[0][1].equals(runs[1][1])
    assert runs[0][1].loss.tail(3).mean() < runs[0][1].loss.head(3).mean()


def test_training_sees_what_the_default_transform_shows(folder):
    clip = load_clip(folder)
    plain = torch.stack([clip.preprocess(Image.fromarray(x.permute(1, 2, 0).numpy())) for x in IMAGES[:4]])
    assert torch.allclose(normalise(clip.network, IMAGES[:4]), plain, atol=1e-6)


def test_scores_equal_a_plain_loop(folder):
    """Embedding once, in batches, against one picture and one text at a time."""
    clip = load_clip(folder)
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


def test_an_exam_of_perfect_and_of_shuffled_answers(folder):
    """A model whose images are its own texts knows all; with the texts shuffled it knows nothing."""
    clip = load_clip(folder)
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


def test_long_texts_are_told(folder):
    clip = load_clip(folder)
    fits, longer = " ".join(["cube"] * 22), " ".join(["cube"] * 23)
    assert truncated(clip, [fits, longer]) == [longer]


def test_faults_are_told_in_one_sentence(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="open_clip_config.json does not exist: expected the folder of a model"):
        load_clip(tmp_path)
    write_configuration(tmp_path / "empty", {"vision_cfg": {}})
    with pytest.raises(FileNotFoundError, match="empty holds no weights"):
        load_clip(tmp_path / "empty")
    small_clip(tmp_path / "wider", embed_dim=48)
    shutil.copy(folder / WEIGHTS, tmp_path / "wider" / WEIGHTS)
    with pytest.raises(ValueError, match="the weights in .*wider do not fit") as told:
        load_clip(tmp_path / "wider")
    assert "\n" not in str(told.value)
    (tmp_path / "wider" / WEIGHTS).write_bytes(b"none")
    with pytest.raises(ValueError, match="the weights in .*wider do not fit"):
        load_clip(tmp_path / "wider")
    clip = new_clip(folder, seed=0)
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
