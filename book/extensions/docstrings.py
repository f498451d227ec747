"""This project's docstrings as reStructuredText.

They are plain text with names in double backticks, doctests, headings of numpydoc in a few places, and lists of two columns:

    name   what it is, which may go on
           in the next line

The text becomes reStructuredText whose special signs are escaped, and the lists become definition lists. Names of functions and classes that
the module knows become links.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from types import ModuleType

from sphinx.application import Sphinx

ITEM = re.compile(r"(?P<term>\S(?:.*?\S)?) {2,}(?P<text>\S.*)")
HEADING = re.compile(r"-{3,}")
LITERAL = re.compile(r"(``.+?``|`[^`]+`)")
EMPHASIS = re.compile(r"(?<![\w*])(\*\w[^*\n]*\*|\*\*\w[^*\n]*\*\*)(?![\w*])")
SPECIAL = re.compile(r"[\\*|@]|(?<=\w)_(?!\w)")


def as_rst(docstring: list[str], module: ModuleType | None = None) -> list[str]:
    """The lines of a docstring as reStructuredText; ``module`` says which names are links.

    >>> as_rst(["The bound of |s|.", "", "low, high   its interval,", "            at 99 %"])
    ['The bound of \\\\|s\\\\|.', '', '``low``, ``high``', '    its interval, at 99 %', '']
    """
    lines: list[str] = []
    for paragraph in _paragraphs(docstring):
        lines += _paragraph(paragraph, module)
    return lines


def _paragraphs(lines: list[str]) -> Iterator[list[str]]:
    paragraph: list[str] = []
    for line in lines:
        if line.strip():
            paragraph.append(line)
        else:
            if paragraph:
                yield paragraph
            yield [""]
            paragraph = []
    if paragraph:
        yield paragraph


def _paragraph(lines: list[str], module: ModuleType | None) -> list[str]:
    if not lines or lines[0].lstrip().startswith(">>>"):
        return lines
    if len(lines) > 1 and HEADING.fullmatch(lines[1].strip()):  # a section of numpydoc: napoleon reads it
        return lines[:2] + _paragraph(lines[2:], module)
    first = next((k for k, line in enumerate(lines) if ITEM.match(line)), len(lines))
    text = [escape(line, module) for line in lines[:first]]
    if first == len(lines):
        return text
    return [*text, *([""] if text else []), *_definition_list(lines[first:], module), ""]


def _definition_list(lines: list[str], module: ModuleType | None) -> Iterator[str]:
    items: list[tuple[str, list[str]]] = []
    for line in lines:
        match = ITEM.match(line)
        if match:
            items.append((match["term"], [match["text"]]))
        else:
            items[-1][1].append(line.strip())
    for term, text in items:
        yield _term(term)
        yield "    " + escape(" ".join(text), module)


def _term(term: str) -> str:
    """The names of an item as code, with what stands behind them.

    >>> _term("model, image_set"), _term("``scores`` [N]")
    ('``model``, ``image_set``', '``scores`` [N]')
    """
    return term if "``" in term else ", ".join(f"``{name}``" for name in term.split(", "))


def escape(text: str, module: ModuleType | None = None) -> str:
    r"""A line of prose as reStructuredText: literals and *emphasis* stay, other special signs are escaped.

    >>> print(escape("``s`` is *not* |s|, nor `x`, nor *_low"))
    ``s`` is *not* \|s\|, nor ``x``, nor \*_low
    """
    parts = LITERAL.split(text)
    return "".join(_literal(part, module) if k % 2 else _prose(part) for k, part in enumerate(parts))


def _prose(text: str) -> str:
    parts = EMPHASIS.split(text)
    return "".join(part if k % 2 else SPECIAL.sub(lambda match: f"\\{match[0]}", part) for k, part in enumerate(parts))


def _literal(text: str, module: ModuleType | None) -> str:
    name = text.strip("`")
    known = getattr(module, name, None) if name.isidentifier() else None
    if inspect.isfunction(known) or inspect.isclass(known):
        return f":py:obj:`{name} <{known.__module__}.{known.__qualname__}>`"
    return f"``{name}``"


def process(app: Sphinx, what: str, name: str, documented: object, options: object, lines: list[str]) -> None:
    module = documented if what == "module" else sys.modules.get(getattr(documented, "__module__", None) or "")
    lines[:] = as_rst(lines, module)


def skip_others(app: Sphinx, what: str, name: str, member: object, skip: bool, options: object) -> bool | None:
    """Leave out what a module imports from other packages: some of it looks like its own to autodoc."""
    if what == "module" and (inspect.isfunction(member) or inspect.isclass(member)):
        return None if inspect.unwrap(member).__module__.startswith("clip360.") else True
    return None


def setup(app: Sphinx) -> dict:
    app.connect("autodoc-process-docstring", process, priority=400)  # before napoleon
    app.connect("autodoc-skip-member", skip_others)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
