"""Harm the pipeline in copies of the repository, through every entrance, and write what happened into docs/faults.md.

python -m tools.fault_injection [--kills 60] [--seed 0]
"""

import argparse
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd

from tests.copies import copy_repository
from tools.fault_injection.disks import run_full, run_read_only, run_twice, small_disk
from tools.fault_injection.kills import Kills, kill_repeatedly, measure_stages
from tools.fault_injection.runs import differences, use_environment

PAGE = Path("docs", "faults.md")
MEASURED = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- end -->)", re.DOTALL)
FREE = (0, 300_000, 600_000)  # bytes: before a stage begins, in the middle of it, when its outputs are stored


def try_disks(disk: Path, whole: Path) -> list[tuple[str, str, list[str]]]:
    """For each fault its name, the pipeline's message, and what differs afterwards from an undisturbed run."""
    with small_disk(disk, whole) as folder:
        tried = [(f"{free:,} bytes free on the disk", *run_full(folder, whole, free)) for free in FREE]
        tried.append(("results/ is read-only", *run_read_only(folder, whole)))
        tried.append(("two runs at once", *run_twice(folder, whole)))
    return tried


def describe_kills(kills: Kills, different: list[str], seed: int) -> str:
    """The kills as a paragraph."""
    return (
        f"{kills.victims.total()} kills (seed {seed}): {counted(kills.victims)}; through {counted(kills.entrances)}. "
        f"Stages that ran at a kill: {counted(kills.stages)}. "
        f"Files and lock entries that differ from an undisturbed run: {', '.join(different) or 'none'}. "
        f"Runs that refused to continue, and said what to do: {len(kills.advised)}. "
        f"Processes that lived on, and tracebacks: {'; '.join(kills.broken) or 'none'}."
    )


def counted(counts: Counter) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def write_page(killed: str, tried: list[tuple[str, str, list[str]]]) -> None:
    """Put what was measured between the markers of the page."""
    rows = pd.DataFrame(tried, columns=["fault", "message", "different afterwards"])
    rows["different afterwards"] = [", ".join(paths) or "nothing" for paths in rows["different afterwards"]]
    text = f"\n{killed}\n\n{rows.to_markdown(index=False, disable_numparse=True)}\n\n"
    PAGE.write_text(MEASURED.sub(lambda _: text, PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.fault_injection", description="Harm the pipeline, and write docs/faults.md."
    )
    parser.add_argument("--kills", type=int, default=60, help="at least; every kind of stage is hit (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is killed when (%(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        whole, killed = (copy_repository(Path(temporary, name), profile="tiny") for name in ("whole", "killed"))
        for folder in (whole, killed):
            use_environment(folder)
        commands, seconds = measure_stages(whole)
        kills = kill_repeatedly(killed, commands, seconds, kills=given.kills, seed=given.seed)
        different = differences(killed, whole)
        tried = try_disks(Path(temporary, "disk"), whole)
    write_page(describe_kills(kills, different, given.seed), tried)
    if different or kills.broken or any(paths for *_, paths in tried):
        sys.exit(f"not everything was as promised: see {PAGE}")


if __name__ == "__main__":
    main()
