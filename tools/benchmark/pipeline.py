"""Write docs/pipeline.md: how long a run of the pipeline takes, stage by stage, and how long the tests take.

What follows the page's line `<!-- kept -->` stays as it is.

make repro | tee RUN
PYTEST_ADDOPTS=--junitxml=TESTS make test
python -m tools.benchmark.pipeline RUN [TESTS]
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pandas as pd
from nbclient import NotebookClient

from pipeline.error_messages import report
from tools.benchmark.page import describe_machine

PAGE, NOTEBOOK = Path("docs", "pipeline.md"), Path("notebooks", "05_tradeoff.ipynb")
# A line of pipeline.run_parallel: "  1:10    40 s  train@clip_p03", with a comma between stages of one command.
COMMAND = re.compile(r"^ *(?P<minutes>\d+):(?P<seconds>\d\d) +(?P<taken>\d+) s  (?P<stages>\S.*)$", re.MULTILINE)
RUN_TARGET, TESTS_TARGET = 20, 8  # minutes
MARK = "\n<!-- kept -->\n"
SMALLEST_FRACTION = 0.01  # of the total time; the table sums up smaller kinds in one row
TEXT = """# Time of the pipeline and of the tests

Written by `python -m tools.benchmark.pipeline RUN [TESTS]`, from the output of `make repro` on a fresh clone and, if given, from pytest's JUnit file.
Setting up the environment is not included.

{machine}

## The pipeline

{run}

Most of this time is arithmetic. A training step of a small CLIP has {gflop:.0f} GFLOP and takes {step:.2f} s on one core, which is {rate:.0f} GFLOP per second;
a product of large matrices, which is nothing but arithmetic, reaches {product_rate:.0f}. While a second process does the same, a step takes {step_of_two:.2f} s.

Before its first cell runs, a notebook starts a kernel, which takes {kernel:.1f} s, and imports its packages, which takes {imports:.1f} s. Every other stage is a
process of its own, which imports its packages too. The time that DVC needs to compare dependencies, store outputs and write `dvc.lock` is part of every row.
"""
TESTS_TEXT = """
## The tests

{tests}

The files of `pipeline/` look at two whole runs of the pipeline in copies of the repository: of the profile `tiny`, which the first test that needs it makes for all, and of the
profile `paper` with random weights (`pipeline/test_paper_profile`). Each is computed by workers that have imported their packages (`pipeline/run_in_workers.py`), in a third of the
time of `dvc repro`; a test runs a part of the first by `dvc repro` too and compares what DVC recorded.
"""
SECTION = """{count} {units} took {wall:.1f} minutes, and {work:.1f} minutes one after the other: {cores} cores need at least {least:.1f} minutes, in any order. The target is {target} minutes.

{table}"""


def stage_times(output: str) -> tuple[pd.DataFrame, float]:
    """The kind and the seconds of every stage, and the minutes of the whole run, from the output of `make repro`.

    Stages of one command count equal parts of its time.

    >>> stages, minutes = stage_times("  1:10    40 s  train@a, train@b\\n  3:00    60 s  readme\\n")
    >>> stages.values.tolist(), minutes
    ([['train', 20.0], ['train', 20.0], ['readme', 60.0]], 3.0)
    """
    commands = pd.DataFrame([match.groupdict() for match in COMMAND.finditer(output)])
    if commands.empty:
        raise ValueError(
            "RUN holds no stage: expected the output of `make repro`, which has a line for each: see --help"
        )
    ended = commands.minutes.astype(int) + commands.seconds.astype(int) / 60
    names = commands.stages.str.split(", ")
    stages = commands.assign(seconds=commands.taken.astype(float) / names.str.len(), kind=names).explode("kind")
    return stages[["kind", "seconds"]].assign(kind=stages.kind.str.partition("@")[0]), float(ended.max())


def junit_times(junit: str) -> tuple[pd.DataFrame, float]:
    """The file and the seconds of every test, and the minutes of all, from pytest's JUnit XML.

    >>> tests, minutes = junit_times(
    ...     '<a><testsuite time="90"><testcase classname="tests.stats.test_a" time="2.5"/></testsuite></a>'
    ... )
    >>> tests.values.tolist(), minutes
    ([['stats/test_a', 2.5]], 1.5)
    """
    suite = next(ElementTree.fromstring(junit).iter("testsuite"))
    rows = [
        (case.get("classname").removeprefix("tests.").replace(".", "/"), float(case.get("time")))
        for case in suite.iter("testcase")
    ]
    return pd.DataFrame(rows, columns=["kind", "seconds"]), float(suite.get("time")) / 60


def section(units: str, times: pd.DataFrame, minutes: float, *, target: float) -> str:
    """How long all ``units`` took, and a table of the time of each kind, the longest first.

    ``times`` has the columns kind and seconds; ``minutes`` is the wall-clock time of all.
    """
    kinds = times.groupby("kind", sort=False).seconds.agg(["size", "sum"]).sort_values("sum", ascending=False)
    is_small = kinds["sum"] < SMALLEST_FRACTION * kinds["sum"].sum()
    table = kinds[~is_small]
    if is_small.any():
        table = pd.concat([table, kinds[is_small].sum().rename("all others").to_frame().T])
    rows = pd.DataFrame(
        {
            "kind": table.index,
            units: table["size"].map("{:.0f}".format),
            "seconds": table["sum"].map("{:,.0f}".format),
            "fraction": (table["sum"] / table["sum"].sum()).map("{:.0%}".format),
        }
    )
    work, cores = times.seconds.sum() / 60, os.cpu_count()
    return SECTION.format(
        count=len(times),
        units=units,
        wall=minutes,
        work=work,
        cores=cores,
        least=work / cores,
        target=target,
        table=rows.to_markdown(index=False, disable_numparse=True),
    )


def kept(page: Path) -> str:
    """The end of a page, from the mark on; empty where there is no page or no mark."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    return text[text.index(MARK) :] if MARK in text else ""


def fastest_of_three(action: Callable[[], object]) -> float:
    """The seconds of an action, the fastest of three runs."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def start_kernel() -> None:
    """Run a notebook of one empty cell."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("pass")])
    NotebookClient(notebook).execute()


def import_packages() -> None:
    """Import what the notebook imports, in a process of its own."""
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    nodes = [
        node for source in cells for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    subprocess.run([sys.executable, "-c", "\n".join(map(ast.unparse, nodes))], check=True)


def time_steps(n_processes: int) -> dict[str, tuple[float, float]]:
    """What `tools.benchmark.step` prints, seconds and GFLOP of a step and a product, while ``n_processes`` run it at once."""
    command = [sys.executable, "-m", "tools.benchmark.step"]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(n_processes)
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError("python -m tools.benchmark.step failed: run it alone to see its error")
    return json.loads(outputs[0])


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmark.pipeline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="file with the output of `make repro`")
    parser.add_argument("tests", metavar="TESTS", type=Path, nargs="?", help="pytest's JUnit file (default: no tests)")
    options = parser.parse_args(arguments)
    run = section("stages", *stage_times(options.run.read_text(encoding="utf-8", errors="replace")), target=RUN_TARGET)
    tests = ""
    if options.tests:
        times = junit_times(options.tests.read_text(encoding="utf-8"))
        tests = TESTS_TEXT.format(tests=section("tests", *times, target=TESTS_TARGET))
    alone = time_steps(1)
    (step, gflop), (product, product_gflop) = alone["step"], alone["product"]
    text = TEXT.format(
        machine=describe_machine("cpu"),
        run=run,
        gflop=gflop,
        step=step,
        rate=gflop / step,
        product_rate=product_gflop / product,
        step_of_two=time_steps(2)["step"][0],
        kernel=fastest_of_three(start_kernel),
        imports=fastest_of_three(import_packages),
    )
    PAGE.write_text(text + tests + kept(PAGE), encoding="utf-8", newline="\n")
    print(text + tests)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
