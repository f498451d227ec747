"""Run steps of the pipeline in one process, which may be an emulated one: what an emulated process starts runs natively.

    python -m tools.same_bytes.run_steps STEP ...

A step is a command of dvc.yaml without `python -m pipeline.`, such as "train_clip clip_p30". Each step's seconds appear as it ends.
"""

import importlib
import os
import sys
import time
from pathlib import Path

from nbformat import NotebookNode

from pipeline import run_notebook  # `pipeline` sets how libraries compute: nothing above may load numpy or torch


def run_step(module: str, *arguments: str) -> None:
    """Run one step as its command would, but a notebook in this process instead of a kernel's."""
    if module == "run_notebook":
        run_notebook.main(*arguments, execute=execute_here)
    else:
        importlib.import_module(f"pipeline.{module}").main(*arguments)


def execute_here(notebook: NotebookNode, progress: Path) -> NotebookNode:
    """As ``run_notebook.execute``, but run the cells of a notebook in this process."""
    from tools.same_bytes.cells import run_cells

    os.environ.update(run_notebook.KERNEL_ENVIRONMENT)
    return run_cells(notebook)


def main(*steps: str) -> None:
    for step in steps:
        start = time.perf_counter()
        run_step(*step.split())
        print(f"{time.perf_counter() - start:7.1f} s  {step}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
