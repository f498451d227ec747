"""Put the results and verdicts of the default profile into docs/artifact_appendix.md, between its markers.

    python -m pipeline.update_appendix

The markers are those of ``pipeline.update_readme``, and one more, whose rows must agree:

    <!-- 10_claims/claims.csv: claim=shifts: verdict -->           by the verdict on a claim
"""

import argparse
import os
import re
import sys
from pathlib import Path

import pandas as pd

from pipeline.error_messages import report
from pipeline.parameters import read_params
from pipeline.update_readme import BLOCK, DEFAULT, fill

PAGE, VERDICT = Path("docs", "artifact_appendix.md"), "verdict"


def fill_appendix(text: str, figures: Path) -> str:
    """The page with all markers filled; ValueError where one selects no value, FileNotFoundError without its file."""

    def verdict(match: re.Match) -> str:
        if match["columns"] != VERDICT:
            return fill_value(match[0], figures)
        marker = match[0].partition(" -->")[0] + " -->"
        return f"{marker}{read_verdict(figures / match['file'], match['row'])}<!-- end -->"

    return BLOCK.sub(verdict, text)


def fill_value(block: str, figures: Path) -> str:
    """One block filled as in the README; an error names this page."""
    try:
        return fill(block, figures)
    except ValueError as error:
        raise ValueError(str(error).replace("README.md", PAGE.as_posix(), 1)) from error


def read_verdict(path: Path, row: str) -> str:
    """The verdict in all rows of a table of claims where ``row``, COLUMN=VALUE, is true; ValueError where it is not one."""
    column, _, value = row.partition("=")
    table = pd.read_csv(path, dtype=str)
    verdicts = table.loc[table[column] == value, VERDICT].unique() if column in table else []
    if len(verdicts) != 1:
        raise ValueError(
            f"{PAGE}: {len(verdicts)} verdicts of {path} fit `{row}`: expected 1, correct the marker, `claim=NAME`"
        )
    return verdicts[0]


def main(*arguments: str) -> None:
    argparse.ArgumentParser(
        prog="python -m pipeline.update_appendix", description=f"Put results of the default profile into {PAGE}."
    ).parse_args(arguments)
    params = read_params()
    if params.profile == DEFAULT:
        text = fill_appendix(PAGE.read_text(encoding="utf-8"), Path(params.figures))
        partial = PAGE.with_name(f"{PAGE.name}.partial")
        partial.write_text(text, encoding="utf-8", newline="\n")
        os.replace(partial, PAGE)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
