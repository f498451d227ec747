"""A disk without room, a folder that can only be read, and two runs at once, for stages whose outputs were removed."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.copies import call, environment, succeeds
from tools.fault_injection.runs import differences

STAGES = ("render_image_set", "score_probes")
RUN = ("dvc", "repro", *STAGES)
OUTPUTS = ("image_sets", "measurements/textual_probe", "measurements/visual_probe")
DISK_SIZE = 2**30  # bytes


@contextmanager
def small_disk(folder: Path, whole: Path) -> Iterator[Path]:
    """A copy of a repository on a disk of its own in memory; PermissionError where this process may not mount one."""
    if os.geteuid():
        raise PermissionError("only root may mount disks: run this as root to try a full disk and a read-only folder")
    folder.mkdir()
    mount("-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs", folder)
    try:
        yield Path(shutil.copytree(whole, folder / "copy", symlinks=True))
    finally:
        subprocess.run(["umount", folder], check=True)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def remove_outputs(folder: Path) -> None:
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
    """The message of a run that finds ``free`` bytes; and what differs after a second one that finds room."""
    remove_outputs(folder)
    ballast = fill(folder.parent, free)
    message = failure(folder, "No space left on device")
    ballast.unlink()
    return message, repaired(folder, whole)


def run_read_only(folder: Path, whole: Path) -> tuple[str, list[str]]:
    """The message of a run that may not write results; and what differs after a second one that may."""
    remove_outputs(folder)
    results = folder / "results"
    mount("--bind", results, results)
    mount("-o", "remount,bind,ro", results)
    try:
        message = failure(folder, "Read-only file system")
    finally:
        subprocess.run(["umount", results], check=True)
    return message, repaired(folder, whole)


def run_twice(folder: Path, whole: Path) -> tuple[str, list[str]]:
    """What two runs at once print where one refuses; and what differs after a third one, alone."""
    remove_outputs(folder)
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    runs = [subprocess.Popen(RUN, cwd=folder, env=environment(), **out) for _ in range(2)]
    texts = [run.communicate()[0] for run in runs]
    refused = [text for run, text in zip(runs, texts, strict=True) if run.returncode]
    if any("Traceback" in text for text in texts):
        raise RuntimeError("two runs at once printed:\n" + "\n".join(texts))
    message = re.search("ERROR: .*", refused[0])[0].replace(f"{folder}/", "") if refused else "both ended well"
    return message, repaired(folder, whole)


def failure(folder: Path, why: str) -> str:
    """The message of a run that fails; RuntimeError if it does not fail, or without a message."""
    done = call(folder, *RUN)
    text = done.stdout + done.stderr
    messages = re.findall(rf"(?:the disk is full|ERROR:|\[Errno).*{why}.*", text)
    if not done.returncode or "Traceback" in text or not messages:
        raise RuntimeError(f"expected `{why}`, but the run ended with {done.returncode}, and printed:\n{text[-3000:]}")
    return messages[-1].replace(str(folder), ".")


def repaired(folder: Path, whole: Path) -> list[str]:
    """What differs from an undisturbed run after a run with nothing in its way."""
    succeeds(call(folder, *RUN))
    return differences(folder, whole)
