"""One run of the pipeline at a time in a repository, whatever an earlier one that was killed left behind."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc.lock import make_lock
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

TEMPORARY = Path(".dvc", "tmp")


@contextmanager
def alone(program: str) -> Iterator[None]:
    """Wait for another run of ``program`` here to end, and keep later ones waiting; the system ends the turn of a killed one."""
    TEMPORARY.mkdir(exist_ok=True)
    with Path(TEMPORARY, f"{program}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another run is under way here: this one waits for its end.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        forget_killed(program)
        yield


def forget_killed(program: str) -> None:
    """Clear DVC's record of files in use of runs of ``program``, none of which is alive.

    DVC forgets those whose process number nobody has now; after a restart of the machine or the container somebody may. It does not
    read a record that was being written as the run was killed.
    """
    path = TEMPORARY / RWLOCK_FILE
    with make_lock(str(TEMPORARY / RWLOCK_LOCK)):
        try:
            used = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except ValueError:
            used = {}
        read = {file: [by for by in users if program not in by["cmd"]] for file, users in used.get("read", {}).items()}
        write = {file: by for file, by in used.get("write", {}).items() if program not in by["cmd"]}
        path.write_text(json.dumps({"read": read, "write": write}), encoding="utf-8")
