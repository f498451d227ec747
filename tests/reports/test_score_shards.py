"""Scores by shards: two workers write the rows that one process writes, and only unfinished shards are scored again."""

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from clip360.models.clip import load_clip
from clip360.reports import score_shards as module
from clip360.reports.score_shards import ERROR, SHARD, Job, ShardScorer
from clip360.reports.shard_summary import n_duplicates, n_panoramas, n_truncated, n_zeros, shard_means
from clip360.reports.shards import is_finished, list_shards, shard_path
from clip360.stats.inference import Inference
from clip360.stats.score_summary import metric_means
from tests.command_line import error_of, run
from tests.reports.test_panorama_sources import png, write_tar
from tests.small_clips import small_clip

LONG = "very " * 30 + "long"  # a caption that the small model truncates


@pytest.fixture
def tars(tmp_path) -> Path:
    """A folder of three tar files with 2, 3 and 1 panoramas; the last panorama has the pixels of the first."""
    folder = tmp_path / "tars"
    folder.mkdir()
    for name, seeds in (("000", (1, 2)), ("001", (3, 4, 5)), ("002", (1,))):
        members = {}
        for k, seed in enumerate(seeds):
            caption = LONG if seed == 4 else f"panorama {name} {k}"
            members |= {f"{name}-{k}.png": png(seed=seed), f"{name}-{k}.txt": caption.encode()}
        write_tar(folder / f"{name}.tar", members)
    return folder


@pytest.fixture
def model(tmp_path) -> Path:
    small_clip(tmp_path / "model", seed=2)
    return tmp_path / "model"


def rows_of(out: Path) -> pd.DataFrame:
    tables = [pd.read_parquet(path) for path in sorted((out / "shards").glob("*.parquet"))]
    return pd.concat(tables, ignore_index=True)


def test_two_workers_write_the_rows_of_one_process(tars, model, tmp_path, capfd):
    pytest.importorskip("ray", reason="needs Ray: pip install 'clip360[scale]'")
    score = ["--model", model, "--device", "cpu", "--shifts", 2, "--protocols", "squash,cube-6"]
    assert run("score", tars, *score, "--out", tmp_path / "one", "--resamples", 9) == 0
    assert run("score-shards", tars, *score, "--out", tmp_path / "two", "--workers", 2) == 0
    expected = pd.read_json(tmp_path / "one" / "scores.jsonl", lines=True)
    found = rows_of(tmp_path / "two")
    found["by_group"] = found.by_group.map(json.loads)
    numbers = expected.select_dtypes("number").columns
    assert found.columns.tolist() == expected.columns.tolist() and len(found) == 6
    # Six digits are written, and another batch changes the last bits of a score.
    assert np.allclose(found[numbers], expected[numbers], rtol=1e-5, atol=1e-4), found[numbers] - expected[numbers]
    for name in ("image", "caption", "sha256"):
        assert found[name].tolist() == expected[name].tolist()
    assert found.by_group[0]["cube-6"] == pytest.approx(expected.by_group[0]["cube-6"], rel=2e-5)

    one, two = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("one", "two"))
    for key in ("model", "cue", "n", "n_truncated", "n_zero"):
        assert one[key] == two[key]
    assert two["n_duplicates"] == 1 and "pixels of another: 1" in capfd.readouterr().err
    assert {name: x["hash"] for name, x in one["protocols"].items()} == {
        name: x["hash"] for name, x in two["protocols"].items()
    }
    means = [{name: metric["mean"] for name, metric in summary["metrics"].items()} for summary in (one, two)]
    assert means[1] == pytest.approx(means[0], rel=1e-4)

    assert run("compare", tmp_path / "one", tmp_path / "two", "--resamples", 9, "--out", tmp_path / "comparison") == 0
    comparison = pd.read_csv(tmp_path / "comparison" / "comparison.csv")
    assert (comparison.pairing == "caption").all() and comparison.difference.abs().max() < 1e-4

    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "two" / "shards").iterdir()}
    write_tar(tars / "002.tar", {"x.png": png(64, 64), "x.txt": b"square"})
    capfd.readouterr()
    assert run("score-shards", tars, *score, "--out", tmp_path / "two", "--workers", 2) == 1
    printed = capfd.readouterr()
    assert "shard 002 is not scored: " in printed.err and "002.tar/x.png is 64 x 64: expected an equi" in printed.err
    assert "2 of 3 shards are scored" in printed.out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "two" / "shards").iterdir()} == times


@pytest.fixture
def scorer(model, tmp_path) -> ShardScorer:
    job = Job(lambda: load_clip(model, device="cpu"), tmp_path / "out", "fingerprint", n_shifts=2, protocols=["squash"])
    return ShardScorer(job)


def test_a_shard_is_finished_once_it_is_whole_and_until_something_changes(tars, scorer, tmp_path):
    first, second, _ = list_shards(tars, None, 1000)
    path = shard_path(tmp_path / "out", first)
    assert scorer({SHARD: list(map(pickle.dumps, [first, second]))})[ERROR] == ["", ""]
    assert is_finished(path, first, "fingerprint") and not is_finished(path, first, "another model")
    assert not is_finished(path, second, "fingerprint")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert not is_finished(path, first, "fingerprint"), "half-written"
    path.write_bytes(content)
    first.source.touch()
    assert not is_finished(path, first, "fingerprint"), "its panoramas may have changed"


def test_a_worker_that_dies_leaves_no_file_of_the_shard(tars, scorer, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("clip360.reports.shards.os.replace", interrupted)
    shard = list_shards(tars, None, 1000)[0]
    with pytest.raises(KeyboardInterrupt):
        scorer({SHARD: [pickle.dumps(shard)]})
    assert not shard_path(tmp_path / "out", shard).exists()


def test_rows_of_a_folder_are_shards_that_notice_changes(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for k in range(5):
        (folder / f"{k}.png").write_bytes(png(seed=k))
    table = pd.DataFrame({"image": [f"{k}.png" for k in range(5)], "caption": [f"panorama {k}" for k in range(5)]})
    table.to_csv(folder / "captions.csv", index=False)
    shards = list_shards(folder, None, 2)
    assert [shard.name for shard in shards] == ["000000000", "000000002", "000000004"]
    assert pd.concat([shard.open(None).table for shard in shards]).equals(table.astype(str))
    assert shards[0].open("360 photo").texts[1] == "This is a 360 photo of panorama 1"
    states = [shard.state() for shard in shards]
    (folder / "3.png").write_bytes(png(seed=9))
    assert [shard.state() == state for shard, state in zip(shards, states, strict=True)] == [True, False, True]


def test_the_summary_is_that_of_all_rows_at_once(tars, scorer, tmp_path, monkeypatch):
    shards = list_shards(tars, None, 1000)
    scorer({SHARD: list(map(pickle.dumps, shards))})
    paths = [shard_path(tmp_path / "out", shard) for shard in shards]
    rows = rows_of(tmp_path / "out")
    monkeypatch.setattr("clip360.stats.score_summary.MANY", 1)
    expected = metric_means(rows, inference=Inference(0.05, 1, 0))
    found = shard_means(paths, alpha=0.05)
    assert found.keys() == expected.keys()
    for name, metric in found.items():
        assert metric == pytest.approx(expected[name], rel=1e-9)
    assert n_zeros(paths, ["worst", "robust"]) == {name: (rows[name] == 0).sum() for name in ("worst", "robust")}
    assert (n_panoramas(paths), n_truncated(paths), n_duplicates(paths)) == (6, 1, 1)
    assert pq.read_schema(paths[0]).names[:4] == ["image", "caption", "sha256", "by_group"]


def test_errors_of_score_shards_are_one_sentence(tars, model, tmp_path, capsys, monkeypatch):
    score = ["score-shards", tars, "--model", model, "--device", "cpu", "--out", tmp_path / "out"]
    pytest.importorskip("ray", reason="needs Ray: pip install 'clip360[scale]'")
    (tmp_path / "out" / "shards").mkdir(parents=True)
    (tmp_path / "out" / "shards" / "009.parquet").touch()
    for options, message in (
        ([], "009.parquet belongs to no shard of these panoramas: remove it, or choose another --out"),
        (["--workers", 0], "--workers is 0: expected at least 1"),
        (["--shard-size", 0], "shard_size is 0: expected at least 1"),
        (["--alpha", 0], "alpha is 0.0: expected"),
        (["--protocols", "fisheye"], "protocol 'fisheye': expected one of half-crop"),
    ):
        assert message in error_of(capsys, *score, *options)

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(module, "import_module", missing)
    assert error_of(capsys, *score) == "scoring by shards needs Ray: pip install 'clip360[scale]'"
