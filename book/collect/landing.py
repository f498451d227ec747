"""The landing page's parts of the README: its introduction, the findings with every number linked to its claim, and its other sections."""

import re
from dataclasses import dataclass
from pathlib import Path

from book.collect.links import rewrite_links

README = Path("README.md")
PAGE = "index.md"
NUMBER = re.compile(
    r"<!-- (?P<notebook>\w+)/\w+\.csv: claim=(?P<claim>\w+)[^>]*-->(?P<value>.*?)<!-- end -->", re.DOTALL
)
FINDING = re.compile(r"^\d+\. \*\*(?P<claim>.+?)\*\*(?P<text>.+?)(?=^\d+\. |\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class MainFinding:
    """One of the numbered findings of the README: its bold sentence, and the text after it, as Markdown for the book."""

    claim: str
    text: str


@dataclass(frozen=True)
class Readme:
    """The README in parts, as Markdown for the landing page.

    question      its bold question
    introduction  the sentences after it
    policy        what stands before the findings
    findings      the numbered findings
    limits        the paragraph of limits
    sections      the other sections by heading
    """

    question: str
    introduction: str
    policy: str
    findings: tuple[MainFinding, ...]
    limits: str
    sections: dict[str, str]


def read_readme(path: Path = README) -> Readme:
    """The parts of the README; ValueError where one is missing."""
    text = rewrite_links(_linked(path.read_text(encoding="utf-8")), folders=(".",), page=PAGE, file=path.as_posix())
    opening, *rest = re.split(r"^## ", re.sub(r"^# .*", "", text), flags=re.MULTILINE)
    sections = dict(section.split("\n", 1) for section in rest)
    question = re.match(r"\s*\*\*(?P<question>.+?)\*\*\s*(?P<rest>.+)", opening, re.DOTALL)
    results = sections.pop("Results", "")
    listed = FINDING.finditer(results.partition("\n![")[0])
    findings = tuple(MainFinding(match["claim"], match["text"].strip()) for match in listed)
    limits = re.search(r"^\*\*Limits\.\*\* (.+?)(?=\n\n|\Z)", results, re.DOTALL | re.MULTILINE)
    if not question or len(findings) < 2 or not limits:
        raise ValueError(f"{path}: expected a bold question, a section Results with numbered findings, and **Limits.**")
    policy = results[: results.index("1. **")].strip()
    return Readme(question["question"], question["rest"].strip(), policy, findings, limits[1], sections)


def _linked(text: str) -> str:
    """The README with the numbers of claims, which stand between markers, as links to their traces."""
    return NUMBER.sub(lambda match: f"[{match['value']}](#claim-{match['notebook']}-{match['claim']})", text)
