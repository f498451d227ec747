"""Findings in words: every claim with its verdict, its numbers and its limit, as Markdown."""

import re

import pandas as pd

from clip360.figures.style import image_set_label, method_words, model_label, view_label

LABELS = {
    "model": model_label,
    "base_model": model_label,
    "reference": "against {}".format,
    "image_set": image_set_label,
    "view": view_label,
    "method": method_words,
    "lam": "λ = {}".format,
    "lr": "learning rate {}".format,
    "epochs": "{} epochs".format,
}
VERDICTS = {"holds": "Holds", "refuted": "**Refuted**", "undecided": "**Undecided**"}


def findings_text(findings: pd.DataFrame) -> str:
    """A list of all claims of a table of ``stats.claims.judge``: statement, verdict, numbers by case, limit.

    Numbers are means over replicates with their intervals; after a semicolon follows this run alone. Without replicates they are this
    run's.
    """
    return "\n".join(_item(cases) for _, cases in findings.groupby("claim", sort=False))


def _item(cases: pd.DataFrame) -> str:
    first = cases.iloc[0]
    evidence = f"in the mean over {first.replicates} replicates" if first.replicates else "in this run alone"
    numbers = "; ".join(f"{_label(case)}{_interval(case)}" for case in cases.itertuples())
    limit = f" {first.limit}" if isinstance(first.limit, str) and first.limit else ""
    return f"- **{first.statement}.** {VERDICTS[first.verdict]} {evidence} ({first.unit}): {numbers}.{limit}"


def _label(case) -> str:
    keys = [pair.split("=", 1) for pair in re.split(r", (?=\w+=)", case.case)]
    return ", ".join(LABELS.get(name, _words)(value) for name, value in keys) + " "


def _words(name: str) -> str:
    return name.replace("_", " ")


def _interval(case) -> str:
    text = f"{case.mean:.2g} [{case.mean_low:.2g}, {case.mean_high:.2g}]"
    return f"{text}, this run {case.value:.2g}" if case.replicates and case.value == case.value else text
