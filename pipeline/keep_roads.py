"""Keep the roads of a world, with the seconds that each took to train, where the study of all worlds reads them.

    python -m pipeline.keep_roads WORLD

Reads results/WORLD, writes figures/replicates/WORLD/roads.csv.
"""

import sys
from pathlib import Path

import pandas as pd

from pipeline.parameters import tell


def main(world: str) -> None:
    results, kept = Path("results", world), Path("figures", "replicates", world)
    table = pd.read_csv(results / "figures" / "tables" / "roads.csv")
    seconds = {path.stem: float(path.read_text()) for path in (results / "seconds").glob("*.txt")}
    kept.mkdir(parents=True, exist_ok=True)
    table.assign(seconds=table.model.map(seconds)).to_csv(
        kept / "roads.csv", index=False, float_format="%.6g", lineterminator="\n"
    )


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
