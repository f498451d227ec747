"""Compare the plan of the default profile with a run: write the table of docs/running.md.

make repro | tee RUN
python -m tools.benchmark.plan RUN
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from pipeline.error_messages import report
from pipeline.plan.__main__ import planned_params
from pipeline.plan.page import Assumed, make_plan
from pipeline.plan.rates import REFERENCE
from pipeline.profiles import DEFAULT
from tools.benchmark.pipeline import stage_times

PAGE = Path("docs", "running.md")
START, END = "<!-- plan -->\n", "<!-- end of plan -->"
FACTOR = 1.5  # beyond which an estimate is off
LEAST = 20  # seconds: shorter kinds of stages are left out of the table, not of the total


def compare(estimated: pd.Series, measured: pd.Series) -> pd.DataFrame:
    """Estimated and measured seconds by kind of stage, the longest first, and how far each estimate is off."""
    seconds = pd.DataFrame({"estimated": estimated, "measured": measured}).dropna()
    seconds = seconds.sort_values("measured", ascending=False)
    total = seconds.sum()
    seconds = seconds[seconds.measured >= LEAST]
    seconds.loc["total, with all others"] = total
    return seconds.assign(ratio=seconds.measured / seconds.estimated)


def markdown(seconds: pd.DataFrame) -> str:
    """The table of ``compare``, as the page shows it; ratios beyond ``FACTOR`` are bold."""
    off = (seconds.ratio > FACTOR) | (seconds.ratio < 1 / FACTOR)
    ratios = seconds.ratio.map("{:.2f}".format)
    words = pd.DataFrame(
        {
            "kind of stage": seconds.index,
            "estimated": seconds.estimated.map("{:,.0f}".format),
            "measured": seconds.measured.map("{:,.0f}".format),
            "measured / estimated": ratios.where(~off, "**" + ratios + "**"),
        }
    )
    return words.to_markdown(index=False, disable_numparse=True, colalign=("left", *("right",) * 3))


def with_table(page: str, table: str) -> str:
    """The page with another table between its marks; ValueError where it has none.

    >>> with_table("<!-- plan -->\\nold\\n<!-- end of plan -->", "new")
    '<!-- plan -->\\nnew\\n<!-- end of plan -->'
    """
    if START not in page or END not in page:
        raise ValueError(f"{PAGE} has no marks {START.strip()} and {END}: put them around the table")
    before, _, rest = page.partition(START)
    return f"{before}{START}{table}\n{END}{rest.partition(END)[2]}"


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmark.plan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", metavar="RUN", help="file with the output of `make repro` of the default profile")
    parser.add_argument("--calibrate", action="store_true", help="with the rates of this machine, measured now")
    options = parser.parse_args(arguments)
    run, _ = stage_times(Path(options.run).read_text(encoding="utf-8"))
    params, rates = planned_params(DEFAULT), REFERENCE
    if options.calibrate:
        from pipeline.plan.calibration import calibrate

        rates = calibrate(params)
    planned = make_plan(params, rates, Assumed(n_images=1, height=1)).stages
    table = markdown(compare(planned.groupby("kind").seconds.sum(), run.groupby("kind").seconds.sum()))
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    report(main, *sys.argv[1:])
