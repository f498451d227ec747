"""Tables for readers and for programs: one frame as CSV, Markdown and LaTeX, the same bytes every time."""

import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

DIGITS = 3
REPLICATES = Path("figures", "replicates")  # the kept tables of replicates
SMALLEST_P = 1e-300  # smaller p-values are written as smaller than this
WRITTEN = {"lam": "lambda"}  # columns whose name in code, where lambda is a keyword, differs from that in tables
LATEX = {sign: f"\\{sign}" for sign in "_%&#$"} | {sign: f"${sign}$" for sign in "<>|"}
LATEX |= {"λ": r"$\lambda$", "β": r"$\beta$", "δ": r"$\delta$"}


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write ``frame`` to path.csv (6 significant digits), path.md and path.tex (formatted as by ``readable``).

    The column ``lam`` is written as ``lambda``; ``read_table`` gives it back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    words = readable(frame)
    texts = {
        ".csv": frame.rename(columns=WRITTEN).to_csv(index=False, float_format="%.6g", lineterminator="\n"),
        ".md": words.map(lambda word: word.replace("|", r"\|")).to_markdown(index=False, disable_numparse=True) + "\n",
        ".tex": words.map(_escape).rename(columns=_escape).style.hide(axis="index").to_latex(hrules=True),
    }
    for suffix, text in texts.items():
        path.with_suffix(suffix).write_text(text, encoding="utf-8", newline="\n")


def read_table(path: Path) -> pd.DataFrame:
    """A table that ``write_table`` wrote, from its CSV file: the column ``lambda`` is ``lam`` again."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: run the stage that writes it, for a replicate `make replicates`"
        )
    return pd.read_csv(path).rename(columns={written: name for name, written in WRITTEN.items()})


def read_tables(output: str | Path, names: Iterable[str], replicates: Iterable[str]) -> dict[str, list[pd.DataFrame]]:
    """The tables of a notebook by name: that of this run, in the folder ``output``, then those of its replicates.

    figures/replicates/REPLICATE has a folder of the same name for each notebook. Raises FileNotFoundError where a table is missing.
    """
    output = Path(output)
    folders = [output, *(REPLICATES / replicate / output.name for replicate in replicates)]
    return {name: [read_table(folder / f"{name}.csv") for folder in folders] for name in dict.fromkeys(names)}


def read_all_findings(folder: Path) -> pd.DataFrame:
    """The findings of all notebooks in a folder of results, one row each: notebook, claim, statement, cases, replicates, verdict."""
    columns = ["notebook", "claim", "statement", "cases", "replicates", "verdict"]
    parts = [pd.DataFrame(columns=columns)]
    for path in sorted(folder.glob("*/findings.csv")):
        groups = read_table(path).groupby("claim", sort=False)
        first = groups[["statement", "replicates", "verdict"]].first()
        parts.append(first.assign(notebook=path.parent.name, cases=groups.size()).reset_index()[columns])
    return pd.concat(parts, ignore_index=True)


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as words: numbers with 3 significant digits, yes and no, p-values never 0, nothing for NaN.

    >>> readable(pd.DataFrame({"p": [0.0, 0.0123456], "lam": [0.98765, -1.0], "reject": [True, False]}))
              p lambda reject
    0  < 1e-300  0.988    yes
    1    0.0123     -1     no
    """
    words = frame.apply(lambda column: column.map(_p_value if column.name in ("p", "p_holm", "p_sign") else _word))
    return words.rename(columns=WRITTEN)


def _word(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.{DIGITS}g}"
    return str(value)


def _p_value(value) -> str:
    return f"< {SMALLEST_P:.0e}" if isinstance(value, float) and value < SMALLEST_P else _word(value)


def _escape(text: str) -> str:
    r"""LaTeX for a word of a table.

    >>> print(_escape("p_holm < 1 %, λ = 0.5"))
    p\_holm $<$ 1 \%, $\lambda$ = 0.5
    """
    return "".join(LATEX.get(sign, sign) for sign in text)
