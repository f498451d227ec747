"""The sources of the book, staged in one folder as Sphinx reads them."""

import csv
import json
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import jinja2

from book.collect.api_pages import read_rooms
from book.collect.filters import FILTERS
from book.collect.findings import FIGURES, Finding, read_findings
from book.collect.landing import read_readme
from book.collect.links import rewrite_links
from book.collect.notebook_pages import notebook_page
from book.collect.paper_map import read_paper_map

PAGES, DOCS, LIVE = Path("book", "pages"), Path("docs"), FIGURES / "live"
MAIN_FIGURES = Path("book", "main_figures.csv")
VERDICTS = {"holds": "hold", "refuted": "are refuted", "undecided": "are undecided"}
FIRST_DOCS = ["glossary", "scoring", "running", "artifact_appendix", "extending"]  # the landing page places them


def stage(folder: Path) -> None:
    """Write all sources of the book to ``folder``; files that are the same stay, others in it are deleted.

    ValueError where a claim cannot be traced, a link leads nowhere, or book/paper_map.csv names something unknown.
    """
    contents = {name: text.encode("utf-8") for name, text in all_pages().items()}
    contents |= {path.as_posix(): path.read_bytes() for path in _shown_files()}
    for name, content in contents.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:  # Sphinx reads again what is new
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in contents:
            path.unlink()


def _shown_files() -> list[Path]:
    """The files that pages show or offer: tables, and the figures of the landing page."""
    return [*FIGURES.glob("*/*.csv"), *(Path(figure["path"]) for figure in _main_figures())]


def all_pages() -> dict[str, str]:
    """The text of every page by its path in the book."""
    render, findings = _renderer(), read_findings()
    notebooks = {path.stem: path for path in sorted(FIGURES.glob("*/*.ipynb"))}
    titles = {name: _title(path) for name, path in notebooks.items()}
    groups = {name: list(group) for name, group in groupby(findings, lambda finding: finding.notebook)}
    pages = {
        "index.md": render("index.md", **_landing(findings, titles)),
        "paper.md": render("paper.md", sections=_by_section(findings)),
        "claims/index.md": render("claims.md", groups=groups.items(), titles=titles, counts=_counts(findings)),
    }
    for name, group in groups.items():
        pages[f"claims/{name}.md"] = render("claims_of_notebook.md", notebook=name, title=titles[name], findings=group)
    for name, path in notebooks.items():
        pages[f"notebooks/{name}.ipynb"] = notebook_page(path, groups.get(name, []))
    return pages | _docs() | _api(render)


def _landing(findings: list[Finding], titles: dict[str, str]) -> dict:
    """What the template of the landing page takes."""
    return {
        "readme": read_readme(),
        "figures": _main_figures(),
        "live": (LIVE / "index.html").is_file(),
        "counts": _counts(findings),
        "notebooks": {name: f"{name.partition('_')[0]} {title}" for name, title in titles.items()},
        "other_docs": [path.stem for path in sorted(DOCS.glob("*.md")) if path.stem not in FIRST_DOCS],
    }


def _docs() -> dict[str, str]:
    pages = {}
    for path in sorted(DOCS.glob("*.md")):
        name, text = path.as_posix(), path.read_text(encoding="utf-8")
        pages[name] = rewrite_links(text, folders=[DOCS.as_posix()], page=name, file=name)
    return pages


def _api(render: Callable[..., str]) -> dict[str, str]:
    rooms = read_rooms()
    pages = {"api/index.md": render("api.md", rooms=rooms)}
    for room in rooms:
        pages[f"api/{room.name}.md"] = render("room.md", room=room)
        pages |= {f"api/{module.name}.md": render("module.md", room=room, module=module) for module in room.modules}
    return pages


def _renderer() -> Callable[..., str]:
    loader = jinja2.FileSystemLoader(PAGES)
    environment = jinja2.Environment(
        loader=loader, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= FILTERS
    return lambda name, **values: environment.get_template(name).render(values)


def _title(path: Path) -> str:
    """The title of a notebook up to its colon."""
    first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
    return "".join(first).splitlines()[0].lstrip("# ").partition(":")[0]


def _counts(findings: list[Finding]) -> str:
    """How many claims have which verdict, in words."""
    verdicts = [finding.verdict for finding in findings]
    parts = [f"{verdicts.count(verdict)} {words}" for verdict, words in VERDICTS.items() if verdict in verdicts]
    return f"{len(findings)} claims: {', '.join(parts)}"


def _by_section(findings: list[Finding]):
    statements = read_paper_map(findings)
    return [(section, list(group)) for section, group in groupby(statements, lambda row: row.section)]


def _main_figures() -> list[dict[str, str]]:
    """The figures of the landing page: their path from the root, description and caption."""
    with MAIN_FIGURES.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
