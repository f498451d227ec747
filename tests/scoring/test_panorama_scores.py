"""Scores of single panoramas: against a plain loop, stopped and continued, and as a report."""

import os

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from clip360.data.image_set import load_image_set, read_panorama
from clip360.geometry.seam_measures import MEASURES
from clip360.models.clip import load_clip
from clip360.scoring.panorama_scores import camera_yaw, score_folder, score_panoramas
from tests.small_clips import small_clip


def noise(height: int, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, 2 * height, 3), dtype=np.uint8))


@pytest.fixture
def image_set(tmp_path):
    """Seven panoramas of two sizes with unruly names and captions, the images without a folder images/."""
    folder = tmp_path / "my panoramas"
    folder.mkdir()
    rows = []
    for k, name in enumerate(("a.png", "b b.png", "ç.jpg", "d.webp", "<e>.png", "f.png", "g.png")):
        noise(32 if k < 5 else 48, seed=k).save(folder / name)
        rows.append({"image": name, "caption": f'object {k}, "quoted",\nin <b>two</b> lines'})
    pd.DataFrame(rows).to_csv(tmp_path / "texts.csv", index=False)
    return load_image_set(folder, tmp_path / "texts.csv")


@pytest.fixture
def clip(tmp_path):
    small_clip(tmp_path / "models" / "small")
    return load_clip(tmp_path / "models" / "small", device="cpu")


@pytest.fixture
def n_batches(clip, monkeypatch):
    """Counts the batches that the network embeds; raises KeyboardInterrupt, as Ctrl-C does, in batch ``stop_at``."""
    forward = clip.network.visual.forward

    class Counter:
        count, stop_at = 0, None

        def __call__(self, inputs):
            self.count += 1
            if self.count == self.stop_at:
                raise KeyboardInterrupt
            return forward(inputs)

    counter = Counter()
    monkeypatch.setattr(clip.network.visual, "forward", counter)
    return counter


def stop_after_four_images(clip, image_set, folder, n_batches):
    """Two batches of two images, at two shifts each, are complete; the third stops in its second shift."""
    n_batches.count, n_batches.stop_at = 0, 6
    with pytest.raises(KeyboardInterrupt):
        score_folder(clip, image_set, folder, n_shifts=2, batch_size=2)
    n_batches.count, n_batches.stop_at = 0, None


def test_scores_equal_a_plain_loop(clip, image_set):
    scores = pd.concat(score_panoramas(clip, image_set, n_shifts=4, batch_size=2)).reset_index(drop=True)
    assert scores.image.tolist() == image_set.table.image.tolist()
    for row in scores.itertuples():
        image = np.array(Image.open(image_set.images / row.image).convert("RGB"))
        with torch.no_grad():
            text = clip.network.encode_text(clip.tokenize([row.caption]))
            shifted = [np.roll(image, k * image.shape[1] // 4, axis=1) for k in range(4)]
            image_embeds = [clip.network.encode_image(clip.preprocess(Image.fromarray(x))[None]) for x in shifted]
        expected = np.array([max(100 * torch.cosine_similarity(x, text).item(), 0) for x in image_embeds])
        actual = (row.score, row.robust, row.spread, row.worst)
        assert actual == pytest.approx((expected[0], expected.mean(), expected.std(), expected.min()), abs=1e-4)
        panorama = read_panorama(image_set.images / row.image)
        for name, measure in MEASURES.items():
            assert getattr(row, name) == pytest.approx(measure(panorama).item(), abs=1e-6), name
        assert row.worst_yaw in [camera_yaw(k / 4) for k in range(4) if expected[k] < expected.min() + 1e-4]


def test_a_stopped_run_continues_and_ends_with_the_same_files(clip, image_set, tmp_path, n_batches):
    complete = score_folder(clip, image_set, tmp_path / "complete", n_shifts=2, batch_size=2)
    stop_after_four_images(clip, image_set, tmp_path / "stopped", n_batches)
    partial = next((tmp_path / "stopped").glob("*.partial"))
    with partial.open("a") as file:
        file.write('torn.png,"half a')  # the incomplete row of a killed process
    continued = score_folder(clip, image_set, tmp_path / "stopped", n_shifts=2, batch_size=2)
    assert n_batches.count == 2 * 2  # the last three images, of two sizes, at two shifts
    pd.testing.assert_frame_equal(continued, complete)
    for name in ("scores.csv", "report.html"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "complete" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "stopped").iterdir()) == ["report.html", "scores.csv"]


def test_a_stopped_run_starts_again_where_an_image_has_changed(clip, image_set, tmp_path, n_batches):
    """Even if the new image has the old one's size in bytes and modification time, as after a copy that preserves times."""
    stop_after_four_images(clip, image_set, tmp_path / "report", n_batches)
    path = image_set.images / "b b.png"
    before = path.stat()
    noise(32, seed=99).save(path)
    content = path.read_bytes()
    path.write_bytes(content + bytes(before.st_size - len(content)) if len(content) < before.st_size else content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    continued = score_folder(clip, image_set, tmp_path / "report", n_shifts=2, batch_size=2)
    expected = pd.concat(score_panoramas(clip, image_set, n_shifts=2, batch_size=2)).reset_index(drop=True)
    assert continued.score.to_numpy() == pytest.approx(expected.score.to_numpy(), rel=1e-4)
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["report.html", "scores.csv"]


def test_a_stopped_run_starts_again_where_rows_were_lost(clip, image_set, tmp_path, n_batches):
    """After a power failure the file can be shorter than the rows that were reported as written."""
    stop_after_four_images(clip, image_set, tmp_path / "report", n_batches)
    partial = next((tmp_path / "report").glob("*.partial"))
    os.truncate(partial, partial.stat().st_size // 2)
    assert len(score_folder(clip, image_set, tmp_path / "report", n_shifts=2, batch_size=2)) == 7
    assert n_batches.count == 2 * 4  # all images, in four batches at two shifts


def test_the_report_escapes_names_and_captions(clip, image_set, tmp_path):
    score_folder(clip, image_set, tmp_path / "report", n_shifts=2)
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "&lt;e&gt;.png" in page and "<e>" not in page and "<b>two" not in page
    assert page.count("data:image/jpeg;base64,") == 4 * 7


def test_impossible_options_and_scores_are_one_sentence(clip, image_set):
    for options, message in (
        ({"n_shifts": 1}, "n_shifts is 1: expected at least 2"),
        ({"batch_size": 0}, "batch_size is 0: expected at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            list(score_panoramas(clip, image_set, **options))
    with torch.no_grad():
        clip.network.visual.proj.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"the score of a\.png is not a number"):
        list(score_panoramas(clip, image_set))
