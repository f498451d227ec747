"""The cells of a notebook, run by IPython in this process."""

import io
from contextlib import redirect_stdout
from functools import cache

import nbformat
from IPython.core.displayhook import CapturingDisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from nbformat import NotebookNode
from traitlets.config import Config


@cache
def shell() -> InteractiveShell:
    """IPython as kernels have it: it keeps what cells show, and leaves no history."""
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    shell.display_pub = CapturingDisplayPublisher()
    shell.display_trap.hook = CapturingDisplayHook(shell, shell.display_pub.outputs)
    return shell


def run_cells(notebook: NotebookNode) -> NotebookNode:
    """Run all code cells, in names of their own, and add what they print and show; the exception of a cell that fails is raised."""
    shell().reset(new_session=True)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = run_cell(cell.source)
            cell.execution_count = None
    return notebook


def run_cell(source: str) -> list[NotebookNode]:
    """What a cell prints, then what it shows, as outputs of a notebook."""
    shown = shell().display_pub.outputs
    shown.clear()
    with redirect_stdout(io.StringIO()) as printed:
        shell().run_cell(source, store_history=True).raise_error()
    outputs = [nbformat.v4.new_output("stream", text=printed.getvalue())] if printed.getvalue() else []
    return outputs + [nbformat.v4.new_output("display_data", output["data"]) for output in shown]
