"""Write docs/pipeline.md: where the time of a whole run goes, from what `make repro` printed.

make repro | tee FILE; python -m bench.pipeline FILE
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pandas as pd
from nbclient import NotebookClient

from bench.page import tell_machine
from stages.parameters import tell

PAGE, NOTEBOOK = Path("docs", "pipeline.md"), Path("notebooks", "05_tradeoff.ipynb")
STAGE = re.compile(
    r"^ *(?P<minutes>\d+):(?P<seconds>\d\d) +(?P<taken>\d+) s  (?P<stage>[^@\n]+)(?:@.*)?$", re.MULTILINE
)
TEXT = """# Where the time of the pipeline goes

Written by `python -m bench.pipeline FILE`; FILE holds what `make repro` printed on a fresh clone, set-up not counted.

{machine}

{stages} stages took {wall:.1f} minutes, and {work:.1f} one after the other. Seconds by kind of stage, DVC's share among them:

{table}

Before it does anything, a notebook starts a kernel, {kernel:.1f} s here, and loads its packages in it, {loading:.1f} s. Other stages run in forks of a process that
loaded them before. DVC's share, in which it compares dependencies, stores outputs and writes `dvc.lock`, is in every row.
"""


def stage_times(printed: str) -> tuple[pd.DataFrame, float]:
    """Seconds of all stages by name, longest first: stages, seconds, share of the sum; and minutes by the clock.

    >>> table, minutes = stage_times("  1:10    40 s  train@a\\n  2:00    20 s  train@b\\n  3:00    60 s  readme\\n")
    >>> table.seconds.to_dict(), minutes
    ({'train': 60, 'readme': 60}, 3.0)
    """
    found = pd.DataFrame([match.groupdict() for match in STAGE.finditer(printed)])
    if found.empty:
        raise ValueError("expected what `make repro` prints, a line for each stage, and found none: see --help")
    found = found.astype({"minutes": int, "seconds": int, "taken": int})
    table = found.groupby("stage", sort=False).taken.agg(stages="size", seconds="sum")
    table = table.sort_values("seconds", ascending=False, kind="stable")
    return table.assign(share=table.seconds / table.seconds.sum()), float((found.minutes + found.seconds / 60).max())


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


def main(printed: str) -> None:
    table, wall = stage_times(Path(printed).read_text(encoding="utf-8", errors="replace"))
    rows = table.assign(seconds=table.seconds.map("{:,}".format), share=table.share.map("{:.0%}".format))
    text = TEXT.format(
        machine=tell_machine("cpu"),
        stages=table.stages.sum(),
        wall=wall,
        work=table.seconds.sum() / 60,
        table=rows.reset_index().to_markdown(index=False, disable_numparse=True),
        kernel=seconds(start_kernel),
        loading=seconds(load_packages),
    )
    PAGE.write_text(text, encoding="utf-8", newline="\n")
    print(text)


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
