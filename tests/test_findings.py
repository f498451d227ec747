"""The conclusions of the committed notebooks hold in the committed tables."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from clip360.figures.tables import read_table
from clip360.stats.claims import HOLDS, REFUTED
from pipeline.fill_pages import BLOCK, PAGES, VERDICT
from pipeline.parameters import read_params
from pipeline.run_notebook import applies

PARAMS = read_params()
NOTEBOOKS = sorted(path.stem for path in Path("notebooks").glob("*.ipynb"))


def claims_in(notebook: str) -> dict[str, bool]:
    """The names of the claims that a notebook states of the profile in use, and whether it calls them open."""
    cells = nbformat.read(Path("notebooks", f"{notebook}.ipynb"), as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code" and applies(cell, PARAMS.model_dump())]
    claims: dict[str, bool] = {}
    for cell in code:
        tree = ast.parse(cell.source)
        if any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "claims" for node in tree.body):
            claims = {}  # the cell states others in their place
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Claim":
                claims[node.args[0].value] = any(word.arg == "open" for word in node.keywords)
    return claims


@pytest.mark.parametrize("notebook", [name for name in NOTEBOOKS if claims_in(name)])
def test_every_conclusion_holds(notebook):
    """Without replicates a run alone decides little: nothing may refute a conclusion then."""
    findings = read_table(Path("figures", notebook, "findings.csv"))
    if PARAMS.replicates.names:
        verdicts = dict(zip(findings.claim, findings.verdict, strict=True))
        assert list(verdicts) == list(claims_in(notebook)), "a claim has no row"
        is_open = {name: verdict != HOLDS for name, verdict in verdicts.items()}
        assert is_open == claims_in(notebook), (
            "replicates decide a claim that is called open, or leave another undecided"
        )
    assert findings[findings.verdict == REFUTED].statement.unique().tolist() == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_pages_say_which_of_the_claims_they_cite_are_open(page):
    findings = read_table(Path("figures", "findings.csv")).set_index(["notebook", "claim"]).verdict
    cited, with_verdict = set(), set()
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if claim := re.search(r"claim=(\w+)", block["row"] or ""):
            key = (Path(block["file"]).parent.name, claim[1])
            (with_verdict if block["columns"] == VERDICT else cited).add(key)
    undecided = {key for key in cited if findings.get(key, HOLDS) != HOLDS}  # notebook 10 has no findings of its own
    assert {key: findings[key] for key in undecided if findings[key] == REFUTED} == {}
    if PARAMS.replicates.names:
        assert undecided <= with_verdict, "a page cites an open claim without its verdict"
