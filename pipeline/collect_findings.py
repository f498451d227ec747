"""Collect the findings of all notebooks into one table, figures/findings.csv, .md and .tex, and count their verdicts.

    python -m pipeline.collect_findings

Reads findings.csv of every notebook that has one. One row each: notebook, claim, statement, cases, replicates, verdict. figures/metrics.json
holds the number of findings by verdict.
"""

import argparse
import json
import sys
from pathlib import Path

from clip360.figures.tables import read_all_findings, write_table
from pipeline.error_messages import report
from pipeline.parameters import read_params


def main(*arguments: str) -> None:
    argparse.ArgumentParser(
        prog="python -m pipeline.collect_findings", description="Collect the findings of all notebooks into one table."
    ).parse_args(arguments)
    params = read_params()
    figures = Path(params.figures)
    findings = read_all_findings(figures)
    write_table(findings, figures / "findings")
    verdicts = findings.verdict.value_counts().to_dict()
    text = json.dumps(verdicts, indent=2, sort_keys=True) + "\n"
    (figures / "metrics.json").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    report(main, *sys.argv[1:])
