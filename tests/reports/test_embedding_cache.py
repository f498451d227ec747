"""Embeddings on disk: a second run embeds nothing, and only what is new or damaged is computed."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clip360.data.image_set import load_image_set
from clip360.models.clip import load_clip
from clip360.models.protocol import Protocol
from clip360.reports.embedding_cache import EmbeddingCache
from clip360.reports.panorama_scores import score_panoramas
from tests.small_clips import small_clip


class Run:
    """Scores a folder of five panoramas with a cache, as a new process would, and counts what the two towers embed."""

    def __init__(self, folder):
        self.folder, self.set = folder, folder / "set"
        small_clip(folder / "small", seed=2)
        self.set.mkdir()
        for k in range(5):
            self.draw(k, seed=k)
        self.captions([f"object {k}" for k in range(5)])

    def draw(self, k: int, seed: int) -> None:
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(self.set / f"{k}.png")

    def captions(self, texts: list[str]) -> None:
        table = pd.DataFrame({"image": [f"{k}.png" for k in range(5)], "caption": texts})
        table.to_csv(self.set / "captions.csv", index=False)

    def __call__(self, cached: bool = True, protocols=("squash",), model="small", **protocol) -> pd.DataFrame:
        clip = load_clip(self.folder / model, protocol=Protocol(**{"view": "squash"} | protocol), device="cpu")
        self.n_images = self.n_texts = 0
        towers = {"n_images": clip.network.encode_image, "n_texts": clip.network.encode_text}

        def counting(name):
            def tower(inputs):
                setattr(self, name, getattr(self, name) + len(inputs))
                return towers[name](inputs)

            return tower

        clip.network.encode_image, clip.network.encode_text = counting("n_images"), counting("n_texts")
        cache = EmbeddingCache(self.folder / "cache", clip) if cached else None
        options = {"n_shifts": 2, "batch_size": 2, "protocols": protocols, "cache": cache}
        return pd.concat(score_panoramas(clip, load_image_set(self.set), **options))


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_a_second_run_embeds_nothing_and_gives_the_same_scores(run):
    first = run()
    assert (run.n_images, run.n_texts) == (5 * 2, 5)
    pd.testing.assert_frame_equal(run(), first)
    assert (run.n_images, run.n_texts) == (0, 0)
    pd.testing.assert_frame_equal(run(cached=False), first)
    assert run.n_images == 5 * 2


def test_only_what_is_new_is_embedded(run):
    run()
    run.captions(["object 0", "another", *(f"object {k}" for k in range(2, 5))])
    run()
    assert (run.n_images, run.n_texts) == (0, 1), "another caption"
    run.draw(3, seed=9)
    changed = run()
    assert (run.n_images, run.n_texts) == (2, 0), "a changed image at its two shifts"
    pd.testing.assert_frame_equal(changed, run(cached=False), rtol=1e-5)
    run(protocols=("squash", "cube-6"))
    assert run.n_images == 5 * 6, "the faces alone"
    (run.set / "3.png").rename(run.set / "kept.png")
    shutil.copy(run.set / "0.png", run.set / "3.png")
    (run.set / "kept.png").unlink()
    run()
    assert run.n_images == 0, "content counts, not the name"


def test_another_model_precision_or_activation_does_not_use_the_embeddings_of_this_one(run, tmp_path):
    small_clip(tmp_path / "other" / "small", seed=3)
    run()
    for options in (
        {"precision": "bfloat16"},
        {"activation": "quick_gelu"},
        {"resize": "tensor"},
        {"model": "other/small"},
    ):
        scores = run(**options)
        assert run.n_images == 5 * 2, options
        pd.testing.assert_frame_equal(scores, run(cached=False, **options), rtol=1e-4)


@pytest.mark.parametrize("damage", ["cut", "changed", "emptied"])
def test_a_damaged_file_is_reported_and_its_embeddings_are_computed_again(run, tmp_path, capsys, damage):
    first = run(protocols=())
    n_files = len(list((tmp_path / "cache").rglob("*")))
    largest = max((tmp_path / "cache").rglob("*.safetensors"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[-5] ^= 1  # a bit of an embedding: the file can still be read
    largest.write_bytes({"cut": content[:100], "changed": content, "emptied": b""}[damage])
    again = run(protocols=())
    assert f"{largest} is damaged: its embeddings are computed again" in capsys.readouterr().err
    assert run.n_images in (2, 4) and run.n_texts == 0
    pd.testing.assert_frame_equal(again, first, rtol=1e-5)
    run(protocols=())
    assert run.n_images == 0 and len(list((tmp_path / "cache").rglob("*"))) == n_files, "nothing partial is left"
