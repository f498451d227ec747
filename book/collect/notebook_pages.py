"""Rendered notebooks as pages: code folded, cells with names, figures with descriptions, findings with links to their traces."""

import json
from pathlib import Path

from book.collect.findings import Finding
from book.collect.links import rewrite_links
from book.collect.notebook_code import NotebookCode, read_notebook_code

PROMPTS = {"parameters": "Parameters", "findings": "Claims"}  # what the fold of a cell is called; other cells: Code


def notebook_page(path: Path, findings: list[Finding]) -> str:
    """The notebook at ``path``, figures/NAME/NAME.ipynb, as JSON for MyST-NB; ``findings`` are those of this notebook."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code, heading, cells = read_notebook_code(path), "", []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            heading = next((line.lstrip("# ") for line in text.splitlines() if line.startswith("#")), heading)
            folders = (path.parent.as_posix(), "notebooks")
            text = rewrite_links(text, folders=folders, page=f"notebooks/{path.name}", file=path.as_posix())
            cells.append(cell | {"source": text})
        else:
            _name_cell(cells, f"{path.stem}-{cell['id']}")
            cells.append(_code_cell(cell, code, heading, findings))
    return json.dumps(notebook | {"cells": cells}, ensure_ascii=False, indent=1)


def _name_cell(cells: list[dict], label: str) -> None:
    """A target before the next cell, at the end of the text before it."""
    if cells[-1]["cell_type"] != "markdown":
        cells.append({"cell_type": "markdown", "id": f"before-{label}", "metadata": {}, "source": ""})
    cells[-1]["source"] += f"\n\n({label})="


def _code_cell(cell: dict, code: NotebookCode, heading: str, findings: list[Finding]) -> dict:
    tags = cell["metadata"].get("tags", [])
    figure = next((figure.name for figure in code.figures.values() if figure.cell == cell["id"]), "figure")
    states_claims = any(claim.cell == cell["id"] for claim in code.claims.values())
    prompt = PROMPTS["parameters"] if "parameters" in tags else PROMPTS["findings"] if states_claims else "Code"
    shown = {"code_prompt_show": prompt, "code_prompt_hide": prompt}
    shown["image"] = {"alt": f"{heading}: {figure.replace('_', ' ')}"}
    outputs = [_output(output, findings) for output in cell["outputs"]]
    return cell | {"metadata": {"tags": [*tags, "hide-input"], "mystnb": shown}, "outputs": outputs}


def _output(output: dict, findings: list[Finding]) -> dict:
    data = output.get("data", {})
    if "text/html" in data:
        table = "".join(data["text/html"])
        box = f'<div class="table-box" role="region" aria-label="Table" tabindex="0">{table}</div>'
        return output | {"data": data | {"text/html": box}}
    if "text/markdown" in data:
        return output | {"data": {"text/markdown": _with_traces("".join(data["text/markdown"]), findings)}}
    return output


def _with_traces(text: str, findings: list[Finding]) -> str:
    """The list of findings, each item with a link to its trace; other text as it is."""
    items = [line for line in text.splitlines() if line.startswith("- **")]
    if [item.removeprefix("- **").partition(".** ")[0] for item in items] != [found.statement for found in findings]:
        return text
    return "\n".join(f"{item} [Trace](#{found.label})" for item, found in zip(items, findings, strict=True))
