"""Run the stages that changed in a few processes that have imported all packages, and record the results in DVC.

    python -m pipeline.run_in_workers [STAGE ...]

Gives what `pipeline.run_parallel` gives, sooner: there, each stage starts DVC and a process that imports its packages, and each notebook
a kernel, which takes four seconds. Here, workers are forks of one process that has them all, a worker runs stage after stage, and its
notebooks run in one kernel, which forgets each before the next. DVC records all results at the end, or what there is when a stage fails or
the run is interrupted; a run that is killed has to begin anew.
"""

import argparse
import importlib
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue

import nbformat
import psutil
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from pipeline import run_notebook
from pipeline.error_messages import report
from pipeline.parameters import read_params
from pipeline.parent import end_with
from pipeline.run_parallel import changed_stages, dvc, next_run, run, worker_count
from pipeline.stages import Stage, stages_of

# Elsewhere a fork is not safe, and each worker imports the packages itself.
START = "fork" if sys.platform == "linux" else "spawn"


class OneKernel:
    """A kernel that executes one notebook after the other, as ``run_notebook.execute`` does with a kernel for each.

    It starts with the first notebook.
    """

    def __init__(self):
        self.manager = KernelManager(kernel_name="python3")

    def execute(self, notebook: NotebookNode, progress: Path) -> NotebookNode:
        """Run all cells of ``notebook``; where one fails, ``progress`` shows how far the run came, and RuntimeError is raised."""
        if self.manager.has_kernel:
            self.forget()
        else:
            os.environ.update(run_notebook.KERNEL_ENVIRONMENT)
            self.manager.start_kernel(extra_arguments=["--log-level=CRITICAL"])
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

    def end(self) -> None:
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)


class Worker:
    """A process that runs one stage after the other. It starts with what this one has imported, where it can be its fork."""

    def __init__(self, stages: Iterable[Stage]):
        self.process = ProcessPoolExecutor(
            1, multiprocessing.get_context(START), initializer=_start, initargs=(os.getpid(), list(stages))
        )
        self.process.submit(time.monotonic).result()  # start now

    def run(self, names: list[str]) -> tuple[list[str], str]:
        """Run stages, in their order, until one fails; those that have run, and the message of the one that failed."""
        try:
            return self.process.submit(_run, names).result()
        except BrokenProcessPool:
            return [], f"{' or '.join(names)}: the worker was killed, often for lack of memory"

    def end(self) -> None:
        """End the process and its kernel, once what it runs has ended."""
        with suppress(BrokenProcessPool):  # then the kernel has ended too
            self.process.submit(_kernel.end).result()
        self.process.shutdown()


_kernel, _stages = OneKernel(), {}  # those of a worker


def _start(parent: int, stages: list[Stage]) -> None:
    """Prepare a new worker. Nobody reads what its stages print, such as bars of progress."""
    end_with(psutil.Process(parent))
    _stages.update((stage.name, stage) for stage in stages)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _run(names: list[str]) -> tuple[list[str], str]:
    """``Worker.run``, in the worker."""
    for done, name in enumerate(names):
        stage = _stages.get(name)
        if stage is None:
            continue  # a file of DVC, such as data.dvc, which only has to be recorded
        try:
            for output in map(Path, stage.outputs):  # as DVC does, so that nothing of an earlier run remains
                shutil.rmtree(output) if output.is_dir() else output.unlink(missing_ok=True)
            if stage.is_notebook:
                run_notebook.main(*stage.arguments, execute=_kernel.execute)
            else:
                report(importlib.import_module(stage.module).main, *stage.arguments)
        except SystemExit as error:
            return names[:done], str(error)
    return names, ""


def run_in_workers(names: dict[str, set[str]], stages: Iterable[Stage], n_workers: int, done: list[str]) -> None:
    """Run the stages ``names``, each after those it depends on, in ``n_workers`` processes, and list in ``done`` those that have run.

    SystemExit with the message of one that fails.
    """
    to_run = [stage for stage in stages if stage.name in names]
    for stage in to_run:
        importlib.import_module(stage.module)
    free: SimpleQueue[Worker] = SimpleQueue()

    def run_stages(taken: list[str]) -> tuple[int, str, float]:
        start, worker = time.monotonic(), free.get()
        have_run, message = worker.run(taken)
        free.put(worker)
        done.extend(have_run)
        return int(have_run != taken), message, time.monotonic() - start

    with ExitStack() as stack:
        for _ in range(n_workers):
            worker = Worker(to_run)
            stack.callback(worker.end)
            free.put(worker)
        run(names, n_workers, run_stages)


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.run_in_workers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stages", metavar="STAGE", nargs="*", help="a stage of dvc.yaml (default: all)")
    targets, done = parser.parse_args(arguments).stages, []
    params = read_params(inputs=not targets)  # a named stage may do without some inputs
    with next_run():
        names = changed_stages(targets)
        if not names:
            return
        try:
            run_in_workers(names, stages_of(params), worker_count(params.compute.threads), done)
        except BaseException:
            if done:
                print(f"Recording the {len(done)} stages that have run.", flush=True)
                dvc("commit", "--force", "--quiet", *done)
            raise
        dvc("commit", "--force", "--quiet", *(["--with-deps", *targets] if targets else []))


if __name__ == "__main__":
    report(main, *sys.argv[1:])
