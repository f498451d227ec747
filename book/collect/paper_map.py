"""Which claims answer which statement of the paper: book/paper_map.csv, with the verdicts of the pipeline."""

import csv
from dataclasses import dataclass
from pathlib import Path

from book.collect.findings import Finding
from book.collect.source_lines import SourceLine, first_line

PAPER_MAP = Path("book", "paper_map.csv")
COLUMNS = ["section", "statement", "notebook", "function", "claims"]


@dataclass(frozen=True)
class PaperStatement:
    """A statement of the paper in our words, and where this repository answers it.

    function  the function that computes the answer
    findings  the claims that answer it, with their verdicts
    """

    section: str
    statement: str
    notebook: str
    function: SourceLine
    findings: tuple[Finding, ...]


def read_paper_map(findings: list[Finding], path: Path = PAPER_MAP) -> list[PaperStatement]:
    """The statements in the order of the file, whose column ``claims`` holds ``NOTEBOOK/CLAIM ...``.

    ValueError names the line with an unknown claim, notebook or function.
    """
    known = {f"{finding.notebook}/{finding.claim}": finding for finding in findings}
    statements = []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != COLUMNS:
            raise ValueError(f"{path}: the columns are {reader.fieldnames}: expected {COLUMNS}")
        for row in reader:
            place, names = f"{path}:{reader.line_num}", row["claims"].split()
            if unknown := [name for name in names if name not in known] or ([] if names else ["(none)"]):
                raise ValueError(f"{place}: no claim {unknown[0]} in figures/findings.csv: expected NOTEBOOK/CLAIM ...")
            if not Path("notebooks", f"{row['notebook']}.ipynb").is_file():
                raise ValueError(f"{place}: there is no notebook {row['notebook']}: expected a stem of notebooks/")
            try:
                function = first_line(row["function"])
            except KeyError:
                message = f"{place}: there is no function {row['function']}: expected clip360.ROOM.MODULE.FUNCTION"
                raise ValueError(message) from None
            answers = tuple(known[name] for name in names)
            statements.append(PaperStatement(row["section"], row["statement"], row["notebook"], function, answers))
    return statements
