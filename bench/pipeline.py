"""Write docs/pipeline.md: where the time of a whole run goes, from what `make repro` printed.

make repro | tee FILE; python -m bench.pipeline FILE
"""

import json
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

TARGET = 15  # minutes
PAGE, NOTEBOOK = Path("docs", "pipeline.md"), Path("notebooks", "05_tradeoff.ipynb")
STAGE = re.compile(
    r"^ *(?P<minutes>\d+):(?P<seconds>\d\d) +(?P<taken>\d+) s  (?P<stage>[^@\n]+)(?:@.*)?$", re.MULTILINE
)
TEXT = """# Where the time of the pipeline goes

Written by `python -m bench.pipeline FILE`; FILE holds what `make repro` printed on a fresh clone, set-up not counted.

{machine}

{stages} stages took {wall:.1f} minutes, and {work:.1f} one after the other. Seconds by kind of stage, DVC's share among them:

{table}

Two cores need at least half of what the stages take one after the other, {least:.1f} minutes, in whatever order; the target is {target}. Most of it is
arithmetic. A step of training a small CLIP has {gflop:.0f} GFLOP and takes {step:.2f} s on one core, {rate:.0f} GFLOP a second; a product of large matrices, which is
nothing else, reaches {peak:.0f}. While the other core does the same, a step takes {beside:.2f} s.

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


def steps_at_once(count: int) -> dict[str, tuple[float, float]]:
    """Seconds and GFLOP of a training step and of a product of matrices (`bench.step`) while ``count`` processes do the same."""
    command = [sys.executable, "-m", "bench.step"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(count)]
    printed = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError(f"{' '.join(command)} failed: run it by itself to see why")
    return json.loads(printed[0])


def main(printed: str) -> None:
    table, wall = stage_times(Path(printed).read_text(encoding="utf-8", errors="replace"))
    rows = table.assign(seconds=table.seconds.map("{:,}".format), share=table.share.map("{:.0%}".format))
    alone, beside = steps_at_once(1), steps_at_once(2)
    (step, gflop), (product, most) = alone["step"], alone["product"]
    text = TEXT.format(
        machine=tell_machine("cpu"),
        stages=table.stages.sum(),
        wall=wall,
        work=table.seconds.sum() / 60,
        least=table.seconds.sum() / 120,
        target=TARGET,
        gflop=gflop,
        step=step,
        rate=gflop / step,
        peak=most / product,
        beside=beside["step"][0],
        table=rows.reset_index().to_markdown(index=False, disable_numparse=True),
        kernel=seconds(start_kernel),
        loading=seconds(load_packages),
    )
    PAGE.write_text(text, encoding="utf-8", newline="\n")
    print(text)


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
