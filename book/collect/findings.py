"""Findings: each claim of the study with its verdict, its numbers, and the way from it to the line that computes them."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from book.collect.notebook_code import NotebookCode, Output, StatedClaim, read_notebook_code
from book.collect.source_lines import SourceLine, line_of_column
from clip360.figures.tables import read_table
from clip360.stats import paper_claims

FIGURES = Path("figures")
PAPER = (
    "10_claims"  # the notebook that judges the findings of the paper; their claims stand in lib/stats/paper_claims.py
)


@dataclass(frozen=True)
class Finding:
    """A claim with its verdict and its trace.

    notebook  the folder of figures/ and the stem of the notebook
    cases     one row for each case, with the columns of ``clip360.stats.claims.judge``
    stated    the cell and line that state the claim; None where ``claims_line`` does
    table     the table that is judged, and where it is written
    source    the line that computes the judged column
    figure    the nearest figure, of those drawn from the table or from what it sums up if there are any; None in a notebook without figures
    figure_is_drawn_from_the_table  whether there are any
    """

    notebook: str
    claim: str
    cases: pd.DataFrame
    stated: StatedClaim | None
    claims_line: SourceLine | None
    table: Output
    column: str
    source: SourceLine
    figure: Output | None
    figure_is_drawn_from_the_table: bool

    @property
    def label(self) -> str:
        """The name that links point to."""
        return f"claim-{self.notebook}-{self.claim}"

    @property
    def statement(self) -> str:
        return self.cases.statement.iloc[0]

    @property
    def verdict(self) -> str:
        return self.cases.verdict.iloc[0]


def read_findings(figures: Path = FIGURES) -> list[Finding]:
    """The findings of all notebooks in reading order, the paper's last; ValueError where a finding cannot be traced."""
    paths = [*sorted(figures.glob("*/findings.csv")), figures / PAPER / "claims.csv"]
    return [finding for path in paths for finding in _of_notebook(path)]


def _of_notebook(path: Path) -> list[Finding]:
    notebook = path.parent.name
    code = read_notebook_code(path.with_name(f"{notebook}.ipynb"))
    findings = []
    for claim, cases in read_table(path).groupby("claim", sort=False):
        stated, line, name, column = code.claims.get(claim), None, paper_claims.TABLE, claim
        if stated:
            name, column = stated.table, stated.column
        elif notebook == PAPER:
            line = line_of_column(claim, [f"{paper_claims.__name__}.CLAIMS"])
        else:
            raise ValueError(f"{path}: no cell of the notebook states the claim {claim}: run its stage again")
        if name not in code.tables or not code.tables[name].functions:
            raise ValueError(f"{path}: no cell of the notebook writes the table {name}, which {claim} judges")
        table = code.tables[name]
        source = line_of_column(column, table.functions)
        column = column if stated else "value"
        figure, drawn = _figure_of(table, code)
        findings.append(Finding(notebook, claim, cases, stated, line, table, column, source, figure, drawn))
    return findings


def _figure_of(table: Output, code: NotebookCode) -> tuple[Output | None, bool]:
    """The nearest figure that shares a table with ``table``: itself, or one that it is computed from; or else the nearest figure."""
    tables = frozenset().union(*(other.written for other in code.tables.values()))
    content = table.written | (table.variables & tables)

    def order(figure: Output) -> tuple[bool, int]:
        return not content & figure.variables, abs(_place(figure) - _place(table))

    figure = min(code.figures.values(), key=order, default=None)
    return figure, figure is not None and bool(content & figure.variables)


def _place(output: Output) -> int:
    return int(output.cell.rpartition("-")[2])
