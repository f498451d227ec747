"""Write FIGURES/checksums.csv: size and SHA-256 of every file that the notebooks, the live figure and the cards wrote, and of what they read.

FIGURES is the parameter `figures`. `make verify` compares a run with the committed table.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import pandas as pd

from pipeline.error_messages import report
from pipeline.parameters import read_params

NAME = "checksums.csv"
STUDIED = ("models", "finetuned", "measurements")  # folders of results/PROFILE


def checksum_table(folders: list[Path]) -> pd.DataFrame:
    """The files in ``folders``, in the order of their paths: columns file, bytes, sha256."""
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    contents = (path.read_bytes() for path in paths)
    rows = [
        (path.as_posix(), len(data), hashlib.sha256(data).hexdigest())
        for path, data in zip(paths, contents, strict=True)
    ]
    return pd.DataFrame(rows, columns=["file", "bytes", "sha256"])


def main(*arguments: str) -> None:
    argparse.ArgumentParser(prog="python -m pipeline.write_checksums", description=__doc__).parse_args(arguments)
    params = read_params()
    figures = Path(params.figures)
    written = [
        *(figures / path.stem for path in Path("notebooks").glob("*.ipynb")),
        figures / "live",
        figures / "cards",
    ]
    table = checksum_table([*written, *(params.results / name for name in STUDIED)])
    table.to_csv(figures / NAME, index=False, lineterminator="\n")


if __name__ == "__main__":
    report(main, *sys.argv[1:])
