"""SIGKILL again and again while the pipeline runs, through every entrance, and a comparison with an undisturbed run."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import psutil
from ruamel.yaml import YAML

from tests.copies import IDENTITY
from tools.fault_injection.runs import (
    ENTRANCES,
    finish,
    read_lock,
    running_commands,
    running_stages,
    stage_commands,
    start,
    text_of,
)

VICTIMS = ("group", "engine", "stage")  # all processes of the run; the one that starts stages; one stage's own
POLL = 0.05  # seconds between two checks of what runs
FEW = 5  # stages that run again at a time
GONE = 10.0  # seconds within which everything that a killed process started must end
FINISHED = 300.0  # seconds within which stages must end that `make repro` had given to DVC before it was killed


@dataclass
class Kills:
    """What was killed, through which entrance, which stages ran then, and which promises were broken."""

    victims: Counter = field(default_factory=Counter)
    entrances: Counter = field(default_factory=Counter)
    stages: Counter = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    advised: list[str] = field(default_factory=list)


def measure_stages(folder: Path) -> tuple[dict[str, str], Counter]:
    """Run the pipeline undisturbed: the stage of every command, and for how many seconds each stage ran."""
    seconds, before = Counter(), time.monotonic()
    with start(folder, ENTRANCES["make repro"]) as (run, printed):
        while run.poll() is None:
            time.sleep(POLL)
            now = time.monotonic()
            seconds.update(dict.fromkeys(running_commands(run), now - before))
            before = now
        finish(run, printed)
    # dvc.lock also holds stages of other profiles, and frozen ones: only those that ran can be killed.
    commands = {command: stage for command, stage in stage_commands(folder).items() if seconds[command]}
    return commands, Counter({stage: seconds[command] for command, stage in commands.items()})


def forget(folder: Path, stages: Iterable[str]) -> None:
    """Remove what DVC knows of the stages, so that it runs them again.

    Git keeps the whole lock before: a run that finds it damaged is advised to take it from there.
    """
    subprocess.run(["git", *IDENTITY, "commit", "--quiet", "--message", "whole", "dvc.lock"], cwd=folder, check=False)
    lock = read_lock(folder)
    for stage in stages:
        lock["stages"].pop(stage, None)
    YAML(typ="safe").dump(lock, folder / "dvc.lock")
    shutil.rmtree(folder / ".dvc" / "cache" / "runs", ignore_errors=True)


def kill_repeatedly(folder: Path, commands: dict[str, str], seconds: Counter, *, kills: int, seed: int) -> Kills:
    """Run the pipeline until it is done, killed about ``kills`` times, each kind of stage at least once.

    Once it is whole, some stages are forgotten and run again: one of each kind that no kill has hit, or a few of any.
    """
    rng, record, entrances = random.Random(seed), Kills(), cycle(ENTRANCES)
    while record.victims.total() < kills or spared(commands, record):
        if not strike(folder, next(entrances), commands, seconds, rng, record):
            again = [rng.choice(stages) for stages in spared(commands, record).values()]
            forget(folder, again or rng.sample(sorted(set(commands.values())), FEW))
    for entrance in ("dvc repro", "make repro"):
        with start(folder, ENTRANCES[entrance]) as (run, printed):
            finish(run, printed)
    return record


def spared(commands: dict[str, str], record: Kills) -> dict[str, list[str]]:
    """The stages of each kind that no kill has hit."""
    hit, kinds = {kind(stage) for stage in record.stages}, {}
    for stage in sorted(set(commands.values())):
        if kind(stage) not in hit:
            kinds.setdefault(kind(stage), []).append(stage)
    return kinds


def strike(
    folder: Path, entrance: str, commands: dict[str, str], seconds: Counter, rng: random.Random, record: Kills
) -> bool:
    """Start the pipeline and kill it at a random moment of a stage of a kind not hit so far, or of any; whether anything ran."""
    stages = sum(spared(commands, record).values(), []) or sorted(set(commands.values()))
    stage = rng.choice(stages)
    command = [stage if word == "STAGE" else word for word in ENTRANCES[entrance]]
    with start(folder, command) as (run, printed):
        aimed = wait_for_stage(run, commands, set(map(kind, stages)))
        if aimed is None:
            text = text_of(printed)
            if run.wait():
                advise(folder, text, record)
            return bool(run.returncode) or entrance == "dvc repro STAGE"
        time.sleep(rng.uniform(0, seconds[aimed]))
        hit = running_stages(run, commands)
        victim = rng.choice(VICTIMS)
        record.broken += kill(victim, entrance, run, list(hit.values()))
        if "Traceback" in (text := text_of(printed)):
            record.broken.append(f"{victim} was killed, and the run ended with a traceback: {text[-1500:]}")
    record.victims[victim] += 1
    record.entrances[entrance] += 1
    record.stages.update(hit.keys())
    print(
        f"{record.victims.total():3d}  {entrance:15s}  {victim:6s}  {', '.join(sorted(hit)) or 'between stages'}",
        flush=True,
    )
    return True


def advise(folder: Path, text: str, record: Kills) -> None:
    """A run that refuses to go on must name the damaged file: git has the last dvc.lock, the other is removed by hand."""
    if "Traceback" in text or not {"dvc.lock", "rwlock"} & set(re.findall(r"dvc\.lock|rwlock", text)):
        raise RuntimeError(f"a run failed, and did not say what to do:\n{text[-2000:]}")
    record.advised.append(text.strip().splitlines()[-1])
    if "rwlock" in text:
        Path(folder, ".dvc", "tmp", "rwlock").unlink(missing_ok=True)
    else:
        subprocess.run(["git", "checkout", "--quiet", "dvc.lock"], cwd=folder, check=True)


def wait_for_stage(run: subprocess.Popen, commands: dict[str, str], wanted: set[str]) -> str | None:
    """The first stage of a wanted kind that runs; None if the run ends before."""
    while run.poll() is None:
        for stage in sorted(running_stages(run, commands)):
            if kind(stage) in wanted:
                return stage
        time.sleep(POLL)
    return None


def kill(victim: str, entrance: str, run: subprocess.Popen, stages: list[psutil.Process]) -> list[str]:
    """SIGKILL to the victim; what of the run lives on when it should be over.

    What `make repro` had given to DVC goes on to the end of its stage, for which the next `make repro` waits.
    """
    family = psutil.Process(run.pid).children(recursive=True)
    try:
        if victim == "stage" and stages:
            stages[0].kill()
        elif victim == "engine":
            engine_of(run, family).kill()
        else:
            os.killpg(run.pid, signal.SIGKILL)
    except (ProcessLookupError, psutil.NoSuchProcess):
        pass
    run.wait()
    _, alive = psutil.wait_procs(family, timeout=GONE if entrance != "make repro" else FINISHED)
    left = [f"{victim} was killed, but `{' '.join(process.cmdline())}` lives on" for process in alive]
    for process in alive:
        process.kill()
    return left


def engine_of(run: subprocess.Popen, family: list[psutil.Process]) -> psutil.Process:
    """The process that starts the stages: the one that `make` has started, or DVC."""
    for process in family:
        with suppress(psutil.NoSuchProcess):
            if "pipeline.run_parallel" in process.cmdline():
                return process
    return psutil.Process(run.pid)


def kind(stage: str) -> str:
    """The stage without its item.

    >>> kind("finetune@p03_distilled")
    'finetune'
    """
    return stage.split("@")[0]
