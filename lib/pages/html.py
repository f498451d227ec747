"""One HTML file: a template of this folder with its scripts, styles and data, and a policy that lets nothing else act."""

import base64
import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from clip360.pages.assets import Assets, read_asset

# The scripts and styles of the page by their hashes; scripts and pictures beside it; pictures that it holds itself.
POLICY = (
    "default-src 'none'; script-src 'self' file: {script}; style-src {style}; img-src 'self' file: data: blob:;"
    " connect-src blob:; base-uri 'none'; form-action 'none'"
)


def write_page(path: Path, template: str, assets: Assets, *, data: Mapping[str, Any], **words: Any) -> None:
    """Render a template of this folder to ``path``, complete or not at all.

    ``data`` is what the scripts read, from the element ``data``; ``words`` are the template's, which escapes them: nothing in
    either acts as HTML. Numbers that are not finite become null.
    """
    css, js = assets.css(), assets.js()
    environment = jinja2.Environment(
        autoescape=True, loader=jinja2.FunctionLoader(read_asset), trim_blocks=True, lstrip_blocks=True
    )
    policy = POLICY.format(script=source_hash(js), style=source_hash(css))
    text = environment.get_template(template).render(words, css=css, js=js, policy=policy, data=script_json(data))
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8 with the line ends of Unix, complete or not at all."""
    partial = path.with_name(f"{path.name}.temporary")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)


def source_hash(text: str) -> str:
    """The source expression of Content-Security-Policy that allows an element with this text, and no other.

    >>> source_hash("")
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def script_json(value: Any) -> str:
    """JSON that can stand in a script element: no ``<``, only ASCII, so that no text ends the element.

    >>> print(script_json({"caption": "</script>", "mean": float("nan")}))
    {"caption":"\\u003c/script>","mean":null}
    """
    return json.dumps(_finite(value), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(x) for x in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
