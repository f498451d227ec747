"""Verdicts on findings: on which side of a threshold an interval lies."""

import math

import pandas as pd
import pytest

from clip360.stats.claims import FAILS, HOLDS, OPEN
from clip360.stats.findings import findings_table


def finding_rows(*intervals: tuple[float, float, float]) -> pd.DataFrame:
    columns = ["content_fraction", "content_fraction_low", "content_fraction_high"]
    return pd.DataFrame(intervals, columns=columns).assign(model="m", image_set="set")


def test_a_finding_is_judged_by_its_interval():
    table = findings_table({"content": finding_rows((0.8, 0.6, 0.9), (0.3, 0.2, 0.4), (0.6, 0.4, 0.8))})
    assert table.verdict.tolist() == [HOLDS, FAILS, OPEN]


def test_missing_numbers_are_refused_instead_of_left_undecided():
    with pytest.raises(ValueError, match="content, m, set: the value or its interval is not a number"):
        findings_table({"content": finding_rows((0.8, math.nan, 0.9))})
