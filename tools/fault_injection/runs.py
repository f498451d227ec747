"""Runs of the pipeline in a copy of the repository: how they start, which stages run, what they leave."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import psutil
from ruamel.yaml import YAML

from tests.copies import environment
from tools import file_differences

# Every way in which people start the pipeline; STAGE stands for one stage. The environment of a copy is never set up anew.
ENTRANCES = {
    "make repro": ("make", "--assume-old=.venv/installed", "repro"),
    "dvc repro": ("dvc", "repro"),
    "dvc repro STAGE": ("dvc", "repro", "STAGE"),
}
NOT_COMPARED = ("seconds", "checkpoints")  # what training took; what a killed training left to continue from


@contextmanager
def start(folder: Path, command: Sequence[str]) -> Iterator[tuple[subprocess.Popen, TextIO]]:
    """The pipeline as it begins to run in ``folder``, in a process group of its own, and what it prints."""
    with (
        tempfile.TemporaryFile("w+") as printed,
        subprocess.Popen(
            command, cwd=folder, env=environment(), start_new_session=True, stdout=printed, stderr=subprocess.STDOUT
        ) as run,
    ):
        yield run, printed


def finish(run: subprocess.Popen, printed: TextIO) -> None:
    """Wait for a run that nothing disturbs; RuntimeError if it fails."""
    if run.wait():
        raise RuntimeError(f"a run failed, though nothing was killed:\n{text_of(printed)[-2000:]}")


def text_of(printed: TextIO) -> str:
    printed.seek(0)
    return printed.read()


def use_environment(folder: Path) -> None:
    """Let `make` in a copy use the environment that this program runs in."""
    (folder / ".venv").symlink_to(Path(sys.prefix))


def stage_commands(folder: Path) -> dict[str, str]:
    """The name of every stage that has run, by its command."""
    return {entry["cmd"]: name for name, entry in read_lock(folder)["stages"].items()}


def read_lock(folder: Path) -> dict:
    return YAML(typ="safe").load((folder / "dvc.lock").read_text(encoding="utf-8"))


def running_commands(run: subprocess.Popen) -> dict[str, psutil.Process]:
    """The commands of stages that run now, as dvc.yaml spells them, each with its process."""
    found = {}
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(run.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                words = process.cmdline()
                if words[1:2] == ["-m"] and words[2].startswith("pipeline."):
                    found[" ".join(["python", *words[1:]])] = process
    return found


def running_stages(run: subprocess.Popen, commands: dict[str, str]) -> dict[str, psutil.Process]:
    """The stages that run now, each with its process; ``commands`` names the stage of every command."""
    return {commands[command]: process for command, process in running_commands(run).items() if command in commands}


def differences(disturbed: Path, whole: Path) -> list[str]:
    """What differs between the results of two copies: files, and what dvc.lock records."""
    differing = list(file_differences.differences(result_files(disturbed), result_files(whole)))
    return differing + ([] if read_lock(disturbed) == read_lock(whole) else ["dvc.lock"])


def result_files(folder: Path) -> dict[str, bytes]:
    """All results by their paths."""
    paths = (path for path in Path(folder, "results").rglob("*") if path.is_file())
    return {
        os.path.relpath(path, folder): path.read_bytes()
        for path in paths
        if not set(NOT_COMPARED) & set(path.parts) and not path.name.endswith(".failed.ipynb")
    }
