"""The artifact appendix shows what the pipeline wrote."""

from pathlib import Path

import pytest

from pipeline.update_appendix import PAGE, fill_appendix
from pipeline.update_readme import BLOCK


def test_the_appendix_is_filled():
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("<!-- end -->") == len(BLOCK.findall(text)) >= 20
    assert fill_appendix(text, Path("figures")) == text


def test_a_verdict_is_that_of_all_cases(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "t.csv").write_text("claim,verdict,mean\nx,holds,1\nx,holds,2\ny,holds,1\ny,refuted,2\n")
    marker = "<!-- a/t.csv: claim=x: verdict -->"
    assert fill_appendix(f"{marker}?<!-- end -->", tmp_path) == f"{marker}holds<!-- end -->"
    marker = "<!-- a/t.csv: claim=x: range of mean -->"
    assert fill_appendix(f"{marker}?<!-- end -->", tmp_path) == f"{marker}1.00 to 2.00<!-- end -->"
    for name, count in (("y", 2), ("z", 0)):
        with pytest.raises(
            ValueError, match=f"docs/artifact_appendix.md: {count} verdicts of .*t.csv fit `claim={name}`"
        ):
            fill_appendix(f"<!-- a/t.csv: claim={name}: verdict --><!-- end -->", tmp_path)
    with pytest.raises(ValueError, match="docs/artifact_appendix.md: 2 rows of .*t.csv fit `claim=x`"):
        fill_appendix("<!-- a/t.csv: claim=x: mean --><!-- end -->", tmp_path)
