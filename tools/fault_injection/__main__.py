"""Do harm to the pipeline in copies of the repository, and write what it made of that into docs/faults.md.

python -m tools.fault_injection [--kills 30] [--seed 0]
"""

import argparse
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd

from pipeline.parameters import tell
from tests.copies import copy_repository
from tools.fault_injection.disks import run_full, run_read_only, run_twice, small_disk
from tools.fault_injection.kills import Killings, differences, kill_and_repeat, watch

PAGE = Path("docs", "faults.md")
MEASURED = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- end -->)", re.DOTALL)
FREE = (0, 300_000, 600_000)  # bytes: before a stage begins, in the middle of it, when its outputs are stored


def try_disks(disk: Path, whole: Path) -> list[tuple[str, str, list[str]]]:
    """What was done, what the pipeline said, and what differed afterwards from an undisturbed run."""
    with small_disk(disk, whole) as folder:
        tried = [(f"{free:,} bytes free on the disk", *run_full(folder, whole, free)) for free in FREE]
        tried.append(("results/ may only be read", *run_read_only(folder, whole)))
        tried.append(("two runs at once", *run_twice(folder, whole)))
    return tried


def tell_kills(killings: Killings, different: list[str], seed: int) -> str:
    """The kills as a paragraph."""
    return (
        f"{killings.victims.total()} kills (seed {seed}; {counted(killings.victims)}) in {killings.runs} runs, the last one undisturbed. "
        f"{len(killings.hit)} stages were under way when something was killed: {counted(killings.hit)}. "
        f"Files and entries of dvc.lock that differ from an undisturbed run: {', '.join(different) or 'none'}. "
        f"Processes that lived on, and tracebacks: {'; '.join(killings.broken) or 'none'}."
    )


def counted(counts: Counter) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def write_page(killed: str, tried: list[tuple[str, str, list[str]]]) -> None:
    """Put what was measured between the markers of the page."""
    rows = pd.DataFrame(tried, columns=["done", "said", "different afterwards"])
    rows["different afterwards"] = [", ".join(paths) or "nothing" for paths in rows["different afterwards"]]
    text = f"\n{killed}\n\n{rows.to_markdown(index=False, disable_numparse=True)}\n\n"
    PAGE.write_text(MEASURED.sub(lambda _: text, PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.fault_injection", description="Harm the pipeline, and write docs/faults.md."
    )
    parser.add_argument("--kills", type=int, default=30, help="about; every stage is hit (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is killed when (%(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        whole, killed = (copy_repository(Path(temporary, name), profile="tiny") for name in ("whole", "killed"))
        seconds = watch(whole)
        tried = try_disks(Path(temporary, "disk"), whole)
        killings = kill_and_repeat(killed, seconds, kills=given.kills, seed=given.seed)
        different = differences(killed, whole)
    write_page(tell_kills(killings, different, given.seed), tried)
    if different or killings.broken or any(paths for *_, paths in tried):
        sys.exit(f"not all was as promised: see {PAGE}")


if __name__ == "__main__":
    tell(main)
