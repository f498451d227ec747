"""How pages show claims and names: the filters of the templates."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from book.collect.findings import Finding
from clip360.figures.findings import LABELS
from clip360.stats.claims import HOLDS, REFUTED, UNDECIDED

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
    return "\n\n    ".join(_listed(finding) for finding in findings)


def _listed(finding: Finding) -> str:
    cases = "" if finding.verdict == HOLDS else f" [({_counts(finding)})]{{.cases}}"
    return f"{badge(finding)} [{finding.statement}](#{finding.label}){cases}"


def evidence(finding: Finding) -> str:
    """What the verdict rests on: replicates or this run, and how many cases."""
    replicates = finding.cases.replicates.iloc[0]
    source = f"over {replicates} replicates" if replicates else "in this run alone"
    return f"{source}, {_counts(finding)}."


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


def _counts(finding: Finding) -> str:
    """How many cases have which verdict."""
    verdicts = list(finding.cases.case_verdict)
    counts = {verdict: verdicts.count(verdict) for verdict in (HOLDS, UNDECIDED, REFUTED) if verdict in verdicts}
    if len(verdicts) == 1:
        return "one case"
    if len(counts) == 1:
        return f"{len(verdicts)} of {len(verdicts)} cases"
    words = {HOLDS: "hold", REFUTED: "refuted", UNDECIDED: "undecided"}
    return f"{len(verdicts)} cases: " + ", ".join(f"{count} {words[verdict]}" for verdict, count in counts.items())


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
