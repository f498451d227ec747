"""nbval on the notebooks that the pipeline rendered, and on one that was changed."""

import re
import sys
from pathlib import Path

import nbformat
import pytest

from tests.copies import call

FIGURES = Path("results/tiny/figures")
CHANGED = FIGURES / "changed.ipynb"
FAILED = re.compile(r"^(FAILED|ERROR) (?P<notebook>\S+\.ipynb)::(?P<cell>Cell \d+)", re.MULTILINE)


def change_number(cells: list) -> int:
    """Change a number in a cell's output; which cell."""
    for k, cell in enumerate(cells):
        for data in (output.get("data", {}) for output in cell.outputs):
            if "24" in data.get("text/plain", "") and "image/png" not in data:  # images in the set
                data["text/plain"] = data["text/plain"].replace("24", "25", 1)
                return k
    raise AssertionError("no output has the number")


def change_image(cells: list) -> int:
    """Put the last image in the place of the first one; which cell has it."""
    images = [(k, o.data) for k, cell in enumerate(cells) for o in cell.outputs if "image/png" in o.get("data", {})]
    (k, first), *_, (_, last) = images
    first["image/png"] = last["image/png"]
    return k


def clear(cells: list) -> int:
    """Clear the last cell; which one."""
    cells[-1].outputs, cells[-1].execution_count = [], None
    return len(cells) - 1


@pytest.fixture(scope="module")
def checked(clone) -> tuple[str, dict[str, set[str]], set[str]]:
    """What nbval printed about all notebooks and a changed copy of one; the cells that failed; the cells that were changed."""
    notebook = nbformat.read(clone / FIGURES / "01_textual_probe/01_textual_probe.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    changed = {f"Cell {change(cells)}" for change in (change_number, change_image, clear)}
    nbformat.write(notebook, clone / CHANGED)
    notebooks = sorted(path.relative_to(clone) for path in (clone / FIGURES).rglob("*.ipynb"))
    command = (sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider", *map(str, notebooks))
    printed = call(clone, *command).stdout
    (clone / CHANGED).unlink()
    failed: dict[str, set[str]] = {}
    for match in FAILED.finditer(printed):
        failed.setdefault(match["notebook"], set()).add(match["cell"])
    assert " passed" in printed.splitlines()[-1], printed[-5000:]
    return printed, failed, changed


def test_rendered_notebooks_come_out_the_same_and_leave_the_same_files(clone, checked):
    printed, failed, _ = checked
    assert failed.keys() <= {str(CHANGED)}, printed[-5000:]
    assert "Data and pipelines are up to date." in call(clone, "dvc", "status").stdout


def test_a_changed_notebook_fails_in_the_cells_that_were_changed(checked):
    printed, failed, changed = checked
    assert failed[str(CHANGED)] == changed and len(changed) == 3
    reports = printed.partition("short test summary")[0]  # the summary repeats messages where CI is set
    assert reports.count("Cell outputs differ") == 2 and "was never run" in reports
