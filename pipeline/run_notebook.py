"""Render a notebook of the pipeline: fill in its parameters, run it, write it so that equal runs give equal bytes.

    python -m pipeline.run_notebook SOURCE RENDERED [NAME=VALUE ...]

Run it from the repository root. The cell tagged `parameters` holds one `name = literal` a line. Each value is replaced
by the section of that name in params.yaml, or by NAME=VALUE from the command line (the matrix axes of a stage).
A notebook that fails leaves its traceback in RENDERED.failed.ipynb; RENDERED is written only when every cell has run.
"""

import ast
import logging
import os
import re
import signal
import sys
from itertools import accumulate
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from ruamel.yaml import YAML

from pipeline.parameters import read_params, sentence

KERNEL_ENVIRONMENT = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # figures land in the notebook, whatever the user's default
    "PYTHONHASHSEED": "0",  # the order of sets
    "SOURCE_DATE_EPOCH": "0",  # the date written into figure files
}
# Instead of what the kernel reports, which changes with the patch version of Python.
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "name": "python", "pygments_lexer": "ipython3"},
}
MEMORY_ADDRESS = re.compile(r"(?<=\bat )0x[0-9a-fA-F]+")


def parameters_source(notebook: NotebookNode) -> str:
    """Source of the cell tagged `parameters`, empty if there is none."""
    tagged = (cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    return next(tagged, "")


def parameter_literals(source: str) -> dict[str, ast.expr]:
    """The literal that each line of a parameters cell assigns.

    >>> [(name, ast.literal_eval(literal)) for name, literal in parameter_literals("seed = 0  # of all draws").items()]
    [('seed', 0)]
    """
    literals = {}
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=literal) if _is_literal(literal):
                literals[name] = literal
            case _:
                raise ValueError(f"parameters cell: expected `name = literal`, found `{ast.unparse(statement)}`")
    return literals


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def fill_parameters(source: str, values: dict) -> str:
    """Parameters cell with new values; comments, and literals that already have their value, stay as written.

    >>> fill_parameters("seed = 0  # of all draws\\nalpha = 1e-2", {"seed": 7, "alpha": 0.01})
    'seed = 7  # of all draws\\nalpha = 1e-2'
    """
    text = source.encode()  # ast counts columns in bytes
    line_starts = [0, *accumulate(len(line) for line in text.splitlines(keepends=True))]
    for name, literal in reversed(parameter_literals(source).items()):
        if repr(ast.literal_eval(literal)) != repr(values[name]):
            start = line_starts[literal.lineno - 1] + literal.col_offset
            end = line_starts[literal.end_lineno - 1] + literal.end_col_offset
            text = text[:start] + repr(values[name]).encode() + text[end:]
    return text.decode()


def parameter_values(source: str, params: dict, overrides: dict) -> dict:
    """Value of every name in a parameters cell: from ``overrides``, else from ``params``; each must be known to both."""
    names = parameter_literals(source)
    for name in overrides.keys() - names.keys():
        raise ValueError(f"{name}={overrides[name]} was given, but the parameters cell has no `{name}`: add it there")
    for name in names.keys() - params.keys() - overrides.keys():
        raise ValueError(f"parameter `{name}` has no value: add it to params.yaml, or give {name}=VALUE")
    known = params | overrides
    return {name: known[name] for name in names}


def number_cells(notebook: NotebookNode) -> None:
    """Give the cells the ids cell-01, cell-02, ..."""
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number:02d}"


def remove_traces(notebook: NotebookNode) -> None:
    """Remove from an executed notebook whatever differs between two equal runs: times, stderr, memory addresses."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs = _stable_outputs(cell.outputs)


def _stable_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    stable = []
    for output in outputs:
        if output.get("name") == "stderr":
            continue
        if output.output_type == "stream" and stable and stable[-1].output_type == "stream":
            stable[-1].text += output.text
        else:
            stable.append(output)
    for output in stable:
        texts = output if output.output_type == "stream" else output.get("data", {})
        for kind in texts.keys() & {"text", "text/plain", "text/html"}:
            texts[kind] = MEMORY_ADDRESS.sub("0x0", texts[kind])
    return stable


def render(source: Path, rendered: Path, overrides: dict) -> None:
    """Run the notebook ``source`` and write it to ``rendered``; raise RuntimeError with one sentence if it stops."""
    params = read_params()
    notebook = nbformat.read(source, as_version=4)
    if not params["pools"]:  # what is said of the rendered world is not said of other models and panoramas
        notebook.cells = [cell for cell in notebook.cells if "world" not in cell.metadata.get("tags", [])]
    number_cells(notebook)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = fill_parameters(cell.source, parameter_values(cell.source, params, overrides))

    rendered.parent.mkdir(parents=True, exist_ok=True)
    attempt = rendered.with_suffix(".failed.ipynb")  # papermill saves it after every cell
    os.environ.update(KERNEL_ENVIRONMENT)
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # a failure is told once, below
    try:
        notebook = papermill.execute_notebook(
            notebook,
            attempt,
            kernel_name="python3",
            extra_arguments=["--log-level=CRITICAL"],
            progress_bar=False,
            stdout_file=sys.stderr,  # what the cells print, progress bars included, shows while they run
            stderr_file=sys.stderr,
        )
    except papermill.PapermillExecutionError as error:
        reason = " ".join(f"{error.ename}: {error.evalue}".split())
        raise RuntimeError(f"cell [{error.exec_count}] failed with {reason} (traceback in {attempt})") from error
    except DeadKernelError as error:
        raise RuntimeError(f"the kernel was killed, often for lack of memory (how far it came: {attempt})") from error

    remove_traces(notebook)
    attempt.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
    attempt.replace(rendered)


def main(source: str, rendered: str, *assignments: str) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that SIGTERM, like Ctrl-C, takes the kernel along
    try:
        pairs = (assignment.split("=", 1) for assignment in assignments)
        render(Path(source), Path(rendered), {name: YAML(typ="safe").load(value) for name, value in pairs})
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"{source}: {sentence(error)}")
    except KeyboardInterrupt:
        sys.exit(f"{source}: interrupted, {rendered} was not written")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python -m pipeline.run_notebook SOURCE RENDERED [NAME=VALUE ...]")
    main(*sys.argv[1:])
