"""The conclusions of the committed notebooks hold in the committed tables."""

import ast
from pathlib import Path

import nbformat
import pytest

from clip360.figures.tables import read_table
from clip360.stats.claims import HOLDS, REFUTED
from pipeline.parameters import read_params
from pipeline.run_notebook import applies

PARAMS = read_params()
NOTEBOOKS = sorted(path.stem for path in Path("notebooks").glob("*.ipynb"))


def claims_in(notebook: str) -> list[str]:
    """The names of the claims that a notebook states of the profile in use."""
    cells = nbformat.read(Path("notebooks", f"{notebook}.ipynb"), as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code" and applies(cell, PARAMS.model_dump())]
    calls = (node for cell in code for node in ast.walk(ast.parse(cell.source)))
    return [
        node.args[0].value for node in calls if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Claim"
    ]


@pytest.mark.parametrize("notebook", [name for name in NOTEBOOKS if claims_in(name)])
def test_every_conclusion_holds(notebook):
    """Without replicates a run alone decides little: nothing may refute a conclusion then."""
    findings = read_table(Path("figures", notebook, "findings.csv"))
    if PARAMS.replicates.names:
        assert list(dict.fromkeys(findings.claim)) == claims_in(notebook), "a claim has no row"
        assert findings[findings.verdict != HOLDS].statement.unique().tolist() == []
    assert findings[findings.verdict == REFUTED].statement.unique().tolist() == []
