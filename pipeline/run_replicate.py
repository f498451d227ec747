"""Run replicates, profiles with other seeds, each in a copy of the repository, and keep their tables.

    python -m pipeline.run_replicate [NAME ...]

Copies the tracked files as they are now to results/replicates/NAME, a DVC repository of its own that shares the cache, switches it to
the profile NAME, and runs `replicates.stages` of params.yaml. Writes figures/replicates/NAME: the CSV tables of
these stages' notebooks, and provenance.json: the commit, the parameters and the tables with their SHA-256. Without NAME all replicates run that
were not run at this commit. A run that was killed goes on when it is started again.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.error_messages import nearest, report
from pipeline.parameters import PARAMS, parse, read_params, read_text
from pipeline.profiles import profile_names

COPIES, KEPT_TABLES, PROVENANCE = Path("results", "replicates"), Path("figures", "replicates"), "provenance.json"
OWN = {"results", "data", ".dvc", "dvc.lock"}  # what the copy keeps from an earlier run
NOT_COPIED = ("dvc.lock", "params.yaml", ".dvc/embedded/")
PACKAGE = Path("package")  # in the copy: holds lib/ under its name as a package, before the installed one


def run(*command: str, folder: Path = Path(), capture: bool = False) -> str:
    """Run a command in ``folder``, with the package that lies there; what it prints if ``capture``. RuntimeError if it fails."""
    env = {**os.environ, "PYTHONPATH": str(folder.resolve() / PACKAGE)} if (folder / PACKAGE).is_dir() else None
    done = subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE if capture else None, text=True)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command)}` failed in {folder.resolve()}: see above")
    return done.stdout or ""


def copy_repository(folder: Path) -> None:
    """Make ``folder`` a DVC repository with the tracked files of this one; results of an earlier run stay in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in OWN:
            shutil.rmtree(entry)
        elif entry.name not in OWN:
            entry.unlink()
    for name in run("git", "ls-files", "-z", capture=True).split("\0"):
        if name and not name.startswith(NOT_COPIED) and Path(name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, folder / name)
    (folder / PACKAGE).mkdir()
    (folder / PACKAGE / "clip360").symlink_to(Path("..", "lib"), target_is_directory=True)
    cache = run("dvc", "cache", "dir", capture=True).strip()
    run("dvc", "config", "--quiet", "--local", "core.no_scm", "true", folder=folder)
    run("dvc", "config", "--quiet", "--local", "cache.dir", cache, folder=folder)
    run("dvc", "checkout", "--quiet", "data.dvc", folder=folder)


def notebooks_of(stages: Sequence[str]) -> list[str]:
    """The notebooks that stages render."""
    defined = YAML(typ="safe").load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    commands = [defined.get(stage, {}).get("cmd", "").split() for stage in stages]
    for stage, command in zip(stages, commands, strict=True):
        if "pipeline.run_notebook" not in command:
            raise ValueError(
                f"`replicates.stages` in params.yaml lists {stage}: expected stages of dvc.yaml that render a notebook"
            )
    return [command[-1] for command in commands]


def keep_tables(source: Path, notebooks: Sequence[str], target: Path, provenance: dict) -> None:
    """Replace ``target`` by the CSV tables of ``notebooks``; ``source`` is the profile's folder of results."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for notebook in notebooks:
        (partial / notebook).mkdir(parents=True)
        for table in sorted((source / "figures" / notebook).glob("*.csv")):
            shutil.copyfile(table, partial / notebook / table.name)
    tables = sorted(path for path in partial.rglob("*.csv"))
    sums = {str(path.relative_to(partial)): hashlib.sha256(path.read_bytes()).hexdigest() for path in tables}
    text = json.dumps(provenance | {"sha256": sums}, indent=2, sort_keys=True) + "\n"
    (partial / PROVENANCE).write_text(text, encoding="utf-8", newline="\n")
    shutil.rmtree(target, ignore_errors=True)
    os.replace(partial, target)


def run_replicate(name: str, stages: Sequence[str]) -> None:
    """Run ``stages`` under the profile ``name`` in a copy of the repository, and keep their tables."""
    folder, notebooks, commit = COPIES / name, notebooks_of(stages), this_commit()
    copy_repository(folder)
    run(sys.executable, "-m", "pipeline.profiles", name, folder=folder)
    run(sys.executable, "-m", "pipeline.run_parallel", *stages, folder=folder)
    params = parse(read_text(folder / PARAMS), folder / PARAMS)
    keep_tables(
        folder / "results" / name,
        notebooks,
        KEPT_TABLES / name,
        {"commit": commit, "stages": list(stages), "params": params},
    )
    print(f"The tables of {', '.join(notebooks)} are in {KEPT_TABLES / name}: commit them.")


def this_commit() -> str:
    """The commit that is checked out, with -dirty behind it where files differ from it."""
    return run("git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty", capture=True).strip()


def is_kept(name: str) -> bool:
    """Were the kept tables of a replicate made by the commit that is checked out?"""
    provenance = KEPT_TABLES / name / PROVENANCE
    return provenance.is_file() and json.loads(provenance.read_text(encoding="utf-8"))["commit"] == this_commit()


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.run_replicate", description="Run replicates.")
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="profiles; all of `replicates` in params.yaml by default"
    )
    names = parser.parse_args(arguments).names
    replicates = read_params().replicates
    for name in names:
        if name not in profile_names():
            raise ValueError(
                f"there is no profile {name}: choose one of {', '.join(profile_names())}{nearest(name, profile_names())}"
            )
    for name in names or [name for name in (*replicates.names, *replicates.other_machines) if not is_kept(name)]:
        run_replicate(name, replicates.stages)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
