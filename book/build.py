"""Build the book: results/book/html/index.html.

    python -m book.build

Stages the sources in results/book/source, and runs Sphinx on them. A warning of Sphinx is an error: nothing in the book leads nowhere.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from book.collect.pages import LIVE, stage
from pipeline.error_messages import report

FOLDER = Path("results", "book")


def main(*arguments: str) -> None:
    argparse.ArgumentParser(
        prog="python -m book.build", description="Build the book from the committed figures, docs and docstrings."
    ).parse_args(arguments)
    print(build(FOLDER) / "index.html")


def build(folder: Path) -> Path:
    """Stage the sources in folder/source, build folder/html and return it; RuntimeError where Sphinx warns."""
    source, html = folder / "source", folder / "html"
    stage(source)
    # In one process: several take longer, because each pickles the pages that it has read for the others.
    options = ("--fail-on-warning", "--quiet", "--conf-dir", "book")
    done = subprocess.run([sys.executable, "-m", "sphinx", *options, str(source), str(html)])
    if done.returncode:
        raise RuntimeError("the book is not built: correct what Sphinx reports above")
    if LIVE.is_dir():
        shutil.copytree(LIVE, html / "live", dirs_exist_ok=True)
    return html


if __name__ == "__main__":
    report(main, *sys.argv[1:])
