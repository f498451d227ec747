"""Generators with known faults, from the panoramas to the verdicts: the chain of commands finds what is wrong."""

from pathlib import Path

import pytest
import torch

from clip360.data.image_set import load_image_set
from clip360.geometry.seam_measures import VISIBLE, seam_measures
from tests.small_clips import small_clip
from tools.benchmark.inputs import render_set
from tools.made_generators import (
    FAULTS,
    INTACT,
    PAGE,
    SHUFFLED,
    TURNED,
    compare_generators,
    verdict_table,
    write_generators,
    write_tables,
)


def test_the_chain_of_commands_finds_the_faults_that_need_no_trained_clip(tmp_path):
    source = render_set(tmp_path / "rendered", n_images=32, height=128)
    names = write_generators(source, tmp_path / "sets")
    assert names == [INTACT, *FAULTS]
    sets = {name: load_image_set(tmp_path / "sets" / name) for name in names}
    assert {tuple(image_set.table.caption) for image_set in sets.values()} == {tuple(source.table.caption)}
    intact, turned, shuffled, blurred = (
        next(sets[name].batches(32)).float() for name in (INTACT, TURNED, SHUFFLED, "blur")
    )
    assert (shuffled.roll(16, dims=0) - intact).abs().mean() < 1, "the same panoramas with other captions"
    rows = torch.stack(
        [
            a.mean(dim=(0, 1)).sort().values - b.mean(dim=(0, 1)).sort().values
            for a, b in zip(intact, turned, strict=True)
        ]
    )
    assert rows.abs().max() < 4 < (intact - turned).abs().mean(), "the same columns in another order"
    assert (seam_measures(blurred.byte())["seam"] > VISIBLE["seam"]).float().mean() < 0.1, "blurred across its edges"
    small_clip(tmp_path / "small", seed=2)
    comparison = compare_generators(tmp_path, names, tmp_path / "small", has_reference=False)
    table = verdict_table(comparison).set_index("generator")
    for name, metric in (
        ("seam", "seam"),
        ("half a turn", "seam"),
        ("blurred seam", "seam_blend"),
    ):
        assert f"`{metric}`" in table["intact is better by"][name], name
    faults = [f"`{name}`" for name in VISIBLE]
    assert not any(fault in row for row in table["the other is better by"] for fault in faults)
    assert not any(fault in table["intact is better by"][name] for name in (TURNED, SHUFFLED) for fault in faults)


def test_a_table_replaces_what_stands_between_its_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- planning, by python -m tools.made_generators -->\nold\n<!-- end -->\nafter\n")
    for content in ("| new |\n", "| \\1 newer |\n"):
        write_tables(page, {"planning": content})
        assert page.read_text().splitlines()[2:4] == [content.strip(), "<!-- end -->"]
    with pytest.raises(ValueError, match="page.md has 0 places for the table verdicts"):
        write_tables(page, {"verdicts": ""})


def test_the_page_holds_the_tables():
    lines = Path(PAGE).read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("<!-- verdicts of ") for line in lines) == 2
    assert all(sum(line.startswith(f"| {name} ") for line in lines) == 2 for name in FAULTS)
