"""How pages show claims and names: the filters of the templates."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from book.collect.findings import Finding
from clip360.figures.findings import LABELS

INTERVAL = "{:.3g} to {:.3g}"


@dataclass(frozen=True)
class Case:
    """A case of a claim in words."""

    label: str
    value: str
    interval: str
    verdict: str


def badge(finding: Finding) -> str:
    """The verdict of a claim, marked for the style sheet."""
    return _verdict(finding.verdict)


def claim_list(findings: Iterable[Finding]) -> str:
    """Claims with their verdicts, each a paragraph of an item of a list-table."""
    return "\n\n    ".join(f"{badge(finding)} [{finding.statement}](#{finding.label})" for finding in findings)


def evidence(finding: Finding) -> str:
    """What the verdict rests on, and in how many cases."""
    verdicts = finding.cases.case_verdict
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.value_counts(sort=False).items())
    replicates = finding.cases.replicates.iloc[0]
    source = f"over {replicates} replicates" if replicates else "in this run alone"
    return f"{source}; of {len(verdicts)} {'case' if len(verdicts) == 1 else 'cases'}: {counts}."


def cases(finding: Finding) -> list[Case]:
    """The cases of a claim: the mean over replicates, or this run's value, with its interval."""
    return [
        Case(
            _label(row.case),
            f"{row.mean:.3g}",
            INTERVAL.format(row.mean_low, row.mean_high),
            _verdict(row.case_verdict),
        )
        for row in finding.cases.itertuples()
    ]


def unit(finding: Finding) -> str:
    return finding.cases.unit.iloc[0]


def limit(finding: Finding) -> str:
    """What the claim does not say; empty where it states no limit."""
    text = finding.cases.limit.iloc[0]
    return text if isinstance(text, str) else ""


def cell(text: str) -> str:
    """Text for a cell of a Markdown table.

    >>> print(cell("|s| of two"))
    \\|s\\| of two
    """
    return text.replace("|", r"\|")


def _verdict(verdict: str) -> str:
    return f"[{verdict}]{{.verdict .{verdict}}}"


def _label(case: str) -> str:
    pairs = [pair.partition("=")[::2] for pair in re.split(r", (?=\w+=)", case)]
    return cell(", ".join(LABELS.get(name, _words)(value) for name, value in pairs))


def _words(name: str) -> str:
    return name.replace("_", " ")


FILTERS = {
    "badge": badge,
    "claim_list": claim_list,
    "evidence": evidence,
    "cases": cases,
    "unit": unit,
    "limit": limit,
    "cell": cell,
    "words": _words,
    "name": lambda function: function.rpartition(".")[2],
    "number": lambda cell_id: str(int(cell_id.rpartition("-")[2])),
}
