"""The whole pipeline, at the size of the profile tiny, in a copy of the repository; then nbval on what it rendered."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

RENDERED = Path("results/tiny/figures/notebooks")


def call(folder: Path, *command: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def nbval(folder: Path, *notebooks: Path) -> subprocess.CompletedProcess:
    return call(folder, sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider", *map(str, notebooks))


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of the tracked and new files, with the pipeline run in it."""
    folder = tmp_path_factory.mktemp("clone")
    files = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], capture_output=True, text=True, check=True
    ).stdout
    for file in files.split("\0"):
        if file and Path(file).is_file():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, folder / file)
    for command in (
        ["git", "init", "--quiet"],
        ["git", "add", "--all"],
        ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "--message", "copy"],
        ["dvc", "pull", "--quiet", "data"],
        [sys.executable, "-m", "stages.use_profile", "tiny"],
        ["dvc", "repro"],
    ):
        done = call(folder, *command)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def test_every_stage_writes_what_it_promises(clone):
    figures = clone / RENDERED.parent
    for name in ("tables/exam", "tables/textual", "tables/textual_contrast", "tables/textual_summary"):
        assert all((figures / f"{name}{suffix}").stat().st_size for suffix in (".csv", ".md", ".tex"))
    for name in ("world", "textual", "textual_gains"):
        assert all((figures / f"{name}{suffix}").stat().st_size for suffix in (".png", ".svg"))
    header = (figures / "tables/textual.csv").read_text().splitlines()[0]
    assert header == "model,image_set,view,generic,n,mean_s,mean_su,W,p,p_holm,effect,ci_low,ci_high,reject"


def test_a_second_run_does_nothing(clone):
    assert "Data and pipelines are up to date." in call(clone, "dvc", "status").stdout
    assert "Running stage" not in call(clone, "dvc", "repro").stdout


def test_rendered_notebooks_come_out_the_same_and_leave_the_same_files(clone):
    """Training too: nbval runs it again, and DVC then finds every weight as it was."""
    checked = nbval(clone, *sorted((clone / RENDERED).glob("*.ipynb")))
    assert checked.returncode == 0, checked.stdout[-5000:]
    assert "Data and pipelines are up to date." in call(clone, "dvc", "status").stdout


def change_number(notebook) -> None:
    output = next(
        o
        for cell in notebook.cells
        for o in cell.get("outputs", [])
        if "256" in o.get("data", {}).get("text/plain", "")
    )
    output.data["text/plain"] = output.data["text/plain"].replace("256", "257", 1)


def change_picture(notebook) -> None:
    pictures = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    pictures[0].data["image/png"] = pictures[1].data["image/png"]


def clear(notebook) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


@pytest.mark.parametrize(
    ("change", "fault"),
    [(change_number, "Cell outputs differ"), (change_picture, "Cell outputs differ"), (clear, "was never run")],
)
def test_a_changed_notebook_fails(clone, change, fault):
    notebook = nbformat.read(clone / RENDERED / "01_textual_probe.ipynb", as_version=4)
    change(notebook)
    path = clone / RENDERED / f"{change.__name__}.ipynb"
    nbformat.write(notebook, path)
    checked = nbval(clone, path)
    path.unlink()
    assert checked.returncode == 1 and fault in checked.stdout


def test_a_failing_notebook_says_why_in_one_line(clone):
    notebook = nbformat.read(clone / "notebooks/01_textual_probe.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("raise ValueError('the sea is dry')"))
    nbformat.write(notebook, clone / "broken.ipynb")
    before = (clone / RENDERED / "01_textual_probe.ipynb").read_bytes()
    done = call(
        clone, sys.executable, "-m", "stages.run_notebook", "broken.ipynb", str(RENDERED / "01_textual_probe.ipynb")
    )
    assert done.returncode == 1
    assert "ValueError: the sea is dry" in done.stderr.splitlines()[-1]
    assert (clone / RENDERED / "01_textual_probe.ipynb").read_bytes() == before
