"""The kernel that runs notebooks one after the other (what a whole run gives: test_pipeline.py)."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from pipeline.run_in_one_process import one_kernel


def test_a_notebook_begins_as_in_a_new_kernel_also_after_one_that_failed(tmp_path):
    progress = tmp_path / "first.failed.ipynb"
    with one_kernel() as kernel:
        with pytest.raises(RuntimeError, match=r"failed with ValueError: no sea \(traceback in .*first.failed.ipynb\)"):
            cells = ["sea = 1", "raise ValueError('no\\nsea')", "sea = 2"]
            kernel.execute(new_notebook(cells=list(map(new_code_cell, cells))), progress)
        second = kernel.execute(new_notebook(cells=[new_code_cell("'sea' in globals()")]), tmp_path / "second")
    first = nbformat.read(progress, as_version=4)
    assert [cell.execution_count for cell in first.cells] == [1, 2, None]
    assert second.cells[0].execution_count == 1 and second.cells[0].outputs[0].data["text/plain"] == "False"
