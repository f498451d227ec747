"""What tuning gained, against plain loops over panoramas and shifts, and against the pipeline's own comparison."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from clip360.data.image_set import ImageSet
from clip360.geometry.panorama import circular_shift
from clip360.models.clip import Clip, load_clip
from clip360.models.protocol import Protocol
from clip360.stats.inference import Inference
from clip360.stats.tradeoff import compared_measures
from clip360.tuning.evaluation import compare, measure
from tests.small_clips import small_clip

N, WIDTH = 9, 64
BETWEEN = [1 / 32 + k / 8 for k in range(8)]
INFERENCE = Inference(0.01, 50, 0)


@pytest.fixture(scope="module")
def panoramas(tmp_path_factory) -> ImageSet:
    folder, rng = tmp_path_factory.mktemp("set"), np.random.default_rng(1)
    names = [f"{k}.png" for k in range(N)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (WIDTH // 2, WIDTH, 3), dtype=np.uint8)).save(folder / name)
    table = pd.DataFrame({"image": names, "caption": [f"thing {k}" for k in range(N)]})
    return ImageSet("set", folder, folder, table)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[Clip]:
    """Two models that squash panoramas, with scores above zero: the second has a little noise on its weights."""
    folder: Path = tmp_path_factory.mktemp("models") / "small"
    small_clip(folder, seed=2, layers=2)
    first, second = (load_clip(folder, protocol=Protocol(view="squash"), device="cpu") for _ in range(2))
    torch.manual_seed(0)
    second.network.visual.proj.data += 0.02 * torch.randn_like(second.network.visual.proj)
    return [first, second]


@torch.no_grad()
def by_loops(clip: Clip, panoramas: ImageSet) -> tuple[float, float, float]:
    """Instability of the score, of the embedding, and R@1 over shifts, one image at a time."""

    def embed(panorama: torch.Tensor) -> np.ndarray:
        image = Image.fromarray(panorama.permute(1, 2, 0).numpy()).resize((32, 32), Image.BICUBIC)
        mean, std = (np.array(x) for x in (clip.network.visual.image_mean, clip.network.visual.image_std))
        pixels = torch.tensor(((np.asarray(image) / 255 - mean) / std).transpose(2, 0, 1)[None], dtype=torch.float32)
        return clip.network.encode_image(pixels, normalize=True)[0].double().numpy()

    texts = clip.network.encode_text(clip.tokenize(panoramas.texts), normalize=True).double().numpy()
    shifts = [0.0, *(k / 8 for k in range(1, 8)), *BETWEEN]
    images = [panoramas.read(name) for name in panoramas.table.image]
    embeds = {x: np.stack([embed(circular_shift(p, round(x * WIDTH))) for p in images]) for x in shifts}
    scores = {x: 100 * np.maximum((found * texts).sum(1), 0) for x, found in embeds.items()}
    changes = np.array([[scores[x][k] - scores[0.0][k] for x in BETWEEN] for k in range(N)])
    levels = np.array([[scores[x][k] for x in (0.0, *BETWEEN)] for k in range(N)]).mean(1)
    of_score = np.sqrt((changes**2).mean() / 2) / levels.std()
    within = np.mean([1 - embeds[x][k] @ embeds[0.0][k] for x in BETWEEN for k in range(N)])
    between = np.mean([1 - embeds[0.0][a] @ embeds[0.0][b] for a in range(N) for b in range(N) if a != b])
    hits = []
    for found in embeds.values():
        similarity = found @ texts.T
        hits += [similarity.argmax(1) == np.arange(N), similarity.argmax(0) == np.arange(N)]
    return of_score, np.sqrt(within / between), np.mean(hits)


def test_every_measure_is_that_of_plain_loops(clips, panoramas):
    table = compare(*(measure(clip, panoramas, batch_size=4) for clip in clips), inference=INFERENCE).set_index(
        "measure"
    )
    measures = ["instability", "embedding_instability", "recall"]
    for column, clip in zip(("before", "after"), clips, strict=True):
        assert table.loc[measures, column].tolist() == pytest.approx(by_loops(clip, panoramas), rel=2e-2)
    ratio = table.after / table.before
    assert table.change[measures[:2]].to_numpy() == pytest.approx(ratio[measures[:2]].to_numpy())
    assert table.change["recall"] == pytest.approx(table.after["recall"] - table.before["recall"])
    assert (table.before_low <= table.before).all() and (table.change <= table.change_high).all()


def test_the_ratio_is_that_of_the_pipelines_comparison(clips, panoramas):
    before, after = (measure(clip, panoramas, batch_size=4) for clip in clips)
    table = compare(before, after, inference=INFERENCE).set_index("measure")
    outcomes = [
        {"score": x.values["level"], "changes": x.values["level"][None]} | dict(x.values) for x in (after, before)
    ]
    for outcome in outcomes:
        outcome |= {"inter_image_cosine": outcome["level"], "zero_shot": [], "zero_shot_perspective": []}
    values, statistic = compared_measures(*outcomes)["instability_ratio"]
    assert table.change["instability"] == pytest.approx(float(statistic(values)))


def test_without_captions_the_embedding_alone_is_measured(clips, panoramas):
    bare = replace(panoramas, table=panoramas.table[["image"]])
    with_captions, without = (
        compare(*(measure(clip, images, batch_size=4) for clip in clips), inference=INFERENCE).set_index("measure")
        for images in (panoramas, bare)
    )
    assert list(without.index) == ["embedding_instability"]
    assert without.loc["embedding_instability"].equals(with_captions.loc["embedding_instability"])
