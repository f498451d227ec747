"""A process that runs stages of the pipeline, one after the other, each in a fork that has torch and its like loaded: loading
them takes longer than many a stage."""

import importlib
import multiprocessing
import os
import runpy
import shlex
import sys
import tempfile
import time

import dvc.cli
import dvc.stage.run
from dvc.stage.exceptions import StageCmdFailedError
from dvc.utils.serialize import _yaml

# What takes seconds to load, or loads what does.
HEAVY = ("lib.exam", "lib.finetune.strategies", "lib.imageset", "accelerate", "papermill")

run_by_shell = dvc.stage.run._run


def enter() -> None:
    """Load what stages need; have DVC run their commands in forks of this process, and waste no time on dvc.lock."""
    for module in HEAVY:
        importlib.import_module(module)
    dvc.stage.run._run = run_in_fork
    _yaml.parse_yaml_for_update = _yaml.parse_yaml  # several times as fast, and dvc.lock has no comments to keep


def run_in_fork(executable: str, command: str, **options) -> None:
    """Run the command `python -m MODULE ARGUMENT ...` as DVC would by a shell; StageCmdFailedError if it fails."""
    python, option, module, *arguments = shlex.split(command)
    if (python, option) != ("python", "-m"):
        return run_by_shell(executable, command, **options)
    fork = multiprocessing.get_context("fork").Process(target=run_module, args=(module, arguments, options["env"]))
    fork.start()
    fork.join()
    if fork.exitcode:
        raise StageCmdFailedError(command, fork.exitcode)


def run_module(module: str, arguments: list[str], env: dict[str, str]) -> None:
    os.environ.update(env)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def reproduce(stage: str) -> tuple[int, str, float]:
    """Run one stage; its exit status, what it printed, and the seconds it took."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as printed:
        for stream in (1, 2):
            os.dup2(printed.fileno(), stream)
        status = dvc.cli.main(["--wait-for-lock", "repro", "--single-item", stage])
        sys.stdout.flush()
        printed.seek(0)
        return status, printed.read().decode(errors="replace"), time.monotonic() - start
