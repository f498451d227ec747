"""Formulas as MathML, which browsers draw themselves: no script, no fonts, no network."""

import html
import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

# What docutils does not know, in its words. Delimiters have a side there.
SAME = {r"\dots": r"\ldots", r"\texttt": r"\mathtt", r"\big": r"\bigl", r"\Big": r"\Bigl"}
LOGGER = logging.getLogger(__name__)


def mathml(node: nodes.math | nodes.math_block, *, as_block: bool) -> str:
    """The MathML of a formula; a warning, and the formula as text, where docutils does not know a command."""
    formula = node.astext()
    for command, same in SAME.items():
        formula = re.sub(re.escape(command) + r"(?![a-zA-Z])", lambda _, same=same: same, formula)
    try:
        return str(tex2mathml(formula, as_block=as_block))
    except MathError as error:
        LOGGER.warning("the formula %s cannot be drawn: %s", node.astext(), error, location=node)
        return f"<code>{html.escape(node.astext())}</code>"


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(mathml(node, as_block=False))
    raise nodes.SkipNode


def visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    box = '<div class="math" role="region" aria-label="Formula" tabindex="0">'
    translator.body.append(f"{box}{mathml(node, as_block=True)}</div>")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict:
    app.add_html_math_renderer("mathml", inline_renderers=(visit_inline, None), block_renderers=(visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
