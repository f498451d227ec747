"""A disk without room, a folder that only can be read, and two runs at once, for stages whose outputs were taken away."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.copies import call, environment, succeeds
from tools.fault_injection.kills import RUN, differences

STAGES = ("render_set", "score_probes")
OUTPUTS = ("sets", "scores/textual", "scores/visual")
ROOM = 2**30  # bytes of the small disk


@contextmanager
def small_disk(folder: Path, whole: Path) -> Iterator[Path]:
    """A copy of a repository on a disk of its own in memory; PermissionError where this process may not mount one."""
    if os.geteuid():
        raise PermissionError(
            "only root may mount disks: run this as root to try a full one and one that only can be read"
        )
    folder.mkdir()
    mount("-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", folder)
    try:
        yield Path(shutil.copytree(whole, folder / "copy", symlinks=True))
    finally:
        subprocess.run(["umount", folder], check=True)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def take_away(folder: Path) -> None:
    """Remove the outputs of STAGES, and what DVC could restore them from."""
    for path in (*(Path(folder, "results", "tiny", output) for output in OUTPUTS), folder / ".dvc" / "cache"):
        shutil.rmtree(path)


def fill(folder: Path, free: int) -> Path:
    """A file that leaves ``free`` bytes of the disk."""
    disk, path = os.statvfs(folder), folder / "ballast"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - free)
    return path


def run_full(folder: Path, whole: Path, free: int) -> tuple[str, list[str]]:
    """What a run says that finds ``free`` bytes; and what differs from an undisturbed run after one that finds room again."""
    take_away(folder)
    ballast = fill(folder.parent, free)
    told = failed(folder, "No space left on device")
    ballast.unlink()
    return told, repaired(folder, whole)


def run_read_only(folder: Path, whole: Path) -> tuple[str, list[str]]:
    """What a run says that may not write results; and what differs from an undisturbed run after one that may."""
    take_away(folder)
    results = folder / "results"
    mount("--bind", results, results)
    mount("-o", "remount,bind,ro", results)
    try:
        told = failed(folder, "Read-only file system")
    finally:
        subprocess.run(["umount", results], check=True)
    return told, repaired(folder, whole)


def run_twice(folder: Path, whole: Path) -> tuple[str, list[str]]:
    """What the second of two runs at once says; and what then differs from an undisturbed run."""
    take_away(folder)
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    runs = [subprocess.Popen([*RUN, *STAGES], cwd=folder, env=environment(), **out) for _ in range(2)]
    texts = [run.communicate()[0] for run in runs]
    told = sum((re.findall(r"Another run .*", text) for text in texts), [])
    if any(run.returncode for run in runs) or len(told) != 1:
        raise RuntimeError("two runs at once said:\n" + "\n".join(texts))
    return told[0], repaired(folder, whole)


def failed(folder: Path, why: str) -> str:
    """The sentence in which a run says why it failed; RuntimeError if it does not fail, or not in a sentence."""
    done = call(folder, *RUN, *STAGES)
    text = done.stdout + done.stderr
    told = re.findall(rf"(?:the disk is full|ERROR:|\[Errno).*{why}.*", text)
    if not done.returncode or "Traceback" in text or not told:
        raise RuntimeError(f"expected `{why}`, but the run ended with {done.returncode}, and said:\n{text[-3000:]}")
    return told[-1].replace(str(folder), ".")


def repaired(folder: Path, whole: Path) -> list[str]:
    """What differs from an undisturbed run after a run with nothing in its way."""
    succeeds(call(folder, *RUN, *STAGES))
    return differences(folder, whole)
