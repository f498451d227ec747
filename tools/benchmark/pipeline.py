"""Write docs/pipeline.md: where the time of a whole run, and of the tests, goes.

make repro | tee FILE; PYTEST_ADDOPTS=--junitxml=TESTS make test; python -m tools.benchmark.pipeline FILE TESTS
"""

import json
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

from pipeline.parameters import tell
from tools.benchmark.page import tell_machine

PAGE, NOTEBOOK = Path("docs", "pipeline.md"), Path("notebooks", "05_tradeoff.ipynb")
STAGE = re.compile(r"^ *(?P<minutes>\d+):(?P<seconds>\d\d) +(?P<taken>\d+) s  (?P<kind>[^@\n]+)(?:@.*)?$", re.MULTILINE)
FEW = 0.01  # of the whole: kinds below are told together
TEXT = """# Where the time goes

Written by `python -m tools.benchmark.pipeline FILE TESTS`, from what `make repro` printed on a fresh clone and what pytest measured. Set-up is not counted.

{machine}

## The pipeline

{run}

Most of it is arithmetic. A step of training a small CLIP has {gflop:.0f} GFLOP and takes {step:.2f} s on one core, {rate:.0f} GFLOP a second; a product of large matrices, which
is nothing else, reaches {peak:.0f}. While the other core does the same, a step takes {beside:.2f} s.

Before it does anything, a notebook starts a kernel, {kernel:.1f} s here, and loads its packages in it, {loading:.1f} s. Other stages run in forks of a process that
loaded them before. DVC's share, in which it compares dependencies, stores outputs and writes `dvc.lock`, is in every row.

## The tests

{tests}

`test_pipeline` and `test_paper` run whole pipelines in copies of the repository, that of the smallest world and the paper's with a ViT-B-32; their first test waits for it.
"""
PART = """{count} {what} took {wall:.1f} minutes, and {work:.1f} one after the other: two cores need at least half of that, {least:.1f}, in whatever order. The target is {target}.

{table}"""


def stage_times(printed: str) -> tuple[pd.DataFrame, float]:
    """Seconds of every stage and its kind; and minutes by the clock.

    >>> stages, minutes = stage_times("  1:10    40 s  train@a\\n  2:00    20 s  train@b\\n  3:00    60 s  readme\\n")
    >>> pipeline.values.tolist(), minutes
    ([['train', 40.0], ['train', 20.0], ['readme', 60.0]], 3.0)
    """
    found = pd.DataFrame([match.groupdict() for match in STAGE.finditer(printed)])
    if found.empty:
        raise ValueError("expected what `make repro` prints, a line for each stage, and found none: see --help")
    ended = found.minutes.astype(int) + found.seconds.astype(int) / 60
    return found[["kind"]].assign(seconds=found.taken.astype(float)), float(ended.max())


def suite_times(measured: str) -> tuple[pd.DataFrame, float]:
    """The same of tests, whose kind is their file, from what pytest writes in JUnit's format.

    >>> tests, minutes = suite_times('<a><testsuite time="90"><testcase classname="tests.test_a" time="2.5"/></testsuite></a>')
    >>> tests.values.tolist(), minutes
    ([['test_a', 2.5]], 1.5)
    """
    suite = next(ElementTree.fromstring(measured).iter("testsuite"))
    cases = [(case.get("classname").split(".")[-1], float(case.get("time"))) for case in suite.iter("testcase")]
    return pd.DataFrame(cases, columns=["kind", "seconds"]), float(suite.get("time")) / 60


def tell_part(what: str, times: pd.DataFrame, wall: float, *, target: float) -> str:
    """How long all took, and which kinds how much of it."""
    kinds = times.groupby("kind", sort=False).seconds.agg(["size", "sum"]).sort_values("sum", ascending=False)
    few = kinds["sum"] < FEW * kinds["sum"].sum()
    table = pd.concat([kinds[~few], kinds[few].sum().rename("all others").to_frame().T])
    rows = pd.DataFrame(
        {
            "kind": table.index,
            what: table["size"].map("{:.0f}".format),
            "seconds": table["sum"].map("{:,.0f}".format),
            "share": (table["sum"] / table["sum"].sum()).map("{:.0%}".format),
        }
    )
    work = times.seconds.sum() / 60
    words = rows.to_markdown(index=False, disable_numparse=True)
    return PART.format(count=len(times), what=what, wall=wall, work=work, least=work / 2, target=target, table=words)


def seconds(work: Callable[[], object]) -> float:
    """What something takes, at least of three times."""
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def start_kernel() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("pass")])
    NotebookClient(notebook).execute()


def load_packages() -> None:
    """What the cells of a notebook import, in a fresh process."""
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    imports = re.findall(r"^(?:import|from) .+$", "\n".join(cells), re.MULTILINE)
    subprocess.run([sys.executable, "-c", "\n".join(imports)], check=True)


def steps_at_once(count: int) -> dict[str, tuple[float, float]]:
    """Seconds and GFLOP of a training step and of a product of matrices (`bench.step`) while ``count`` processes do the same."""
    command = [sys.executable, "-m", "bench.step"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(count)]
    printed = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError(f"{' '.join(command)} failed: run it by itself to see why")
    return json.loads(printed[0])


def main(printed: str, measured: str) -> None:
    run = stage_times(Path(printed).read_text(encoding="utf-8", errors="replace"))
    tests = suite_times(Path(measured).read_text(encoding="utf-8"))
    (step, gflop), (product, most) = steps_at_once(1).values()
    text = TEXT.format(
        machine=tell_machine("cpu"),
        run=tell_part("stages", *run, target=15),
        tests=tell_part("tests", *tests, target=12),
        gflop=gflop,
        step=step,
        rate=gflop / step,
        peak=most / product,
        beside=steps_at_once(2)["step"][0],
        kernel=seconds(start_kernel),
        loading=seconds(load_packages),
    )
    PAGE.write_text(text, encoding="utf-8", newline="\n")
    print(text)


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
