"""Compare a run of the pipeline with the committed results: the same bytes, or which files differ, and by how much.

    python -m tools.verify

Reads FIGURES/checksums.csv as committed, and the files that it names as they are now. What git tracks is compared with its committed
content, number by number and pixel by pixel. Ends with status 1 where anything differs.
"""

import argparse
import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pandas as pd

from pipeline.error_messages import report
from pipeline.parameters import read_params
from pipeline.write_checksums import NAME
from tools.file_differences import difference

SAME, DIFFERS, MISSING = "same", "differs", "missing"


def committed(path: Path) -> bytes | None:
    """The content of a file in git's last commit; None if git does not track it."""
    shown = subprocess.run(["git", "show", f"HEAD:./{path.as_posix()}"], capture_output=True)
    return None if shown.returncode else shown.stdout


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table of checksums with the column ``state``: is a file now the same, does it differ, or is it missing?"""

    def state(path: Path, sha256: str) -> str:
        if not path.is_file():
            return MISSING
        return SAME if hashlib.sha256(path.read_bytes()).hexdigest() == sha256 else DIFFERS

    states = [state(Path(row.file), row.sha256) for row in table.itertuples()]
    return table.assign(state=states)


def main(*arguments: str) -> None:
    argparse.ArgumentParser(
        prog="python -m tools.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(arguments)
    path = Path(read_params().figures, NAME)
    table = committed(path)
    if table is None:
        raise FileNotFoundError(f"{path} is not committed: expected the profile whose results git tracks, `world`")
    compared = compare(pd.read_csv(io.BytesIO(table)))
    different = compared[compared.state != SAME]
    for row in different.itertuples():
        before = committed(Path(row.file)) if row.state == DIFFERS else None
        amount = "" if before is None else f": {difference(row.file, before, Path(row.file).read_bytes())}"
        print(f"{row.state}: {row.file}{amount}")
    print(f"{(compared.state == SAME).sum()} of {len(compared)} files have the same bytes as the committed results.")
    sys.exit(bool(len(different)))


if __name__ == "__main__":
    report(main, *sys.argv[1:])
