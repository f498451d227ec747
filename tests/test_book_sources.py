"""What the book is made of: the traces of claims, the map of the paper, links, and the metadata of a release."""

import csv
import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from book.collect.findings import read_findings
from book.collect.links import rewrite_links
from book.collect.paper_map import COLUMNS, read_paper_map

# Where a colleague would look for the number, found by reading the code.
LINES = {
    "01_textual_probe/cues_30": ("lib/stats/textual_probe.py", "contrast"),
    "06_crop_or_model/whole_varies_less": ("lib/stats/view_comparison.py", '"relative_sd_to_crop": lambda'),
    "05_tradeoff/lambda_one_collapses": ("lib/stats/tradeoff.py", '"inter_image_cosine_change": ('),
    "05_tradeoff/lambda_one_costs_retrieval": ("lib/stats/tradeoff.py", "_change{ending}"),
    "08_capabilities/half_a_turn": ("lib/stats/capabilities.py", "same_scene"),
    "10_claims/gain": ("lib/stats/paper_claims.py", '_rows("gain"'),
}


def test_a_claim_is_traced_to_the_line_that_computes_it():
    findings = {f"{finding.notebook}/{finding.claim}": finding for finding in read_findings()}
    for name, (file, words) in LINES.items():
        source = findings[name].source
        assert source.file == file and words in Path(file).read_text(encoding="utf-8").splitlines()[source.line - 1]


def test_verdicts_are_those_of_the_tables(tmp_path):
    for name in ("01_textual_probe", "10_claims"):
        shutil.copytree(Path("figures", name), tmp_path / name)
    table = tmp_path / "01_textual_probe" / "findings.csv"
    text = re.sub(r",(holds|undecided),", ",refuted,", table.read_text(encoding="utf-8"))
    table.write_text(text, encoding="utf-8")
    findings = [finding for finding in read_findings(tmp_path) if finding.notebook == "01_textual_probe"]
    assert {finding.verdict for finding in findings} == {"refuted"}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"claims": "10_claims/cue"}, "no claim 10_claims/cue in figures/findings.csv"),
        ({"claims": ""}, r"no claim \(none\)"),
        ({"notebook": "11_more"}, "there is no notebook 11_more"),
        ({"function": "clip360.stats.claims.jugde"}, "there is no function clip360.stats.claims.jugde"),
    ],
)
def test_an_unknown_name_in_the_map_of_the_paper_stops_the_build(tmp_path, changed, sentence):
    row = {"section": "A", "statement": "B", "notebook": "10_claims", "claims": "10_claims/cues"}
    row |= {"function": "clip360.stats.claims.judge"} | changed
    with (tmp_path / "map.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerow(row)
    with pytest.raises(ValueError, match=f"map.csv:2: {sentence}"):
        read_paper_map(read_findings(), tmp_path / "map.csv")


def test_a_link_that_leads_nowhere_is_refused():
    with pytest.raises(ValueError, match=r"docs/a.md: the link ../lib/no.py leads to no file"):
        rewrite_links("[a](../lib/no.py)", folders=["docs"], page="docs/a.md", file="docs/a.md")
    text = "`[a](b)` and [c](../params.yaml#x) and [d](https://example.org)"
    expected = "`[a](b)` and [c](source:params.yaml#x) and [d](https://example.org)"
    assert rewrite_links(text, folders=["docs"], page="docs/a.md", file="docs/a.md") == expected


def test_the_metadata_agree():
    version = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    citation = YAML(typ="safe").load(Path("CITATION.cff").read_text(encoding="utf-8"))
    zenodo = json.loads(Path(".zenodo.json").read_text(encoding="utf-8"))
    assert zenodo["version"] == version
    assert citation["date-released"].isoformat() == zenodo["publication_date"]
    for names in (("title", "title"), ("license", "license"), ("keywords", "keywords"), ("abstract", "description")):
        assert citation[names[0]] == zenodo[names[1]]
    assert f"## [{version}] - {zenodo['publication_date']}" in Path("CHANGELOG.md").read_text(encoding="utf-8")
