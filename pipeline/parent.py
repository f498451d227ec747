"""A stage ends when the process that started it is gone: otherwise it would go on writing while the next run starts it again."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

SECONDS = 0.5  # less than DVC needs to start


def end_with_dvc() -> None:
    """Watch the process of DVC that started this one, if DVC did, and end when it ends."""
    parent = running_dvc() if "DVC_STAGE" in os.environ else None  # DVC sets the variable for the commands of stages
    if parent:
        end_with(parent)


def end_with(process: psutil.Process) -> None:
    """Watch a process, and end when it ends."""
    threading.Thread(target=_end_after, args=(process,), daemon=True).start()


def is_dvc(process: psutil.Process) -> bool:
    """Is a process a command of DVC? False if it has ended or belongs to somebody else."""
    with suppress(psutil.Error):
        return any(Path(word).name == "dvc" for word in process.cmdline()[:2])
    return False


def running_dvc() -> psutil.Process | None:
    """The process of DVC among the ancestors of this one, which a shell may separate from it."""
    return next(filter(is_dvc, psutil.Process().parents()), None)


def _end_after(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(SECONDS)
    os._exit(1)
