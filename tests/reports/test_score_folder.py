"""The files of a scored folder: stopped and continued, with duplicates, as a report; and one run at a time."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clip360.reports.folder_lock import LOCK, folder_lock
from clip360.reports.panorama_scores import score_panoramas
from clip360.reports.report_files import read_scores
from clip360.reports.score_folder import score_folder
from tests.reports.conftest import noise

FILES = ["scores.csv", "scores.jsonl"]
TWO_BY_TWO = {"n_shifts": 2, "batch_size": 2}


@pytest.fixture
def inputs(clip, monkeypatch):
    """Counts what the network embeds; raises KeyboardInterrupt, as Ctrl-C does, in batch ``stop_at``."""
    forward = clip.network.visual.forward

    class Counter:
        count, n_images, stop_at = 0, 0, None

        def __call__(self, inputs):
            self.count, self.n_images = self.count + 1, self.n_images + len(inputs)
            if self.count == self.stop_at:
                raise KeyboardInterrupt
            return forward(inputs)

    counter = Counter()
    monkeypatch.setattr(clip.network.visual, "forward", counter)
    return counter


def stop_after_four_images(clip, image_set, folder, inputs):
    """Two batches of two images, at two shifts each, are complete; the third stops in its second shift."""
    inputs.count, inputs.stop_at = 0, 6
    with pytest.raises(KeyboardInterrupt):
        score_folder(clip, image_set, folder, **TWO_BY_TWO)
    inputs.count, inputs.n_images, inputs.stop_at = 0, 0, None


def names_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_stopped_run_continues_and_ends_with_the_same_files(clip, image_set, tmp_path, inputs, capsys, monkeypatch):
    complete = score_folder(clip, image_set, tmp_path / "complete", **TWO_BY_TWO)
    stop_after_four_images(clip, image_set, tmp_path / "stopped", inputs)
    monkeypatch.setattr("clip360.reports.score_folder.ROWS_AT_ONCE", 3)
    partial = next((tmp_path / "stopped").glob("*.partial"))
    with partial.open("a") as file:
        file.write('{"image": "torn.png", "caption": "half a')  # the incomplete line of a killed process
    continued = score_folder(clip, image_set, tmp_path / "stopped", **TWO_BY_TWO)
    assert inputs.n_images == 3 * 2  # the last three images at two shifts
    assert "continuing a stopped run: 4 of 7 panoramas are scored, 0 have changed" in capsys.readouterr().err
    pd.testing.assert_frame_equal(continued, complete)
    for name in FILES:
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "complete" / name).read_bytes()
    assert names_in(tmp_path / "stopped") == FILES
    lines = [json.loads(line) for line in (tmp_path / "complete" / "scores.jsonl").read_text().splitlines()]
    table = read_scores(tmp_path / "complete")
    assert [line["image"] for line in lines] == table.image.tolist() == image_set.table.image.tolist()
    assert [line["robust"] for line in lines] == table.robust.tolist()
    for line in lines:
        assert line["robust"] == pytest.approx(np.mean(list(line["by_group"]["shifts"].values())), rel=1e-5)


def test_an_image_or_text_that_changed_is_scored_again_and_the_others_are_not(
    clip, image_set, tmp_path, inputs, capsys
):
    """Even if the new image has the old one's size in bytes and modification time, as after a copy that preserves times."""
    stop_after_four_images(clip, image_set, tmp_path / "report", inputs)
    path = image_set.images / "b b.png"
    before = path.stat()
    noise(32, seed=99).save(path)
    content = path.read_bytes()
    path.write_bytes(content + bytes(before.st_size - len(content)) if len(content) < before.st_size else content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    image_set.table.loc[3, "caption"] = "another caption"
    score_folder(clip, image_set, tmp_path / "report", **TWO_BY_TWO)
    assert inputs.n_images == 5 * 2
    assert "2 of 7 panoramas are scored, 2 have changed since and are scored again" in capsys.readouterr().err
    continued = read_scores(tmp_path / "report")
    expected = pd.concat(score_panoramas(clip, image_set, **TWO_BY_TWO)).reset_index(drop=True)
    assert continued.score.to_numpy() == pytest.approx(expected.score.to_numpy(), rel=1e-4, abs=1e-5)
    assert names_in(tmp_path / "report") == FILES


def test_rows_that_were_lost_are_scored_again(clip, image_set, tmp_path, inputs):
    """After a power failure the file can be shorter than what was written, or end in zeros."""
    stop_after_four_images(clip, image_set, tmp_path / "report", inputs)
    partial = next((tmp_path / "report").glob("*.partial"))
    size = partial.stat().st_size
    os.truncate(partial, size * 5 // 8)  # two whole lines
    os.truncate(partial, size)
    assert len(score_folder(clip, image_set, tmp_path / "report", **TWO_BY_TWO)) == 7
    assert inputs.n_images == 5 * 2


def test_a_stopped_run_with_another_model_is_not_continued(clip, image_set, tmp_path, inputs):
    stop_after_four_images(clip, image_set, tmp_path / "report", inputs)
    clip.network.logit_scale.data += 1
    score_folder(clip, image_set, tmp_path / "report", **TWO_BY_TWO)
    assert inputs.n_images == 7 * 2 and names_in(tmp_path / "report") == FILES


def test_panoramas_with_equal_pixels_are_reported_and_refused_when_strict(clip, image_set, tmp_path, capsys):
    Image.open(image_set.images / "a.png").save(image_set.images / "d.webp", lossless=True)
    score_folder(clip, image_set, tmp_path / "report", **TWO_BY_TWO)
    assert "with the pixels of another: 1, such as d.webp, which equals a.png" in capsys.readouterr().err
    with pytest.raises(ValueError, match="such as d.webp, which equals a.png"):
        score_folder(clip, image_set, tmp_path / "strict", strict=True, **TWO_BY_TWO)


HOLDER = """
import sys, time
from clip360.reports.folder_lock import folder_lock
with folder_lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_held_by_one_process_and_free_once_it_is_killed(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(ValueError, match=f"is being written by the process {other.pid}: wait"),
            folder_lock(tmp_path),
        ):
            pass
        assert (tmp_path / LOCK).exists(), "the lock of the other is left alone"
    finally:
        other.kill()
        other.wait()
    assert (tmp_path / LOCK).exists(), "a killed process cannot remove it"
    with folder_lock(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"
    assert not list(tmp_path.iterdir())
