"""Render a notebook: fill in its parameters, run it, and write it so that equal runs give equal bytes.

    python -m pipeline.run_notebook NOTEBOOK

Runs notebooks/NOTEBOOK.ipynb and writes FIGURES/NOTEBOOK/NOTEBOOK.ipynb; FIGURES is the parameter `figures`. The notebook writes its own
figures and tables into the same folder.

The cell tagged `parameters` assigns literals, each followed by the key of params.yaml that gives its value:

    alpha = 0.01  # visual_probe.alpha
    runs = ["a", "b"]  # finetune.runs.*       the names in a section
    output = "figures/05_tradeoff"  # output   the folder FIGURES/NOTEBOOK

A notebook whose metadata names a parameter, `"clip360": {"requires": KEY}`, does not apply to a profile where that is null or empty:
then only its title is written, with a sentence that says so. A cell may name one likewise, or say `"unless": KEY`, and is left out
where it does not apply. Where no world is rendered, cells tagged `world` are left out, and other cells reworded: `"photographs": {WORDS: OTHERS}`.
A notebook that fails leaves its traceback in FIGURES/NOTEBOOK.failed.ipynb.
"""

import argparse
import ast
import logging
import os
import re
import signal
import sys
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode

from pipeline.error_messages import error_message, nearest
from pipeline.parameters import PARAMS, parse, read_params, read_text

SOURCES = Path("notebooks")
KERNEL_ENVIRONMENT = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # figures land in the notebook, whatever the user's default
    "PYTHONHASHSEED": "0",  # the order of sets
    "SOURCE_DATE_EPOCH": "0",  # the date in figure files
}
# In place of what the kernel reports, which changes with the patch version of Python.
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "name": "python", "pygments_lexer": "ipython3"},
}
MEMORY_ADDRESS = re.compile(r"(?<=\bat )0x[0-9a-fA-F]+")
KEY = re.compile(r"\s*#\s*(?P<key>\w+(\.\w+)*(\.\*)?)\s*")


class NotebookParameter(NamedTuple):
    """One assignment of a parameters cell: its literal, and the key of params.yaml that gives its value."""

    literal: ast.expr
    key: str


def parameters_source(notebook: NotebookNode) -> str:
    """Source of the cell tagged `parameters`, empty if there is none."""
    tagged = (cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    return next(tagged, "")


def read_parameters_cell(source: str) -> dict[str, NotebookParameter]:
    """The assignments of a parameters cell by name; ValueError if one is not `name = literal  # key`.

    >>> {name: parameter.key for name, parameter in read_parameters_cell("alpha = 0.01  # visual_probe.alpha").items()}
    {'alpha': 'visual_probe.alpha'}
    """
    parameters, lines = {}, source.splitlines()
    for statement in ast.parse(source).body:
        end = lines[statement.end_lineno - 1].encode()[statement.end_col_offset :].decode()  # ast counts bytes
        match statement, KEY.fullmatch(end):
            case ast.Assign(targets=[ast.Name(id=name)], value=literal), re.Match() as comment if _is_literal(literal):
                parameters[name] = NotebookParameter(literal, comment["key"])
            case _:
                raise ValueError(
                    f"parameters cell: expected `name = literal  # key`, found `{ast.unparse(statement)}{end}`"
                )
    return parameters


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def find_value(sections: dict, key: str) -> Any:
    """The value at a dotted key; for a key that ends in `.*`, the names in that section. ValueError if there is none.

    >>> find_value({"runs": {"a": {"lam": 0.5}}}, "runs.a.lam"), find_value({"runs": {"a": {}}}, "runs.*")
    (0.5, ['a'])
    """
    value: Any = sections
    for name in key.removesuffix(".*").split("."):
        if not isinstance(value, dict) or name not in value:
            names = value if isinstance(value, dict) else ()
            raise ValueError(f"parameters cell: `{key}` is no key of {PARAMS}: correct it{nearest(name, names)}")
        value = value[name]
    if key.endswith(".*"):
        if not isinstance(value, dict):
            raise ValueError(f"parameters cell: `{key}` is no section of {PARAMS}: leave `.*` out")
        return list(value)
    return value


def fill_parameters(source: str, sections: dict) -> str:
    """Parameters cell with the values of ``sections``; comments, and literals that already have their value, stay as written.

    >>> fill_parameters("n = 0  # a.n\\nalpha = 1e-2  # a.alpha", {"a": {"n": 7, "alpha": 0.01}})
    'n = 7  # a.n\\nalpha = 1e-2  # a.alpha'
    """
    text = source.encode()  # ast counts columns in bytes
    line_starts = [0, *accumulate(len(line) for line in text.splitlines(keepends=True))]
    for literal, key in reversed(read_parameters_cell(source).values()):
        value = find_value(sections, key)
        if repr(ast.literal_eval(literal)) != repr(value):
            start = line_starts[literal.lineno - 1] + literal.col_offset
            end = line_starts[literal.end_lineno - 1] + literal.end_col_offset
            text = text[:start] + repr(value).encode() + text[end:]
    return text.decode()


def applies(part: NotebookNode, sections: dict) -> bool:
    """Does a notebook, or a cell, apply to a profile? Its metadata ``clip360`` may name a key of params.yaml.

    It ``requires`` that the parameter is not empty, or stands ``unless`` it is not.
    """
    condition = part.metadata.get("clip360", {})
    required, excluded = (condition.get(name) for name in ("requires", "unless"))
    return not (required and not find_value(sections, required)) and not (excluded and find_value(sections, excluded))


def conditions(notebook: NotebookNode) -> set[str]:
    """The keys of params.yaml on which a notebook or cells of it depend."""
    parts = [part.metadata.get("clip360", {}) for part in (notebook, *notebook.cells)]
    return {part[name] for part in parts for name in ("requires", "unless") if name in part}


def reword(cell: NotebookNode) -> None:
    """Say of photographs what a cell says otherwise of the rendered world: its metadata holds the words and what takes their place.

    ValueError where the cell does not have the words.
    """
    for words, others in cell.metadata.get("clip360", {}).get("photographs", {}).items():
        if words not in cell.source:
            raise ValueError(f"a cell does not say {words!r}, which its metadata `photographs` replaces: correct it")
        cell.source = cell.source.replace(words, others)


def reduce_to_title(notebook: NotebookNode, *, requires: str, profile: str) -> None:
    """Leave of a notebook its title, and the sentence that it does not apply to the profile."""
    title = notebook.cells[0].source.splitlines()[0]
    sentence = (
        f"This notebook needs `{requires}`, which the profile `{profile}` leaves empty: there is nothing to show."
    )
    notebook.cells = [nbformat.v4.new_markdown_cell(f"{title}\n\n{sentence}")]


def prepare(notebook: NotebookNode, sections: dict, output: Path) -> None:
    """Fill in the parameters of a notebook, and take out what does not apply to the profile."""
    if not applies(notebook, sections):
        reduce_to_title(notebook, requires=notebook.metadata.clip360.requires, profile=sections["profile"])
    notebook.cells = [cell for cell in notebook.cells if applies(cell, sections)]
    if not sections[
        "training_pictures"
    ]:  # what is said of the rendered world is not said of other models and panoramas
        notebook.cells = [cell for cell in notebook.cells if "world" not in cell.metadata.get("tags", [])]
        for cell in notebook.cells:
            reword(cell)
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number:02d}"
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = fill_parameters(cell.source, {**sections, "output": output.as_posix()})


def remove_traces(notebook: NotebookNode) -> None:
    """Remove from an executed notebook all that differs between two equal runs: times, stderr, memory addresses."""
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


def execute(notebook: NotebookNode, progress: Path) -> NotebookNode:
    """Run all cells, with the repository as working directory; ``progress`` shows how far the run came.

    Raises RuntimeError with one sentence if a cell fails or the kernel dies.
    """
    os.environ.update(KERNEL_ENVIRONMENT)
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # a failure is reported once, below
    try:
        return papermill.execute_notebook(
            notebook,
            progress,
            kernel_name="python3",
            extra_arguments=["--log-level=CRITICAL"],
            progress_bar=False,
            stdout_file=sys.stderr,  # what the cells print, progress bars included, appears while they run
            stderr_file=sys.stderr,
        )
    except papermill.PapermillExecutionError as error:
        reason = " ".join(f"{error.ename}: {error.evalue}".split())
        raise RuntimeError(f"cell [{error.exec_count}] failed with {reason} (traceback in {progress})") from error
    except DeadKernelError as error:
        raise RuntimeError(f"the kernel was killed, often for lack of memory (how far it came: {progress})") from error


Execute = Callable[[NotebookNode, Path], NotebookNode]


def render(source: Path, figures: Path, sections: dict, execute: Execute = execute) -> None:
    """Run the notebook ``source`` by ``execute`` and write it to FIGURES/NAME/NAME.ipynb, once every cell has run."""
    output = figures / source.stem
    notebook = nbformat.read(source, as_version=4)
    prepare(notebook, sections, output)
    output.mkdir(parents=True, exist_ok=True)
    attempt = output.with_name(f"{source.stem}.failed.ipynb")  # beside the folder, whose content DVC compares
    if any(cell.cell_type == "code" for cell in notebook.cells):
        notebook = execute(notebook, attempt)
    remove_traces(notebook)
    attempt.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
    attempt.replace(output / source.name)


def main(*arguments: str, execute: Execute = execute) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.run_notebook", description="Render a notebook of the pipeline."
    )
    names = sorted(path.stem for path in SOURCES.glob("*.ipynb"))
    parser.add_argument("notebook", metavar="NOTEBOOK", help=f"one of {', '.join(names)}")
    name = parser.parse_args(arguments).notebook
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that SIGTERM, like Ctrl-C, ends the kernel too
    try:
        figures = Path(read_params().figures)
        if name not in names:
            raise ValueError(f"there is no such notebook: choose one of {', '.join(names)}{nearest(name, names)}")
        render(SOURCES / f"{name}.ipynb", figures, parse(read_text(PARAMS), PARAMS), execute)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"{SOURCES / name}.ipynb: {error_message(error)}")
    except KeyboardInterrupt:
        sys.exit(f"{SOURCES / name}.ipynb: interrupted, the notebook was not written")


if __name__ == "__main__":
    main(*sys.argv[1:])
