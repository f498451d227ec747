"""Links: from those of the repository to those of the book.

A link of the repository names a file from the file that it stands in. In the book, notebooks, docs and the README are pages; every other
file gets a page of its source lines, which the scheme ``source:`` names by the path from the root: ``source:params.yaml``,
``source:lib/stats/claims.py#L-12``.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

LINK = re.compile(r"(?<=\]\()(?!\w+:|#)(?P<path>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))")
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
PAGES = {"README.md": "index.md", "figures/findings.md": "claims/index.md"}


def rewrite_links(markdown: str, *, folders: Iterable[str], page: str, file: str) -> str:
    """The text with its links to files led to pages of the book; code stays as it is.

    ``folders`` are those that a link may start from, ``page`` is the page's own path in the book, ``file`` the file that the text comes
    from. ValueError where a link leads to no file.
    """
    folders = tuple(folders)

    def target(match: re.Match) -> str:
        for folder in folders:
            path = PurePosixPath(os.path.normpath(PurePosixPath(folder, match["path"]))).as_posix()
            if Path(path).exists():
                return book_link(path, page) + (match["anchor"] or "")
        raise ValueError(f"{file}: the link {match['path']} leads to no file of the repository: correct it")

    return "".join(LINK.sub(target, part) if k % 2 == 0 else part for k, part in enumerate(CODE.split(markdown)))


def book_link(path: str, page: str) -> str:
    """The link from a page of the book to a file of the repository.

    >>> book_link("docs/inference.md", "notebooks/10_claims.ipynb"), book_link("params.yaml", "index.md")
    ('../docs/inference.md', 'source:params.yaml')
    >>> book_link("figures/06_crop_or_model/06_crop_or_model.ipynb", "docs/scoring.md")
    '../notebooks/06_crop_or_model.ipynb'
    """
    name = PurePosixPath(path)
    if name.suffix == ".ipynb":
        staged = f"notebooks/{name.name}"
    elif name.parts[0] == "docs":
        staged = path
    elif path in PAGES:
        staged = PAGES[path]
    else:
        return f"source:{path}"
    return PurePosixPath(os.path.relpath(staged, PurePosixPath(page).parent)).as_posix()
