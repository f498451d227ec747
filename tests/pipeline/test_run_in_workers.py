"""The workers that run stages, and the kernel that runs their notebooks (what a whole run gives: test_pipeline.py)."""

import os
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from pipeline.run_in_workers import OneKernel, run_in_workers
from pipeline.stages import Stage

STAGE = """
import os, sys
from pathlib import Path
def main(name):
    print("nobody reads this")
    if name == "wrong":
        raise ValueError("no sea")
    if name == "killed":
        os.kill(os.getpid(), 9)
    Path(name).write_text(str(os.getpid()))
"""


def test_a_notebook_begins_as_in_a_new_kernel_also_after_one_that_failed(tmp_path):
    progress, kernel = tmp_path / "first.failed.ipynb", OneKernel()
    try:
        with pytest.raises(RuntimeError, match=r"failed with ValueError: no sea \(traceback in .*first.failed.ipynb\)"):
            cells = ["sea = 1", "raise ValueError('no\\nsea')", "sea = 2"]
            kernel.execute(new_notebook(cells=list(map(new_code_cell, cells))), progress)
        second = kernel.execute(new_notebook(cells=[new_code_cell("'sea' in globals()")]), tmp_path / "second")
    finally:
        kernel.end()
    first = nbformat.read(progress, as_version=4)
    assert [cell.execution_count for cell in first.cells] == [1, 2, None]
    assert second.cells[0].execution_count == 1 and second.cells[0].outputs[0].data["text/plain"] == "False"


@pytest.fixture
def stages(tmp_path, monkeypatch):
    """Stages by what becomes of them, in an empty working directory."""
    (tmp_path / "the_stage.py").write_text(STAGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = ("one", "two", "three", "wrong", "killed")
    return [Stage(name, name, (), f"python -m the_stage {name}", (f"{name}_folder", name)) for name in names]


def test_two_workers_run_stages_in_processes_that_end(stages, capfd):
    done = []
    Path("one_folder").mkdir()
    for stale in (Path("one_folder", "table.csv"), Path("two")):
        stale.write_text("of an earlier run")
    run_in_workers({"one": set(), "two": set(), "data.dvc": set(), "three": {"one", "two"}}, stages, 2, done)
    assert sorted(done) == ["data.dvc", "one", "three", "two"] and done[-1] == "three"
    processes = [int(Path(name).read_text()) for name in ("one", "two", "three")]
    assert not Path("one_folder").exists()
    assert len(set(processes)) == 2 and os.getpid() not in processes and not any(map(psutil.pid_exists, processes))
    assert "nobody reads this" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("fate", "message"),
    [("wrong", "^no sea$"), ("killed", "^killed: the worker was killed, often for lack of memory$")],
)
def test_a_stage_that_fails_ends_the_run_with_its_message_and_those_before_it_are_listed(stages, fate, message):
    done = []
    with pytest.raises(SystemExit, match=message):
        run_in_workers({"one": set(), fate: {"one"}, "two": {fate}}, stages, 1, done)
    assert done == ["one"] and Path("one").is_file() and not Path("two").exists()
