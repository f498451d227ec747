"""Collect the findings of all notebooks into one table, figures/findings.csv, .md and .tex, and count their verdicts.

    python -m pipeline.collect_findings

Reads findings.csv of every notebook that has one. One row each: notebook, claim, statement, cases, replicates, verdict and, where runs of other machines
are kept, verdict_elsewhere, the verdict over replicates where these runs take the place of those of the same seeds. figures/metrics.json holds the number of
findings by verdict.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from clip360.figures.tables import REPLICATES, read_all_findings, read_table, write_table
from clip360.stats.claims import judge_elsewhere
from clip360.stats.inference import Inference
from pipeline.error_messages import report
from pipeline.parameters import read_params


def verdicts_elsewhere(figures: Path, findings: pd.DataFrame, runs: Sequence[str], inference: Inference) -> list[str]:
    """The verdict on every finding over the kept ``runs``."""
    verdicts = {}
    for notebook in findings.notebook.unique():
        tables = [read_table(REPLICATES / run / notebook / "findings.csv") for run in runs]
        judged = judge_elsewhere(read_table(figures / notebook / "findings.csv"), tables, inference=inference)
        verdicts |= {(notebook, claim): verdict for claim, verdict in judged.items()}
    return [verdicts[key] for key in zip(findings.notebook, findings.claim, strict=True)]


def main(*arguments: str) -> None:
    argparse.ArgumentParser(
        prog="python -m pipeline.collect_findings", description="Collect the findings of all notebooks into one table."
    ).parse_args(arguments)
    params = read_params()
    figures = Path(params.figures)
    findings = read_all_findings(figures)
    if others := params.replicates.other_machines:
        names = {replicate: run for run, replicate in others.items()}
        runs = [names.get(name, name) for name in params.replicates.names]
        findings["verdict_elsewhere"] = verdicts_elsewhere(
            figures, findings, runs, Inference(**params.inference.model_dump())
        )
    write_table(findings, figures / "findings")
    verdicts = findings.verdict.value_counts().to_dict()
    text = json.dumps(verdicts, indent=2, sort_keys=True) + "\n"
    (figures / "metrics.json").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    report(main, *sys.argv[1:])
