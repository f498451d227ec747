"""Zero-shot classification against scikit-learn and plain loops; class folders on disk."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.metrics import roc_auc_score, top_k_accuracy_score

from clip360.data.prompts import prompt
from clip360.evaluation.class_folders import class_folders, classify_folders
from clip360.evaluation.classification import answers, class_scores, presence
from tests.small_clips import small_clip


def test_an_ensemble_is_the_normalised_mean_of_its_prompts():
    prompts = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [-1.0, 0.0]]])
    scores = class_scores(torch.tensor([[1.0, 0.0]]), prompts)
    assert torch.allclose(scores, torch.tensor([[0.5**0.5, -1.0]]))


def test_top_k_accuracy_is_that_of_scikit_learn():
    scores, labels = torch.randn(200, 7, generator=torch.Generator().manual_seed(0)), torch.arange(200) % 7
    table = answers(scores, labels, list("abcdefg"), scale=3.0)
    for k in (1, 5):
        assert (table["rank"] <= k).mean() == pytest.approx(top_k_accuracy_score(labels, scores, k=k))
    assert (table.predicted == table["class"]).tolist() == (table["rank"] == 1).tolist()


def test_presence_is_the_area_under_the_roc_curve():
    rng = np.random.default_rng(0)
    scores, present = rng.integers(0, 5, (50, 8)) / 4, rng.random((50, 8)) < 0.5
    present[:, 0], present[:, 1] = True, False  # at least one class of each kind
    ours = presence(torch.tensor(scores, dtype=torch.float), torch.tensor(present))
    assert ours.tolist() == pytest.approx([roc_auc_score(p, s) for p, s in zip(present, scores, strict=True)])


def test_images_in_folders_are_classified(tmp_path):
    """As by a loop over the files with the model's own functions."""
    clip = small_clip(tmp_path / "clip")
    rng = np.random.default_rng(0)
    for name in ("red_cup", "blue_cup"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in range(3):
            image = Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
            image.save(tmp_path / "set" / name / f"{k}.png")
    templates = [partial(prompt, "photo"), partial(prompt, "image")]
    table = classify_folders(clip, class_folders(tmp_path / "set", clip), templates, batch_size=4)
    assert table.image.tolist() == [f"{name}/{k}.png" for name in ("blue_cup", "red_cup") for k in range(3)]
    names = ["blue cup", "red cup"]
    with torch.no_grad():
        texts = [[clip.network.encode_text(clip.tokenize([t(name)]))[0] for t in templates] for name in names]
        weights = [F.normalize(sum(F.normalize(text, dim=0) for text in prompts), dim=0) for prompts in texts]
        for row in table.itertuples():
            inputs = clip.preprocess(Image.open(tmp_path / "set" / row.image))[None]
            image_embed = F.normalize(clip.network.encode_image(inputs)[0], dim=0)
            scores = torch.stack([image_embed @ weight for weight in weights])
            assert row.predicted == names[int(scores.argmax())]
            probabilities = (clip.network.logit_scale.exp() * scores).softmax(0)
            assert row.confidence == pytest.approx(probabilities.max().item(), abs=1e-5)


def test_an_unreadable_image_is_named(tmp_path):
    clip = small_clip(tmp_path / "clip")
    with pytest.raises(FileNotFoundError, match="set: not a directory"):
        class_folders(tmp_path / "set", clip)
    (tmp_path / "set" / "cup").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="expected a folder of images for each class"):
        class_folders(tmp_path / "set", clip)
    (tmp_path / "set" / "cup" / "broken.png").write_bytes(b"x")
    images = class_folders(tmp_path / "set", clip)
    with pytest.raises(ValueError, match="broken.png"):
        classify_folders(clip, images, [str], batch_size=2)
