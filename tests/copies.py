"""A copy of the repository, to run the pipeline in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost")  # of git's commits, on a machine that has none


def environment() -> dict[str, str]:
    """Variables under which commands have the tools of this environment."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def call(folder: Path, *command: str, **added: str) -> subprocess.CompletedProcess:
    """Run a command in ``folder``, as ``environment`` and the variables added say."""
    return subprocess.run(command, cwd=folder, env=environment() | added, capture_output=True, text=True)


def copy_repository(folder: Path, *, profile: str) -> Path:
    """The tracked and new files, as a repository of its own that uses ``profile``, with the embedded data."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    for file in listed.stdout.split("\0"):
        if file and Path(file).is_file():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, folder / file)
    for command in (
        ["git", "init", "--quiet"],
        ["git", "add", "--all"],
        ["git", *IDENTITY, "commit", "--quiet", "--message", "copy"],
        ["dvc", "pull", "--quiet", "data"],
        [sys.executable, "-m", "pipeline.profiles", profile],
    ):
        succeeds(call(folder, *command))
    return folder


def succeeds(done: subprocess.CompletedProcess) -> str:
    """What a command printed; it must not have failed."""
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
