"""Put tables, single values and verdicts of the default profile into README.md and docs/artifact_appendix.md, between their markers.

    python -m pipeline.fill_pages

A marker names a file in figures/; what stands between it and `<!-- end -->` is replaced:

    <!-- 10_claims/readme_claims.md -->                            by the whole table
    <!-- 05_tradeoff/tradeoff.csv: ROW: value -->                  by the value, with two digits; by yes or no
    <!-- 05_tradeoff/tradeoff.csv: ROW: value, low, high -->       by the value and its interval, `0.94 [0.91, 0.97]`
    <!-- 05_tradeoff/tradeoff.csv: ROWS: range of value -->        by the smallest and the largest value, `0.36 to 0.67`
    <!-- 05_tradeoff/findings.csv: ROWS: verdict -->               by the verdict, which is the same in all of these rows
    <!-- findings.csv: ROWS: count -->                             by the number of rows, which may be 0

ROW is `column=value, column=value, ...` and selects one row of the table, ROWS one or more. Under another profile the pages stay as they are.
"""

import argparse
import os
import re
import sys
from pathlib import Path

import pandas as pd

from pipeline.error_messages import report
from pipeline.parameters import read_params

PAGES, DEFAULT = (Path("README.md"), Path("docs", "artifact_appendix.md")), "world"
RANGE, VERDICT, COUNT = "range of ", "verdict", "count"
ANSWERS = {"True": "yes", "False": "no"}
BLOCK = re.compile(
    r"<!-- (?P<file>(?:\w+/)?\w+\.(?:md|csv))(?:: (?P<row>[^:>]+): (?P<columns>[^:>]+))? -->.*?<!-- end -->", re.DOTALL
)


def fill(text: str, figures: Path, *, page: Path) -> str:
    """A page with all blocks replaced; ValueError where a marker selects no single value, FileNotFoundError without the file."""

    def block(match: re.Match) -> str:
        marker, path = match[0].partition(" -->")[0] + " -->", figures / match["file"]
        if match["row"] is None:
            return f"{marker}\n{path.read_text(encoding='utf-8')}<!-- end -->"
        try:
            return f"{marker}{read_value(path, match['row'], match['columns'])}<!-- end -->"
        except ValueError as error:
            raise ValueError(f"{page}: {error}: correct the marker") from error

    return BLOCK.sub(block, text)


def read_value(path: Path, row: str, columns: str) -> str:
    """One value of a table, with its interval if ``columns`` names three columns and the table has one in this row; a range, a verdict or a count."""
    table = pd.read_csv(path, dtype=str)
    try:
        for condition in re.split(r", (?=\w+=)", row):  # a value may hold a comma
            column, value = condition.split("=", 1)
            table = table[table[column] == value]
        if columns == COUNT:
            return str(len(table))
        if columns.startswith(RANGE) and len(table):
            values = table[columns.removeprefix(RANGE)].astype(float)
            ends = (f"{values.min():.2f}", f"{values.max():.2f}")
            return " to ".join(dict.fromkeys(ends))  # one number where both are written alike
        if columns == VERDICT:
            table = table.drop_duplicates(VERDICT)
        if len(table) != 1:
            what = "verdicts" if columns == VERDICT else "rows"
            raise ValueError(f"{len(table)} {what} of {path} fit `{row}`: expected 1")
        if columns == VERDICT:
            return table[VERDICT].item()
        if (answer := table[columns.split(", ")[0]].item()) in ANSWERS:
            return ANSWERS[answer]
        value, *interval = (float(table[column].iloc[0]) for column in columns.split(", "))
    except KeyError as error:
        raise ValueError(f"{path} has no column {error}") from error
    if not interval or any(pd.isna(interval)):
        return f"{value:.2f}"
    return f"{value:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.fill_pages", description=__doc__.split("\n", 1)[0])
    parser.parse_args(arguments)
    params = read_params()
    if params.profile == DEFAULT:
        for page in PAGES:
            text = fill(page.read_text(encoding="utf-8"), Path(params.figures), page=page)
            partial = page.with_name(f"{page.name}.partial")
            partial.write_text(text, encoding="utf-8", newline="\n")
            os.replace(partial, page)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
