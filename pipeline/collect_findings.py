"""Collect the findings of all notebooks into one table: figures/findings.csv, .md and .tex.

    python -m pipeline.collect_findings

Reads findings.csv of every notebook that has one. One row each: notebook, claim, statement, cases, replicates, verdict.
"""

import argparse
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
    write_table(read_all_findings(figures), figures / "findings")


if __name__ == "__main__":
    report(main, *sys.argv[1:])
