"""Fine-tune by two processes as torchrun starts them, undisturbed, and with one killed after an epoch and both started again.

    python -m tests.killed_workers RUN FOLDER

Copies what each of the two ends with to FOLDER/undisturbed and FOLDER/killed. Processes are forks of one that has loaded all packages.
"""

import os
import shutil
import signal
import socket
import sys
import time
from contextlib import closing
from pathlib import Path

from pipeline import finetune
from pipeline.finetuned import finetuned_folder
from pipeline.parameters import read_params


def start(run: str) -> list[int]:
    """The ids of two processes that share a run of fine-tuning."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    return [_fork(run, rank, port) for rank in range(2)]


def _fork(run: str, rank: int, port: int) -> int:
    if pid := os.fork():
        return pid
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "ACCELERATE_USE_CPU": "true"}
    try:
        finetune.main(run)
    except BaseException as error:
        print(f"process {rank}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def ends(pids: list[int]) -> list[int]:
    """The exit codes of processes; that of a killed one is the negative number of the signal."""
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def main(run: str, folder: str) -> None:
    params = read_params()
    finished, checkpoints = finetuned_folder(params, run), params.results / "checkpoints"
    assert ends(start(run)) == [0, 0]
    shutil.move(finished, Path(folder, "undisturbed"))
    pids = start(run)
    while not list(checkpoints.glob("*.pt")):
        time.sleep(0.01)
    os.kill(pids[1], signal.SIGKILL)
    assert ends(pids) == [1, -signal.SIGKILL], "the other notices"
    assert not finished.exists() and list(checkpoints.glob("*.pt"))
    assert ends(start(run)) == [0, 0]
    shutil.move(finished, Path(folder, "killed"))


if __name__ == "__main__":
    main(*sys.argv[1:])
