"""Run all stages of dvc.yaml in its order in one process, and all notebooks in one kernel, which forgets each before the next.

    python -m tests.stages_in_one_process

Stages of a small network take less time than a process, a kernel, and DVC, need to start.
"""

import importlib
import os
from pathlib import Path

from jupyter_client.manager import KernelManager, start_new_kernel
from nbclient import NotebookClient
from nbformat import NotebookNode

from pipeline import run_notebook
from pipeline.parameters import read_params
from pipeline.plan.stages import Stage, stages_of


def run(stage: Stage) -> None:
    _, _, module, *arguments = stage.command.split()
    items = iter(stage.items)
    main = importlib.import_module(module).main
    main(*(next(items) if argument.startswith("${") else argument for argument in arguments))


class OneKernel:
    """Executes notebooks as ``run_notebook.execute`` does, without a kernel for each."""

    def __init__(self):
        os.environ.update(run_notebook.KERNEL_ENVIRONMENT)
        self.manager, client = start_new_kernel(kernel_name="python3", extra_arguments=["--log-level=CRITICAL"])
        client.stop_channels()

    def execute(self, notebook: NotebookNode, progress: Path) -> NotebookNode:
        forget(self.manager)
        return NotebookClient(notebook, km=self.manager, timeout=None).execute()


def forget(manager: KernelManager) -> None:
    """Forget the variables of the last notebook, and count cells from 1 again."""
    client = manager.client()
    client.start_channels()
    client.wait_for_ready()
    client.execute_interactive("get_ipython().reset(new_session=True)", silent=True)
    client.stop_channels()


if __name__ == "__main__":
    kernel = OneKernel()
    run_notebook.execute = kernel.execute
    for stage in stages_of(read_params(inputs=True)):
        run(stage)
    kernel.manager.shutdown_kernel(now=True)
