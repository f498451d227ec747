"""Pages of source lines, and the scheme ``source:`` of links that lead to them.

``source:lib/stats/claims.py#L-12`` leads to line 12 of that file's page, source/lib/stats/claims.py.html. Pages are made of all modules of
the package, and of every other file that a link names.
"""

import os
import re
from pathlib import Path, PurePosixPath

import jinja2
from docutils import nodes
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx.application import Sphinx
from sphinx.util import logging

SCHEME = "source:"
LINKED = re.compile(r"\bsource:([\w./-]+\w)")
TEMPLATE = Path(__file__).with_name("source_page.html")
LOGGER = logging.getLogger(__name__)


def line_link(path: str, line: int) -> str:
    """The link to a line of a file.

    >>> line_link("params.yaml", 3)
    'source:params.yaml#L-3'
    """
    return f"{SCHEME}{path}#L-{line}"


def page_of(path: str, page: str) -> str:
    """The link from a page of the book, both by their path, to the page of a file.

    >>> page_of("params.yaml", "docs/running.html")
    '../source/params.yaml.html'
    """
    return PurePosixPath(os.path.relpath(f"source/{path}.html", PurePosixPath(page).parent)).as_posix()


def html_of(path: Path) -> str:
    """The lines of a text file as HTML: each has its number, which is a link to itself, and the id L-NUMBER."""
    try:
        lexer = get_lexer_for_filename(path.name)
    except ClassNotFound:
        lexer = TextLexer()
    form = HtmlFormatter(linenos="inline", linespans="L", cssclass="highlight source-lines")
    return highlight(path.read_text(encoding="utf-8"), lexer, form)


def find_files(app: Sphinx) -> None:
    """The files that get a page: all modules of the package, and what any page links to."""
    root, pages = Path(app.config.source_root), (*app.srcdir.rglob("*.md"), *app.srcdir.rglob("*.ipynb"))
    linked = {name for page in pages for name in LINKED.findall(page.read_text(encoding="utf-8"))}
    modules = {path.relative_to(root).as_posix() for path in root.glob("lib/**/*.py")}
    app.config.source_files = sorted(name for name in linked | modules if (root / name).is_file())


def resolve_links(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Lead the links of a page with the scheme ``source:`` to pages of source lines; warn where there is no such file."""
    for reference in list(doctree.findall(nodes.reference)):
        uri = reference.get("refuri", "")
        if uri.startswith(SCHEME):
            path, _, anchor = uri.removeprefix(SCHEME).partition("#")
            if Path(app.config.source_root, path).is_dir():  # a folder has no lines
                reference.replace_self(reference.children)
            elif path in app.config.source_files:
                target = page_of(path, app.builder.get_target_uri(page))
                reference["refuri"] = f"{target}#{anchor}" if anchor else target
                reference["classes"] += ["source-link"]
            else:
                LOGGER.warning("no page of source lines for %s", path, location=reference)


def write_pages(app: Sphinx, error: Exception | None) -> None:
    """Write the page of each of ``source_files``, without the theme, whose sidebar takes longer than all the rest."""
    if error:
        return
    template = jinja2.Template(TEMPLATE.read_text(encoding="utf-8"), autoescape=True)
    for path in app.config.source_files:
        page = Path(app.outdir, "source", f"{path}.html")
        page.parent.mkdir(parents=True, exist_ok=True)
        lines = Markup(html_of(Path(app.config.source_root, path)))
        page.write_text(template.render(path=path, root="../" * (path.count("/") + 1), lines=lines), encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.add_config_value("source_root", "", "env")
    app.add_config_value("source_files", [], "")
    app.connect("builder-inited", find_files)
    app.connect("doctree-resolved", resolve_links)
    app.connect("build-finished", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
