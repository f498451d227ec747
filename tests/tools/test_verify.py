"""A run is compared with the committed results: nothing differs, or each difference is named with its size."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.write_checksums import checksum_table
from tests.copies import IDENTITY
from tools import verify


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A repository whose committed results are a table, a figure and a table that git does not track."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verify, "read_params", lambda: SimpleNamespace(figures="figures"))
    for folder in ("figures/01", "results"):
        (tmp_path / folder).mkdir(parents=True)
    pd.DataFrame({"model": ["a", "b"], "score": [1.0, 2.0]}).to_csv("figures/01/scores.csv", index=False)
    Image.fromarray(np.zeros((10, 10, 3), np.uint8)).save("figures/01/scores.png")
    (tmp_path / "results/scores.parquet").write_bytes(b"scores")
    checksum_table([Path("figures/01"), Path("results")]).to_csv("figures/checksums.csv", index=False)
    for command in (["init", "--quiet"], ["add", "figures"], [*IDENTITY, "commit", "--quiet", "--message", "results"]):
        subprocess.run(["git", *command], check=True)
    return tmp_path


def verified(capsys) -> tuple[int, list[str]]:
    with pytest.raises(SystemExit) as ended:
        verify.main()
    return ended.value.code, capsys.readouterr().out.splitlines()


def test_a_run_that_gives_the_same_is_the_same(results, capsys):
    assert verified(capsys) == (0, ["3 of 3 files have the same bytes as the committed results."])


def test_what_differs_is_named_with_its_size(results, capsys):
    pd.DataFrame({"model": ["a", "c"], "score": [1.0, 2.25]}).to_csv("figures/01/scores.csv", index=False)
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[0, :5] = 7
    Image.fromarray(pixels).save("figures/01/scores.png")
    (results / "results/scores.parquet").unlink()
    assert verified(capsys) == (
        1,
        [
            "differs: figures/01/scores.csv: by at most 0.25; other entries in model",
            "differs: figures/01/scores.png: by at most 7",
            "missing: results/scores.parquet",
            "0 of 3 files have the same bytes as the committed results.",
        ],
    )
    pd.DataFrame({"model": ["a"], "score": [1.0]}).to_csv("figures/01/scores.csv", index=False)
    assert verified(capsys)[1][0] == "differs: figures/01/scores.csv: of another shape"


def test_a_profile_without_committed_results_is_refused(results, monkeypatch):
    monkeypatch.setattr(verify, "read_params", lambda: SimpleNamespace(figures="results/tiny/figures"))
    with pytest.raises(FileNotFoundError, match="results/tiny/figures/checksums.csv is not committed"):
        verify.main()
