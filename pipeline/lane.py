"""A process that runs stages of the pipeline, one after the other, each in a fork that has torch and its like loaded: loading
them takes longer than many a stage."""

import importlib
import io
import multiprocessing
import os
import runpy
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import dvc.cli
import dvc.stage.run
from dvc.stage.exceptions import StageCmdFailedError
from dvc.utils.serialize import _common, _yaml

# What takes seconds to load, or loads what does.
HEAVY = (
    "clip360.evaluation.pretraining_evaluation",
    "clip360.finetune.methods",
    "clip360.data.image_set",
    "accelerate",
    "papermill",
)
UNFINISHED = Path(".dvc", "tmp", "unfinished")

run_by_shell = dvc.stage.run._run
written: dict[str, tuple[dict, str]] = {}  # of each stage its entry in dvc.lock, last put into words, and these


def enter() -> None:
    """Load what stages need; have DVC run their commands in forks of this process, lose no time to dvc.lock, and never leave
    half of it."""
    end_with_parent()
    for module in HEAVY:
        importlib.import_module(module)
    dvc.stage.run._run = run_in_fork
    _yaml.parse_yaml_for_update = _yaml.parse_yaml  # several times as fast, and dvc.lock has no comments to keep
    _common._dump_data = dump_whole


def end_with_parent() -> None:
    """Have this process killed as soon as the one that started it is gone: what it still wrote would disturb the next run."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def dump_whole(path: str, data: dict, dumper: Callable[[dict, TextIO], None], **_) -> None:
    """Write dvc.lock as DVC would, but so that it is whole at any time, and put into words only what has changed: all of it
    takes seconds."""
    parts = []
    for key, value in data.items():
        if key == "stages" and value:
            parts += ["stages:\n", *(in_words(name, entry, dumper) for name, entry in value.items())]
        else:
            parts.append(dumped({key: value}, dumper))
    UNFINISHED.write_text("".join(parts), encoding="utf-8")
    os.replace(UNFINISHED, path)


def in_words(stage: str, entry: dict, dumper: Callable[[dict, TextIO], None]) -> str:
    """What stands in dvc.lock of a stage."""
    if stage not in written or written[stage][0] != entry:
        written[stage] = entry, dumped({"stages": {stage: entry}}, dumper).removeprefix("stages:\n")
    return written[stage][1]


def dumped(data: dict, dumper: Callable[[dict, TextIO], None]) -> str:
    text = io.StringIO()
    dumper(data, text)
    return text.getvalue()


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
    end_with_parent()
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
