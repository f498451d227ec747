"""SIGKILL again and again while the pipeline runs, and a comparison of all that it leaves with an undisturbed run."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from dvc.repo import Repo
from ruamel.yaml import YAML

from tests.copies import environment

RUN = [sys.executable, "-m", "stages.side_by_side"]
VICTIMS = ("all", "main", "lane", "stage")  # the process group; the main process; one that runs stages; one stage's own
LATEST = 3.0  # seconds after a stage begins, at most, until the kill
GONE = 10.0  # seconds in which all that a killed process started must end
UNCOMPARED = "seconds"  # what training took


@dataclass
class Killings:
    """What was killed: victims, the stages that ran then, and what was not as promised."""

    victims: Counter = field(default_factory=Counter)
    hit: Counter = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    runs: int = 0


def kill_and_repeat(folder: Path, *, kills: int, seed: int) -> Killings:
    """Run the pipeline until it is done, killed ``kills`` times at least, once or more in every stage.

    Stages to be killed are drawn, one item of every stage among them; the kill comes at random up to LATEST seconds after the item
    begins, and hits whatever runs then. A stage that was over by then is tried again at its next item.
    """
    rng, killings = random.Random(seed), Killings()
    stages = stages_by_output(folder)
    items = sorted(set(stages.values()))
    names = {name_of(item) for item in items}
    doomed = {rng.choice([item for item in items if name_of(item) == name]) for name in sorted(names)}
    doomed |= set(rng.sample(sorted(set(items) - doomed), max(0, kills - len(doomed))))
    while True:
        killings.runs += 1
        with (
            tempfile.TemporaryFile("w+") as told,
            subprocess.Popen(
                RUN, cwd=folder, env=environment(), start_new_session=True, stdout=told, stderr=subprocess.STDOUT
            ) as run,
        ):
            begun = wait_for(folder, stages, doomed, run)
            if begun:
                time.sleep(rng.uniform(0, LATEST))
                victim, hit = rng.choice(VICTIMS), running(folder, stages)
                killings.broken += kill(victim, run, rng)
            told.seek(0)
            text = told.read()
        if not begun:
            if run.returncode:
                raise RuntimeError(f"run {killings.runs} failed, though nothing was killed:\n{text[-2000:]}")
            return killings
        if "Traceback" in text:
            killings.broken.append(f"{victim} was killed, and the run ended with a traceback: {text[-2000:]}")
        doomed -= begun
        killings.victims[victim] += 1
        killings.hit.update(name_of(item) for item in hit)
        doomed |= {item for item in items if name_of(item) in names - set(killings.hit)}
        last = text.strip().splitlines()[-1:] if victim in ("lane", "stage") else []
        print(f"{killings.runs:3d}  {victim:5s}  {', '.join(sorted(hit)) or 'between stages'}", *last, flush=True)


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


def wait_for(folder: Path, stages: dict[str, str], doomed: set[str], run: subprocess.Popen) -> set[str] | None:
    """Those of the doomed items of stages that run, as soon as there are any; None if the run ends before."""
    while run.poll() is None:
        if begun := running(folder, stages) & doomed:
            return begun
        time.sleep(0.05)
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
