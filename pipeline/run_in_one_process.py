"""Run all stages in one process, and all notebooks in one kernel, which forgets each before the next.

    python -m pipeline.run_in_one_process

Gives what `dvc repro` gives, in a third of the time where networks and image sets are as small as those of the profile tiny: there, most
of the time starts processes, kernels and DVC. Computes every stage anew, one after the other, and records all results at the end.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from pipeline import run_notebook
from pipeline.error_messages import report
from pipeline.parameters import read_params
from pipeline.plan.stages import Stage, stages_of
from pipeline.run_parallel import dvc, only_run


class OneKernel:
    """A kernel that executes one notebook after the other, as ``run_notebook.execute`` does with a kernel for each."""

    def __init__(self, manager: KernelManager):
        self.manager = manager

    def execute(self, notebook: NotebookNode, progress: Path) -> NotebookNode:
        """Run all cells of ``notebook``; where one fails, ``progress`` shows how far the run came, and RuntimeError is raised."""
        self.forget()
        client = NotebookClient(notebook, km=self.manager, timeout=None)
        try:
            return client.execute()
        except CellExecutionError as error:
            nbformat.write(notebook, progress)
            reason = " ".join(f"{error.ename}: {error.evalue}".split())
            raise RuntimeError(f"failed with {reason} (traceback in {progress})") from error
        except DeadKernelError as error:
            raise RuntimeError("the kernel was killed, often for lack of memory") from error
        finally:
            client.kc.stop_channels()

    def forget(self) -> None:
        """Forget the variables of the last notebook, and count cells from 1 again."""
        client = self.manager.blocking_client()
        client.start_channels()
        client.wait_for_ready()
        client.execute_interactive("get_ipython().reset(new_session=True)", silent=True)
        client.stop_channels()


@contextmanager
def one_kernel() -> Iterator[OneKernel]:
    """A kernel that ends with the block."""
    os.environ.update(run_notebook.KERNEL_ENVIRONMENT)
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(extra_arguments=["--log-level=CRITICAL"])
    try:
        yield OneKernel(manager)
    finally:
        manager.shutdown_kernel(now=True)


def run(stage: Stage, kernel: OneKernel) -> None:
    """Run the command of a stage in this process, and its notebook in ``kernel``."""
    _, _, module, *arguments = stage.command.split()
    items = iter(stage.items)
    arguments = [next(items) if argument.startswith("${") else argument for argument in arguments]
    if stage.is_notebook:
        run_notebook.main(*arguments, execute=kernel.execute)
    else:
        importlib.import_module(module).main(*arguments)


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.run_in_one_process",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    with only_run():
        with one_kernel() as kernel:
            for stage in stages_of(read_params(inputs=True)):
                run(stage, kernel)
        dvc("commit", "--force", "--quiet")


if __name__ == "__main__":
    report(main, *sys.argv[1:])
