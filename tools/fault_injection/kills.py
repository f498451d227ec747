"""SIGKILL again and again while the pipeline runs, and a comparison of all that it leaves with an undisturbed run."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import psutil
from dvc.repo import Repo
from ruamel.yaml import YAML

from tests.copies import environment

RUN = [sys.executable, "-m", "pipeline.run_parallel"]
VICTIMS = ("all", "main", "lane", "stage")  # the process group; the main process; one that runs stages; one stage's own
LOOK = 0.05  # seconds between looks at what runs
GONE = 10.0  # seconds in which all that a killed process started must end
UNCOMPARED = "seconds"  # what training took


@dataclass
class Killings:
    """What was killed: victims, the stages that ran then, and what was not as promised."""

    victims: Counter = field(default_factory=Counter)
    hit: Counter = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    runs: int = 0


@contextmanager
def begin(folder: Path) -> Iterator[tuple[subprocess.Popen, TextIO]]:
    """The pipeline as it begins to run in ``folder``, a process group of its own, and where it tells what it does."""
    with (
        tempfile.TemporaryFile("w+") as told,
        subprocess.Popen(
            RUN, cwd=folder, env=environment(), start_new_session=True, stdout=told, stderr=subprocess.STDOUT
        ) as run,
    ):
        yield run, told


def ended_well(run: subprocess.Popen, told: TextIO) -> None:
    """Refuse a run that failed, though nothing was killed."""
    if run.wait():
        told.seek(0)
        raise RuntimeError(f"a run failed, though nothing was killed:\n{told.read()[-2000:]}")


def watch(folder: Path) -> Counter:
    """Run the pipeline undisturbed; for how many seconds each item of a stage was under way."""
    stages, seconds, before = stages_by_output(folder), Counter(), time.monotonic()
    with begin(folder) as (run, told):
        while run.poll() is None:
            time.sleep(LOOK)
            now = time.monotonic()
            seconds.update(dict.fromkeys(running(folder, stages), now - before))
            before = now
        ended_well(run, told)
    return seconds


def kill_and_repeat(folder: Path, seconds: Counter, *, kills: int, seed: int) -> Killings:
    """Run the pipeline until it is done, killed about ``kills`` times, once or more in every stage.

    Items of stages are drawn; the kill comes at random within the ``seconds`` that the item takes, and hits whatever runs then.
    Stages that no kill has hit so far are aimed at too, sooner each time, and begin anew if the run is done before.
    """
    rng, killings = random.Random(seed), Killings()
    stages = stages_by_output(folder)
    items = sorted(set(stages.values()))
    doomed = set(rng.sample(items, min(kills, len(items))))
    while True:
        aimed = strike(folder, stages, doomed, seconds, rng, killings)
        missed = {item for item in items if name_of(item) not in killings.hit}
        if aimed is None:
            if not missed:
                return killings
            undo(folder, {output for output, item in stages.items() if item in missed})
        doomed = doomed - {aimed} | missed


def strike(
    folder: Path, stages: dict[str, str], doomed: set[str], seconds: Counter, rng: random.Random, killings: Killings
) -> str | None:
    """Run the pipeline, kill it while a doomed item runs, and take that down; the item aimed at, None if none ran."""
    killings.runs += 1
    with begin(folder) as (run, told):
        aimed = wait_for(folder, stages, doomed, run)
        if aimed is None:
            ended_well(run, told)
            return None
        time.sleep(rng.uniform(0, seconds[aimed]))
        victim, hit = rng.choice(VICTIMS), running(folder, stages)
        if aimed not in hit:
            seconds[aimed] /= 2  # it takes less than when it was watched
        killings.broken += kill(victim, run, rng)
        told.seek(0)
        text = told.read()
    if "Traceback" in text:
        killings.broken.append(f"{victim} was killed, and the run ended with a traceback: {text[-2000:]}")
    killings.victims[victim] += 1
    killings.hit.update(name_of(item) for item in hit)
    last = text.strip().splitlines()[-1:] if victim in ("lane", "stage") else []
    print(f"{killings.runs:3d}  {victim:5s}  {', '.join(sorted(hit)) or 'between stages'}", *last, flush=True)
    return aimed


def undo(folder: Path, outputs: set[str]) -> None:
    """Remove outputs of stages, and what DVC could restore them from without running these."""
    for path in (*map(Path, outputs), folder / ".dvc" / "cache" / "runs"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def kill(victim: str, run: subprocess.Popen, rng: random.Random) -> list[str]:
    """SIGKILL to the victim, or to all where there is none; when the run is over, what of it lives on."""
    family = psutil.Process(run.pid).children(recursive=True)
    lanes = [process for process in family if process.ppid() == run.pid and "spawn_main" in " ".join(process.cmdline())]
    forks = [process for process in family if process.ppid() in {lane.pid for lane in lanes}]
    try:
        rng.choice({"main": [run], "lane": lanes, "stage": forks}[victim]).kill()
    except (KeyError, IndexError, psutil.NoSuchProcess):
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    _, alive = psutil.wait_procs(family, timeout=GONE)
    left = [f"{victim} was killed, but {' '.join(process.cmdline())} lives on" for process in alive]
    for process in alive:
        process.kill()
    return left


def wait_for(folder: Path, stages: dict[str, str], doomed: set[str], run: subprocess.Popen) -> str | None:
    """A doomed item of a stage, as soon as one runs; None if the run ends before."""
    while run.poll() is None:
        if begun := running(folder, stages) & doomed:
            return min(begun)
        time.sleep(LOOK)
    return None


def running(folder: Path, stages: dict[str, str]) -> set[str]:
    """The items of stages whose outputs DVC has marked as being written, by processes that live."""
    try:
        used = json.loads(Path(folder, ".dvc", "tmp", "rwlock").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # not there yet, or just being written
        return set()
    return {
        stages[path] for path, by in used.get("write", {}).items() if path in stages and psutil.pid_exists(by["pid"])
    }


def stages_by_output(folder: Path) -> dict[str, str]:
    """The item of a stage that writes each output."""
    with Repo(folder) as repo:
        return {out.fs_path: stage.name for stage in repo.index.stages for out in stage.outs if stage.cmd}


def name_of(item: str) -> str:
    return item.split("@")[0]


def differences(disturbed: Path, whole: Path) -> list[str]:
    """What differs between the results of two copies of the repository: files, and what dvc.lock says of them."""
    ours, theirs = dict(files(disturbed)), dict(files(whole))
    differing = [str(path) for path in sorted(ours.keys() | theirs.keys()) if ours.get(path) != theirs.get(path)]
    locks = [YAML(typ="safe").load((folder / "dvc.lock").read_text(encoding="utf-8")) for folder in (disturbed, whole)]
    return differing + ([] if locks[0] == locks[1] else ["dvc.lock"])


def files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """All results, and their bytes."""
    for path in sorted(Path(folder, "results").rglob("*")):
        if path.is_file() and UNCOMPARED not in path.parts:
            yield path.relative_to(folder), path.read_bytes()
