"""Claims: statements about tables that this run and its replicates can refute, each with its number.

A claim says that a column of a table lies on one side of a number (or between two), in every row that it speaks of. Replicates decide
where there are any: the interval is that of the mean over replicates. It *holds* where the interval lies on the claimed side in each of these
rows (an intersection-union test, which needs no correction), is *refuted* where it lies on the other side in one of them, and is
otherwise *undecided*.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from clip360.stats.inference import Inference
from clip360.stats.replicates import over_replicates

HOLDS, REFUTED, UNDECIDED = "holds", "refuted", "undecided"


@dataclass(frozen=True)
class Claim:
    """A statement that a column of a table lies above a number, below one, or between two.

    name        a short name, which other files refer to
    statement   the claim as a sentence, without its numbers
    table       the name of the table, without .csv
    column      the column that is judged; the table has its interval too, as COLUMN_low and COLUMN_high
    unit        what the number is, in words
    where       the rows that the claim speaks of, as a condition of ``DataFrame.query``; all by default
    by          the columns that tell these rows apart
    above, below  the numbers
    limit       what the claim does not say, as a sentence
    """

    name: str
    statement: str
    table: str
    column: str
    unit: str
    where: str = ""
    by: tuple[str, ...] = ("model", "image_set")
    above: float = -math.inf
    below: float = math.inf
    limit: str = ""

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows that the claim speaks of, with the columns of ``by``, and value, low and high.

        Raises ValueError where a column is missing, no row is selected, two rows have the same keys, or a number is NaN.
        """
        columns = {self.column: "value", f"{self.column}_low": "low", f"{self.column}_high": "high"}
        missing = [name for name in (*self.by, *columns) if name not in table]
        if missing:
            raise ValueError(f"the claim {self.name}: the table {self.table} has no column {', '.join(missing)}")
        rows = (table.query(self.where) if self.where else table)[[*self.by, *columns]].rename(columns=columns)
        if rows.empty:
            raise ValueError(f"the claim {self.name}: no row of the table {self.table} fits `{self.where}`")
        if rows.duplicated(list(self.by)).any():
            raise ValueError(f"the claim {self.name}: rows of {self.table} differ in more than {', '.join(self.by)}")
        if rows[list(columns.values())].isna().any(axis=None):
            raise ValueError(f"the claim {self.name}: {self.column} of {self.table} is not a number in every row")
        return rows

    def verdict(self, low: float, high: float) -> str:
        """The verdict on an interval."""
        if low > self.above and high < self.below:
            return HOLDS
        return REFUTED if high < self.above or low > self.below else UNDECIDED


def applicable(claims: Sequence[Claim], tables: Mapping[str, Sequence[pd.DataFrame]]) -> list[Claim]:
    """The claims that this run has rows for: profiles run different models and methods. ``tables`` as in ``judge``."""
    return [claim for claim in claims if not claim.where or len(tables[claim.table][0].query(claim.where))]


def judge(
    claims: Sequence[Claim], tables: Mapping[str, Sequence[pd.DataFrame]], *, inference: Inference
) -> pd.DataFrame:
    """One row for each claim and each row of a table that it speaks of, in the order of the claims.

    ``tables`` maps the name of a table to that of this run and those of its replicates. Columns: claim, statement, ``verdict`` (of the claim
    as a whole), the keys of the row as ``case`` (``column=value, ...``) and in columns of their own, unit; ``value``, ``low``, ``high`` of this
    run with its bootstrap interval over images; ``replicates`` (their number), ``mean``, ``mean_low``, ``mean_high``, ``spread`` as by
    ``over_replicates``, ``case_verdict``, ``limit``. Without replicates, mean and its interval are those of this run.
    """
    parts = []
    for claim in claims:
        this_run, *replicates = (claim.rows(table) for table in tables[claim.table])
        cases = (
            this_run.merge(
                over_replicates(replicates, list(claim.by), inference=inference), on=list(claim.by), how="left"
            )
            if replicates
            else (
                this_run.assign(
                    replicates=0, mean=this_run.value, mean_low=this_run.low, mean_high=this_run.high, spread=math.nan
                )
            )
        )
        verdicts = [claim.verdict(low, high) for low, high in zip(cases.mean_low, cases.mean_high, strict=True)]
        keys = cases[list(claim.by)].astype(str)
        cases.insert(0, "claim", claim.name)
        cases.insert(1, "statement", claim.statement)
        cases.insert(2, "verdict", whole(verdicts))
        cases.insert(
            3, "case", keys.apply(lambda row: ", ".join(f"{name}={value}" for name, value in row.items()), axis=1)
        )
        cases.insert(4, "unit", claim.unit)
        parts.append(cases.assign(case_verdict=verdicts, limit=claim.limit))
    return pd.concat(parts, ignore_index=True)


def whole(verdicts: Sequence[str]) -> str:
    """The verdict on a claim from those on its cases: it holds in all, or one refutes it.

    >>> whole(["holds", "undecided"]), whole(["holds", "refuted", "undecided"])
    ('undecided', 'refuted')
    """
    if all(verdict == HOLDS for verdict in verdicts):
        return HOLDS
    return REFUTED if REFUTED in verdicts else UNDECIDED
