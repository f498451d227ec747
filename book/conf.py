"""Sphinx's configuration of the book; `python -m book.build` stages the sources and runs Sphinx with it."""

import inspect
import os
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from book.extensions.source_pages import line_link  # noqa: E402  the repository is on the path now
from clip360.memory import keep_memory  # noqa: E402

keep_memory()

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project, version = PROJECT["name"], PROJECT["version"]
author = "the clip360 authors"
copyright = f"2026, {author}"
language = "en"
extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.linkcode",
    "book.extensions.docstrings",
    "book.extensions.mathml",
    "book.extensions.source_pages",
]
exclude_patterns = ["figures"]  # files that pages link to

# Notebooks are shown as the pipeline rendered them.
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "attrs_inline", "attrs_block", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_url_schemes = {"http": None, "https": None, "mailto": None, "source": None}

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
python_use_unqualified_type_names = True
python_display_short_literal_types = True
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = project
html_baseurl = os.environ.get("BOOK_URL", "")
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_js_files = [("book.js", {"priority": 300})]
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
html_domain_indices = False
pygments_style, pygments_dark_style = "a11y-light", "a11y-dark"
if repository := os.environ.get("GITHUB_REPOSITORY"):  # the book of a repository on GitHub leads back to it
    url = f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}"
    html_theme_options = {"footer_icons": [{"name": "Repository", "url": url, "html": "Repository", "class": ""}]}

source_root = str(ROOT)  # of the pages of source lines


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """The link from an entry of the API to the line that defines it; None for an attribute."""
    found = sys.modules[info["module"]]
    for part in info["fullname"].split("."):
        found = inspect.getattr_static(found, part, None)
    found = getattr(found, "fget", getattr(found, "__func__", found))
    if not (inspect.isfunction(found) or inspect.isclass(found)):
        return None
    found = inspect.unwrap(found)
    path = Path(inspect.getsourcefile(found)).resolve().relative_to(ROOT)
    return line_link(path.as_posix(), inspect.getsourcelines(found)[1])
