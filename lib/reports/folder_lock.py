"""A folder that one process at a time writes into."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "running.lock"


@contextmanager
def folder_lock(folder: str | Path) -> Iterator[None]:
    """Hold ``folder``, which is made where it does not exist; ValueError, with the other's process id, where another holds it.

    The operating system releases the lock of a process that ends, however it ends.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    file = _locked(path, folder)
    try:
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def _locked(path: Path, folder: Path) -> int:
    """The descriptor of the lock file, locked."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            process = os.read(file, 20).decode().strip()
            os.close(file)
            raise ValueError(
                f"{folder} is being written by the process {process}: wait until it ends, or choose another --out"
            ) from None
        # A process that ended between the two calls has removed the file: its lock holds nothing.
        if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
            return file
        os.close(file)
