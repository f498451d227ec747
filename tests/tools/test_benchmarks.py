"""The benchmark on tiny sizes: its ways agree, its page has every row, and it tells what misses a target and why."""

import pandas as pd
import pytest
import torch

from tests.small_clips import small_clip
from tools.benchmark.__main__ import Case, measure
from tools.benchmark.page import Measured, page
from tools.benchmark.probe import ENCODERS, WAYS
from tools.benchmark.rounds import Timed, compare, difference
from tools.benchmark.tuning import ANEW


def test_all_ways_agree_and_all_rows_are_there(tmp_path):
    cases = [
        Case(small_clip(tmp_path / "one"), 3, 2, 2, ["attention", "released"], 5.0),
        Case(small_clip(tmp_path / "two", seed=1), 2, 2, 2, ["released"], 1.5),
    ]
    measured = measure(cases, tmp_path / "one", tmp_path, sizes=[3], scenes=2, rounds=1)
    table = measured.comparisons
    jpeg = table.against == WAYS["JPEG"]
    assert (table["largest difference"][~jpeg] <= 1e-3).all()
    assert (table["largest difference"][jpeg] > 1e-3).all()  # so the scores that agree depend on the pixels
    expected = [(name, way) for name in ("one", "two") for way in (ENCODERS, *WAYS.values())]
    assert list(zip(table.model, table.against, strict=True)) == [
        *expected,
        ("one", ANEW),
        ("one", ANEW),
        ("two", ANEW),
    ]
    text = page(measured, machine="here", rounds=1)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == sum(len(frame) + 2 for frame in measured)  # two lines of heading each
    assert (measured.sizes["peak MiB"] > 100).all()  # that of the command, which loads torch, not of what started it


def test_the_page_tells_what_misses_its_target_and_why():
    def row(against: str, ours: float, other: float, target: float) -> dict:
        seconds = pd.DataFrame({"ours": [ours] * 3, "other": [2 * other, other, other]})
        speeds = compare(Timed(seconds, seconds / 2, {}), "ours", "other", 10, target=target)
        return {"what": "visual probe", "model": "m", "against": against} | speeds

    rows = [row(ENCODERS, 0.1, 0.08, 0.9), row(WAYS["PNG"], 0.1, 0.6, 5.0), row(WAYS["JPEG"], 0.1, 0.4, 5.0)]
    parts = {"model": "m", "decode": 1.0, "resize": 0.8, "shift": 0.2, "encode pictures": 7.0, "encode texts": 1.0}
    sizes = pd.DataFrame({"pictures": [10, 100], "peak MiB": [500.0, 550.0]})
    measured = Measured(pd.DataFrame(rows), pd.DataFrame([parts]), sizes, pd.DataFrame([{"rendered": "views"}]))
    assert measured.comparisons.ratio.tolist() == pytest.approx([0.8, 6.0, 4.0])
    text = page(measured, machine="here", rounds=3)
    assert "1 of 3 targets are met" in text
    assert "one core can reach 0.80" in text  # 8 of 10 ms are encoding
    assert "encoding alone is 5.00 times as fast" in text  # 4 / 0.8
    assert "1.100 times that on 10 (target: at most 1.05, missed)" in text


def test_ways_that_differ_are_told():
    scores = torch.tensor([1.0, 2.0])
    assert difference("same", scores, scores + 5e-4) == pytest.approx(5e-4, rel=1e-2)
    for other in (scores + 2e-3, scores * torch.nan):
        with pytest.raises(RuntimeError, match="probe: the ways differ by"):
            difference("probe", scores, other)
