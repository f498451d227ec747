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
from clip360.stats.replicates import over_replicates, this_run_and_replicates

HOLDS, REFUTED, UNDECIDED = "holds", "refuted", "undecided"
COLUMNS = ["claim", "statement", "verdict", "case", "unit", "value", "low", "high"]
COLUMNS += ["replicates", "mean", "mean_low", "mean_high", "spread", "case_verdict", "above", "below", "limit"]


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
    open        do the kept replicates leave it undecided? Then it stays in the findings, and no text concludes from it.
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
    open: bool = False

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows that the claim speaks of, with the columns of ``by``, and value, low and high.

        Raises ValueError where a column is missing, or two rows have the same keys.
        """
        columns = {self.column: "value", f"{self.column}_low": "low", f"{self.column}_high": "high"}
        missing = [name for name in (*self.by, *columns) if name not in table]
        if missing:
            raise ValueError(f"the claim {self.name}: the table {self.table} has no column {', '.join(missing)}")
        rows = (table.query(self.where) if self.where else table)[[*self.by, *columns]].rename(columns=columns)
        if rows.duplicated(list(self.by)).any():
            raise ValueError(f"the claim {self.name}: rows of {self.table} differ in more than {', '.join(self.by)}")
        return rows

    def verdict(self, low: float, high: float) -> str:
        """The verdict on an interval; a number that is not defined (NaN), such as a ratio to nothing, decides nothing."""
        return decide(low, high, self.above, self.below)


def judge(
    claims: Sequence[Claim], tables: Mapping[str, Sequence[pd.DataFrame]], *, inference: Inference
) -> pd.DataFrame:
    """One row for each claim and each case of it, a row of a table that it speaks of; in the order of the claims.

    ``tables`` maps the name of a table to that of this run and those of its replicates. Columns:

    ``claim``, ``statement``, ``verdict``  the claim, and the verdict on it as a whole
    ``case``  the keys of the row as text, ``column=value, ...``; the keys also have columns of their own
    ``unit``, ``limit``  of the claim
    ``value``, ``low``, ``high``  of this run, with its bootstrap interval over images; NaN where only replicates have the case
    ``replicates``, ``mean``, ``mean_low``, ``mean_high``, ``spread``  as by ``this_run_and_replicates``
    ``case_verdict``  the verdict on the case; ``above``, ``below``  the claim's bounds

    A claim of which neither this run nor a replicate has a case, since it speaks of other models, is left out.
    """
    parts = [pd.DataFrame(columns=COLUMNS)]
    for claim in claims:
        this_run, *kept = (claim.rows(table) for table in tables[claim.table])
        cases = this_run_and_replicates(this_run, kept, claim.by, inference=inference)
        if len(cases):
            verdicts = [claim.verdict(low, high) for low, high in zip(cases.mean_low, cases.mean_high, strict=True)]
            case = [", ".join(f"{key}={row[key]}" for key in claim.by) for row in cases.to_dict("records")]
            of_claim = {"claim": claim.name, "statement": claim.statement, "verdict": whole(verdicts)}
            of_claim |= {"unit": claim.unit, "above": claim.above, "below": claim.below, "limit": claim.limit}
            cases = cases.assign(**of_claim, case=case, case_verdict=verdicts)
            parts.append(cases[[*COLUMNS, *claim.by]])
    return pd.concat(parts, ignore_index=True)


def judge_elsewhere(findings: pd.DataFrame, runs: Sequence[pd.DataFrame], *, inference: Inference) -> pd.Series:
    """The verdict on each claim over other runs: index ``claim``, values verdicts.

    ``findings`` is a table of ``judge``, ``runs`` are those of two or more replicates, of which ``value`` counts.
    """
    keys = ["claim", "case"]
    asked = findings[[*keys, "above", "below"]]
    values = [asked[keys].merge(run[[*keys, "value"]], on=keys) for run in runs]
    cases = over_replicates(values, keys, inference=inference).merge(asked, on=keys)
    ends = zip(cases.mean_low, cases.mean_high, cases.above, cases.below, strict=True)
    return pd.Series([decide(*of_case) for of_case in ends], cases.claim).groupby(level=0, sort=False).agg(whole)


def decide(low: float, high: float, above: float, below: float) -> str:
    """The verdict on an interval that should lie between two numbers; NaN decides nothing.

    >>> decide(1.0, 2.0, 0.0, 3.0), decide(1.0, 2.0, 1.5, 3.0), decide(1.0, 2.0, 2.5, 3.0)
    ('holds', 'undecided', 'refuted')
    """
    if low > above and high < below:
        return HOLDS
    return REFUTED if high < above or low > below else UNDECIDED


def whole(verdicts: Sequence[str]) -> str:
    """The verdict on a claim from those on its cases: it holds in all, or one refutes it.

    >>> whole(["holds", "undecided"]), whole(["holds", "refuted", "undecided"])
    ('undecided', 'refuted')
    """
    if all(verdict == HOLDS for verdict in verdicts):
        return HOLDS
    return REFUTED if REFUTED in verdicts else UNDECIDED
