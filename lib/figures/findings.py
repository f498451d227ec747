"""Findings in words: every claim with its verdict, its numbers and its limit, as Markdown."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from clip360.figures.style import image_set_label, method_words, run_label, view_label
from clip360.stats.claims import Claim

LABELS = {
    "model": run_label,
    "base_model": run_label,
    "reference": lambda name: f"against {run_label(name)}",
    "image_set": image_set_label,
    "view": view_label,
    "method": method_words,
    "lam": "λ = {}".format,
    "lr": "learning rate {}".format,
    "epochs": "{} epochs".format,
}
MOST_CASES = 6  # that a finding lists; of more it gives the range
VERDICTS = {"holds": "Holds", "refuted": "**Refuted**", "undecided": "**Undecided**"}


def findings_text(findings: pd.DataFrame) -> str:
    """A list of all claims of a table of ``stats.claims.judge``: statement, verdict, numbers by case, limit.

    Numbers are means over replicates with their intervals; after a semicolon follows this run alone. Without replicates they are this
    run's.
    """
    return "\n".join(_item(cases) for _, cases in findings.groupby("claim", sort=False))


def not_run_text(claims: Sequence[Claim], findings: pd.DataFrame) -> str:
    """A list of the claims of which the ``findings`` have no case, because this profile does not run what they speak of.

    >>> not_run_text([Claim("a", "Cats are grey", "cats", "grey", "fraction")], pd.DataFrame({"claim": []}))
    '- **Cats are grey.** Not run.'
    """
    return "\n".join(f"- **{claim.statement}.** Not run." for claim in claims if claim.name not in set(findings.claim))


def _item(cases: pd.DataFrame) -> str:
    first = cases.iloc[0]
    evidence = f"in the mean over {first.replicates} replicates" if first.replicates else "in this run alone"
    numbers = "; ".join(f"{_label(case)}{_interval(case)}" for case in cases.itertuples())
    if len(cases) > MOST_CASES:
        low, high = _number(cases["mean"].min()), _number(cases["mean"].max())
        numbers = f"{low} to {high} in {len(cases)} cases, intervals from {_number(cases.mean_low.min())} to {_number(cases.mean_high.max())}"
    limit = f" {first.limit}" if isinstance(first.limit, str) and first.limit else ""
    return f"- **{first.statement}.** {VERDICTS[first.verdict]} {evidence} ({first.unit}): {numbers}.{limit}"


def _label(case) -> str:
    keys = [pair.split("=", 1) for pair in re.split(r", (?=\w+=)", case.case)]
    return ", ".join(LABELS.get(name, _words)(value) for name, value in keys) + " "


def _words(name: str) -> str:
    return name.replace("_", " ")


def _interval(case) -> str:
    if case.mean != case.mean:
        return "not defined"
    text = f"{_number(case.mean)} [{_number(case.mean_low)}, {_number(case.mean_high)}]"
    return f"{text}, this run {_number(case.value)}" if case.replicates and case.value == case.value else text


def _number(value: float) -> str:
    """Two significant digits, never in powers of ten.

    >>> _number(128.4), _number(0.0123), _number(-1.0)
    ('130', '0.012', '-1')
    """
    return np.format_float_positional(float(f"{value:.1e}"), trim="-")
