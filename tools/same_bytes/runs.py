"""Runs of the pipeline's steps in copies of the repository: on this processor, and on one that qemu emulates."""

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pipeline.one_code_path import ENVIRONMENT
from tests.copies import call, copy_repository, environment, succeeds
from tools.fault_injection.runs import result_files
from tools.file_differences import differences

PROFILE = "bits"
EMULATORS = ("qemu-x86_64", "qemu-x86_64-static")
FIRST_RIGHT = (10, 0)  # qemu 7.2 reads elsewhere in gathers whose index is in the register ymm4
# What a user's shell may say, and must not change a result. None: the variable is not set.
NATIVE = {"PYTHONHASHSEED": "1", "TZ": "UTC", "LANG": "C.UTF-8", "LC_ALL": None}
EMULATED = {"PYTHONHASHSEED": "2", "TZ": "Asia/Kathmandu", "LANG": "C", "LC_ALL": "C"}
STAGE = re.compile(r"Running stage '(?P<name>[^']+)':\n> python -m pipeline\.(?P<step>.+)")


def emulator() -> str:
    """The path of qemu's emulator of x86-64 programs; RuntimeError with what to do where it is missing or too old."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        raise RuntimeError("the same bytes are promised, and compared, on Linux on x86-64 only")
    path = next(filter(None, map(shutil.which, EMULATORS)), None)
    if path is None:
        raise RuntimeError("qemu-x86_64 is missing: `apt-get install qemu-user` installs it")
    version = re.search(r"\d+\.\d+", subprocess.run([path, "--version"], capture_output=True, text=True).stdout)[0]
    if tuple(map(int, version.split("."))) < FIRST_RIGHT:
        raise RuntimeError(
            f"{path} is version {version}, which computes some AVX2 instructions wrongly: install qemu-user 10.0 or newer"
            " (Debian 12 has it in bookworm-backports)"
        )
    return path


def other_processor() -> str:
    """The name by which qemu knows a processor with AVX2 and without AVX-512, of another vendor than this one.

    RuntimeError where qemu is missing.
    """
    emulator()
    return "Haswell" if "AuthenticAMD" in Path("/proc/cpuinfo").read_text() else "EPYC-Rome"


def compare_processors(
    folder: Path, model: str, stages: Collection[str] | None = None, *, one_code_path: bool = True
) -> tuple[int, dict[str, str]]:
    """Run stages (None: all) natively and on the processor ``model``, in two new copies of the repository in ``folder``.

    The number of files that the runs wrote, and of each that differs how it does.
    """
    natively, elsewhere = (new_copy(folder / name, one_code_path=one_code_path) for name in ("native", "emulated"))
    steps = list_steps(natively, stages)
    print(f"natively, {len(steps)} steps", flush=True)
    run(natively, steps, NATIVE, pinned=True)
    print(f"on an emulated {model}", flush=True)
    run(elsewhere, steps, EMULATED, prefix=(emulator(), "-cpu", model))
    return len(result_files(natively)), differences(result_files(natively), result_files(elsewhere))


def describe(n_files: int, differing: Mapping[str, str], model: str) -> str:
    """One sentence, and a line for each file that differs."""
    if not differing:
        return f"{n_files} files are the same, byte by byte, on this processor and on an emulated {model}."
    lines = [f"  {path}: {how}" for path, how in differing.items()]
    return "\n".join([f"{len(differing)} of {n_files} files differ from those of an emulated {model}:", *lines])


def new_copy(folder: Path, *, one_code_path: bool) -> Path:
    """A copy of the repository in which the package `clip360` is the copy's own."""
    copy_repository(folder, profile=PROFILE)
    (folder / "clip360").symlink_to("lib")
    if not one_code_path:
        params = folder / "params.yaml"
        params.write_text(params.read_text(encoding="utf-8").replace("one_code_path: true", "one_code_path: false"))
    return folder


def list_steps(folder: Path, stages: Collection[str] | None = None) -> list[str]:
    """The steps of the pipeline in an order in which they can run: all, or those of ``stages``.

    `train` stands for `train@clip_p30` and all its siblings. ValueError for a stage that does not exist.
    """
    listed = succeeds(call(folder, "dvc", "repro", "--dry", "--force"))
    steps = {match["name"]: match["step"] for match in STAGE.finditer(listed)}
    if stages is None:
        return list(steps.values())
    if unknown := set(stages) - steps.keys() - {name.split("@")[0] for name in steps}:
        raise ValueError(f"the profile {PROFILE} has no stage {', '.join(sorted(unknown))}: see `dvc stage list`")
    return [step for name, step in steps.items() if {name, name.split("@")[0]} & set(stages)]


def run(
    folder: Path, steps: Sequence[str], variables: dict, *, prefix: Sequence[str] = (), pinned: bool = False
) -> None:
    """Run steps in one process, on one core if ``pinned``; RuntimeError with the end of its error messages if it fails."""
    python = os.path.realpath(sys.executable)  # not a script or a link, which qemu would not read
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run(
            [*prefix, python, "-m", "tools.same_bytes.run_steps", *steps],
            cwd=folder,
            env=clean_environment(variables),
            stderr=errors,
            preexec_fn=use_one_core if pinned else None,
        )
        errors.seek(0)
        lines = [line for line in errors if not line.startswith("qemu-x86_64: warning")]
    if done.returncode:
        raise RuntimeError(f"the steps failed in {folder}:\n{''.join(lines)[-3000:]}")


def clean_environment(variables: dict[str, str | None]) -> dict[str, str]:
    """The variables of this process with ``variables``, the packages of this Python, and nothing of how libraries compute."""
    packages = os.pathsep.join(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
    inherited = {name: value for name, value in environment().items() if name not in ENVIRONMENT}
    merged = inherited | {"PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"} | variables
    return {name: value for name, value in merged.items() if value is not None}


def use_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
