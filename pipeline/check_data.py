"""Tell everything that is wrong with image sets, and write a contact sheet of each.

    python -m pipeline.check_data FOLDER [FOLDER ...]

Writes results/checks/NAME.png, NAME being the folder's. The exit status is 1 if a set has errors, with which it cannot
be scored; a visible seam, two equal pictures and texts too long for a model are warnings and leave it 0.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from clip360.data.checks import check_image_set
from clip360.figures.contact_sheet import contact_sheet
from clip360.figures.style import house_style

SHEETS = Path("results", "checks")


def check(folder: Path) -> bool:
    """Print what is wrong with one set, write its contact sheet, and tell whether it is free of errors."""
    problems = check_image_set(folder)
    sheet = SHEETS / f"{folder.resolve().name}.png"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    figure = contact_sheet(folder, problems)
    figure.savefig(sheet, metadata={"Software": None})
    plt.close(figure)
    print(report(folder, problems), f"Contact sheet: {sheet}", sep="\n")
    return "error" not in set(problems.severity)


def report(folder: Path, problems: pd.DataFrame) -> str:
    """The problems as a list to read, one line each."""
    errors, warnings = ((problems.severity == severity).sum() for severity in ("error", "warning"))
    lines = [f"  {row.severity}: {row.file} {row.problem}: {row.advice}" for row in problems.itertuples()]
    return "\n".join([f"{folder}: errors {errors}, warnings {warnings}", *lines])


def main(*folders: str) -> int:
    """Check all sets; the exit status."""
    house_style()
    return int(not all([check(Path(folder)) for folder in folders]))


if __name__ == "__main__":
    usage = "no image set is named: python -m pipeline.check_data FOLDER [FOLDER ...]"
    sys.exit(main(*sys.argv[1:]) if sys.argv[1:] else usage)
