"""Run the pipeline as `dvc repro` does, with independent stages in parallel.

    python -m pipeline.run_parallel [STAGE ...]

Asks DVC which stages changed and how they depend on each other, then runs `dvc repro --single-item STAGE ...`, each stage after those
it depends on: as many commands at a time as the cores allow with `compute.threads` threads each. Of the stages of a matrix, a command
gets several, because DVC takes a second to start. Runs all stages, or the named ones with all that they depend on, those of the first
name first. A run that was killed goes on when it is started again.
"""

import argparse
import fcntl
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import partial
from graphlib import TopologicalSorter
from pathlib import Path

import psutil

from pipeline.error_messages import report
from pipeline.parameters import parse, read_params, read_text
from pipeline.parent import is_dvc

LOCK = Path("dvc.lock")
TEMPORARY = Path(".dvc", "tmp")
# Runs stages: exit status, what to print where they failed, and the seconds that they took.
RunStages = Callable[[list[str]], tuple[int, str, float]]
NODE_OR_EDGE = re.compile(r'"(?P<stage>[^"]+)"(?: -> "(?P<after>[^"]+)")?;')


def dvc(*arguments: str) -> str:
    """What a command of DVC prints; RuntimeError with what it complains about if it fails."""
    if not shutil.which("dvc"):
        raise RuntimeError("dvc is not on the path: activate the environment first, `source .venv/bin/activate`")
    done = subprocess.run(["dvc", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def dependencies(dot: str) -> dict[str, set[str]]:
    """The stages that each stage depends on, from the graph that `dvc dag --dot` prints.

    >>> dependencies('"train"; "score"; "train" -> "score";')
    {'train': set(), 'score': {'train'}}
    """
    graph: dict[str, set[str]] = {}
    for match in NODE_OR_EDGE.finditer(dot):
        graph.setdefault(match["stage"], set())
        if match["after"]:
            graph.setdefault(match["after"], set()).add(match["stage"])
    return graph


def stages_to_run(graph: dict[str, set[str]], changed: set[str]) -> dict[str, set[str]]:
    """The stages that changed or depend on one that did, in the order of ``graph``, each with those of them that it depends on.

    >>> stages_to_run({"c": {"b"}, "a": set(), "b": {"a"}, "d": {"a"}}, {"b"})
    {'c': {'b'}, 'b': set()}
    """
    selected: dict[str, set[str]] = {}
    for stage in TopologicalSorter(graph).static_order():
        before = graph[stage] & selected.keys()
        if before or stage in changed:
            selected[stage] = before
    return {stage: selected[stage] for stage in graph if stage in selected}


@contextmanager
def only_run() -> Iterator[int]:
    """Wait for another run in this repository to end; gives the lock's file descriptor.

    The stages' processes inherit the descriptor, so that after a kill the next run also waits for those that are still alive.
    """
    TEMPORARY.mkdir(parents=True, exist_ok=True)
    with Path(TEMPORARY, "run_parallel.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another run is under way: this one waits for its end.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def restore_lock_file() -> None:
    """Put dvc.lock back as the last run found it if DVC was killed while writing it; DVC's cache has what has run since."""
    copy = TEMPORARY / LOCK.name
    try:
        if LOCK.exists():
            parse(read_text(LOCK), LOCK)
            shutil.copyfile(LOCK, copy)
    except ValueError:
        if copy.exists():
            print(f"{LOCK} is damaged: continuing from its last copy.", flush=True)
            os.replace(copy, LOCK)


def forget_killed_runs() -> None:
    """Remove DVC's record of files in use, unless a command of DVC runs here.

    A killed command leaves the record half written, or with its process number, which another process may have by now.
    """
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if is_dvc(process) and Path(process.cwd()) == Path.cwd():
                return
    Path(TEMPORARY, "rwlock").unlink(missing_ok=True)


@contextmanager
def next_run() -> Iterator[int]:
    """Wait for another run to end (``only_run``), and mend what a killed one left behind; gives the lock's file descriptor."""
    with only_run() as lock:
        forget_killed_runs()
        restore_lock_file()
        yield lock


def reproduce(stages: list[str], lock: int) -> tuple[int, str, float]:
    """Run stages one after the other; DVC's exit status, what it printed, and the seconds it took."""
    start = time.monotonic()
    done = subprocess.run(
        ["dvc", "--wait-for-lock", "repro", "--single-item", *stages],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=[lock],
    )
    return done.returncode, done.stdout, time.monotonic() - start


def share(ready: list[str], workers: int) -> list[str]:
    """Take from the stages that can run those for the next command: the first, and some of its siblings in a matrix.

    Fewer as fewer are left, so that all workers end together.

    >>> ready = ["world", "score@a", "score@b", "score@c", "score@d", "score@e", "score@f"]
    >>> [share(ready, 2) for _ in range(4)], ready
    ([['world'], ['score@a', 'score@b'], ['score@c'], ['score@d']], ['score@e', 'score@f'])
    """
    siblings = [stage for stage in ready if stage.partition("@")[0] == ready[0].partition("@")[0]]
    taken = siblings[: math.ceil(len(siblings) / (2 * workers))]
    ready[:] = [stage for stage in ready if stage not in taken]
    return taken


def run(stages: dict[str, set[str]], workers: int, run_stages: RunStages) -> None:
    """Run stages by ``run_stages``, ``workers`` calls at a time, each after those it depends on, and of those that can run the first of ``stages``.

    SystemExit with the output of one that fails.
    """
    waiting, ready, running, start = TopologicalSorter(stages), [], {}, time.monotonic()
    place = {stage: number for number, stage in enumerate(stages)}
    waiting.prepare()
    with ThreadPoolExecutor(workers) as pool:
        while waiting.is_active():
            ready = sorted([*ready, *waiting.get_ready()], key=place.get)
            while ready and len(running) < workers:
                taken = share(ready, workers)
                running[pool.submit(run_stages, taken)] = taken
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                taken, (status, output, seconds) = running.pop(future), future.result()
                minutes, rest = divmod(round(time.monotonic() - start), 60)
                print(f"{minutes:3d}:{rest:02d}  {seconds:4.0f} s  {', '.join(taken)}", flush=True)
                if status:
                    pool.shutdown(cancel_futures=True)
                    sys.exit(output)
                waiting.done(*taken)


def changed_stages(targets: list[str]) -> dict[str, set[str]]:
    """What ``stages_to_run`` gives for the named stages with all that they depend on; for all stages where none is named."""
    graph = {}
    for target in targets or [""]:
        graph |= dependencies(dvc("dag", "--dot", *filter(None, [target])))
    return stages_to_run(graph, set(json.loads(dvc("status", "--json"))))


def worker_count(threads: int | None) -> int:
    """How many stages of ``threads`` threads run at a time; None: a stage takes all cores."""
    return max(1, (os.cpu_count() or 1) // threads) if threads else 1


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.run_parallel", description="Run the stages that changed.")
    parser.add_argument("stages", metavar="STAGE", nargs="*", help="a stage of dvc.yaml (default: all)")
    targets = parser.parse_args(arguments).stages
    params = read_params(inputs=not targets)  # a named stage may do without some inputs
    with next_run() as lock:
        run(changed_stages(targets), worker_count(params.compute.threads), partial(reproduce, lock=lock))


if __name__ == "__main__":
    report(main, *sys.argv[1:])
