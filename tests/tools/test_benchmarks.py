"""The benchmark at tiny sizes: its variants agree, its pages have every row, and they say which targets are missed and why."""

import pandas as pd
import pytest
import torch

import tools.benchmark.pipeline as pipeline_page
from tests.small_clips import small_clip
from tools.benchmark import gpu
from tools.benchmark.__main__ import Case, measure
from tools.benchmark.finetuning import UNCACHED
from tools.benchmark.inputs import render_set
from tools.benchmark.page import Tables, page
from tools.benchmark.probe import ENCODERS, SCRIPTS
from tools.benchmark.rounds import Timings, compare, largest_difference


def test_all_variants_agree_and_all_rows_are_there(tmp_path):
    cases = [
        Case(small_clip(tmp_path / "one"), 3, 2, 2, ["lora_attention", "lora_as_released"], 5.0),
        Case(small_clip(tmp_path / "two", seed=1), 2, 2, 2, ["lora_as_released"], 1.5),
    ]
    tables = measure(cases, tmp_path / "one", tmp_path, sizes=[3], n_scenes=2, rounds=1)
    comparisons = tables.comparisons
    is_jpeg = comparisons.reference == SCRIPTS["JPEG"]
    assert (comparisons["largest difference"][~is_jpeg] <= 1e-3).all()
    assert (comparisons["largest difference"][is_jpeg] > 1e-3).all()  # so the scores that agree depend on the pixels
    probe_rows = [(name, variant) for name in ("one", "two") for variant in (ENCODERS, *SCRIPTS.values())]
    assert list(zip(comparisons.model, comparisons.reference, strict=True)) == [
        *probe_rows,
        ("one", UNCACHED),
        ("one", UNCACHED),
        ("two", UNCACHED),
    ]
    text = page(tables, machine="here", rounds=1)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == sum(len(table) + 2 for table in tables)  # each has two header lines
    assert (tables.sizes["peak MiB"] > 100).all()  # the memory of the command, which loads torch, not of peak.py


def test_the_page_lists_missed_targets_and_their_limits():
    def row(reference: str, ours: float, other: float, target: float) -> dict:
        seconds = pd.DataFrame({"ours": [ours] * 3, "other": [2 * other, other, other]})
        speeds = compare(Timings(seconds, seconds / 2, {}), "ours", "other", 10, target=target)
        return {"task": "visual probe", "model": "m", "reference": reference} | speeds

    rows = [
        row(ENCODERS, 0.1, 0.08, 0.9),
        row(SCRIPTS["PNG"], 0.1, 0.6, 5.0),
        row(SCRIPTS["JPEG"], 0.1, 0.4, 5.0),
        row(UNCACHED, 0.1, 0.125, 1.3),
    ]
    parts = {"model": "m", "decode": 1.0, "resize": 0.8, "shift": 0.2, "encode images": 7.0, "encode texts": 1.0}
    sizes = pd.DataFrame({"images": [10, 100], "peak MiB": [500.0, 550.0]})
    tables = Tables(pd.DataFrame(rows), pd.DataFrame([parts]), sizes, pd.DataFrame([{"rendered": "views"}]))
    assert tables.comparisons.ratio.tolist() == pytest.approx([0.8, 6.0, 4.0, 1.25])
    text = page(tables, machine="here", rounds=3)
    assert "1 of 4 targets are met" in text
    assert "one core reaches at most 0.80" in text  # 8 of 10 ms are encoding
    assert "encoding alone is 5.00 times as fast" in text  # 4 / 0.8
    assert "80% of the time without caches" in text  # 1 / 1.25
    assert "1.100 times that on 10 (target: at most 1.05, missed)" in text


def test_the_page_of_a_gpu_has_a_row_for_each_variant(tmp_path, monkeypatch):
    variants = [gpu.Variant("float32"), gpu.Variant("bfloat16"), gpu.Variant("float32", resize="tensor")]
    monkeypatch.setattr(gpu, "VARIANTS", variants)
    image_set = render_set(tmp_path / "set", n_images=3, height=48)
    exact, half, resized = rows = list(gpu.measure_probe(small_clip(tmp_path / "one"), image_set, rounds=1))
    assert exact["largest difference"] == 0 < half["largest difference"] < 1
    assert 0 < resized["largest difference"] < 1
    parts = {"model": "one", "decode": 2.0}
    epochs = {"task": "fine-tuning", "model": "one", "ratio": 1.5, "ratio of CPU time": 1.4}
    text = gpu.page(rows, [parts], [epochs], "Machine: here.", size="96 x 48", rounds=1)
    assert sum(line.startswith("| one") for line in text.splitlines()) == len(variants) + 2
    assert "at least 2 ms, so that no model gets more than 500 panoramas per second" in text


def test_variants_that_differ_are_an_error():
    scores = torch.tensor([1.0, 2.0])
    assert largest_difference("same", scores, scores + 5e-4) == pytest.approx(5e-4, rel=1e-2)
    for other in (scores + 2e-3, scores * torch.nan):
        with pytest.raises(RuntimeError, match="probe: the results of two variants differ by"):
            largest_difference("probe", scores, other)


def test_the_pipeline_page_needs_no_tests(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline_page, "PAGE", tmp_path / "pipeline.md")
    monkeypatch.setattr(pipeline_page, "time_steps", lambda n: {"step": (0.5 * n, 20.0), "product": (0.1, 7.0)})
    monkeypatch.setattr(pipeline_page, "fastest_of_three", lambda action: 1.0)
    monkeypatch.setattr(pipeline_page.os, "cpu_count", lambda: 2)
    run, junit = tmp_path / "run.txt", tmp_path / "tests.xml"
    stages = ["  1:00    60 s  train@a", "  1:40    60 s  train@b", "  1:41     1 s  world", "  2:30   100 s  readme"]
    run.write_text("\n".join([*stages, ""]), encoding="utf-8")
    junit.write_text(
        '<a><testsuite time="90"><testcase classname="tests.stats.test_a" time="2.5"/></testsuite></a>',
        encoding="utf-8",
    )
    pipeline_page.main(str(run))
    text = pipeline_page.PAGE.read_text(encoding="utf-8")
    assert "4 stages took 2.5 minutes, and 3.7 minutes one after the other: 2 cores need at least 1.8 minutes" in text
    kinds = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line.startswith("| ")]
    assert kinds == ["kind", "train", "readme", "all others"]  # world took less than 1 % of the time
    assert "takes 0.50 s on one core, which is 40 GFLOP per second" in text
    assert "While a second process does the same, a step takes 1.00 s." in text
    assert "## The tests" not in text
    pipeline_page.PAGE.write_text(text + pipeline_page.MARK + "a year ago", encoding="utf-8")
    pipeline_page.main(str(run), str(junit))
    text = pipeline_page.PAGE.read_text(encoding="utf-8")
    assert "| stats/test_a " in text and text.endswith(pipeline_page.MARK + "a year ago")
