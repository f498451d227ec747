"""Several cards as one table, sorted by a number: only cards of one protocol and one image set."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from clip360.cards.measures import HIGHER, LOWER
from clip360.cards.protocol import CROP, SQUASH
from clip360.data.image_set import printable
from clip360.reports.text_files import write_text

DEFAULT_SORT = "instability_squash"
SHOWN = (  # the numbers that the page and the Markdown show; the CSV holds all
    ("cue_contrast", CROP),
    ("instability", CROP),
    ("instability", SQUASH),
    ("worst_of_beta", CROP),
    ("worst_of_beta", SQUASH),
    ("content_fraction", CROP),
    ("whole_patches", SQUASH),
    ("no_columns", SQUASH),
    ("closed_seam", SQUASH),
    ("image_to_text", SQUASH),
    ("text_to_image", SQUASH),
)


@dataclass(frozen=True)
class Column:
    """A column of a leaderboard: its name in the CSV, its head, and which values are better (``LOWER``, ``HIGHER`` or nothing)."""

    name: str
    label: str
    short: str
    view: str
    unit: str
    meaning: str
    better: str
    has_interval: bool = True


COSTS = (  # of the squashed view, which takes one pass
    Column("parameters", "Parameters", "Size", "", "millions", "Parameters of the whole network.", LOWER, False),
    Column("gflop", "Cost", "Cost", SQUASH, "GFLOP", "Floating-point operations a panorama, in 10⁹.", LOWER, False),
    Column(
        "panoramas_per_second", "Speed", "Speed", SQUASH, "a second", "Panoramas resized and embedded a second, on the machine of the card.",
        HIGHER, False,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Leaderboard:
    """A table of cards.

    columns   all columns with numbers, in order; ``shown`` names those that fit on a page
    table     one row for each card, sorted: card, model, weights_sha256, machine, then NAME of each column, with NAME_low and NAME_high
              where it has an interval
    sort      the name of the column by which it is sorted
    """

    columns: Sequence[Column]
    shown: Sequence[str]
    table: pd.DataFrame
    sort: str

    def on_page(self) -> dict[str, Any]:
        """What a page of the table shows: ``rows`` and ``columns`` as plain dictionaries, and ``sort``."""
        columns = [asdict(column) for column in self.columns if column.name in self.shown]
        return {"rows": self.table.to_dict("records"), "columns": columns, "sort": self.sort}


def make_leaderboard(cards: Mapping[str, Mapping[str, Any]], *, sort: str = DEFAULT_SORT) -> Leaderboard:
    """The table of cards, by the names of their folders or files, sorted by the column ``sort``, the best first.

    Where neither side is better, the largest comes first; cards without the number come last. Raises ValueError where two cards differ
    in protocol or image set, and for a column that no card has.
    """
    require_comparable(cards)
    columns = _columns(cards.values())
    names = [column.name for column in columns]
    if sort not in names:
        similar = get_close_matches(sort, names, n=1)
        advice = f"; did you mean {similar[0]}?" if similar else ""
        raise ValueError(f"--sort is {sort!r}, which no card has: expected one of {', '.join(names)}{advice}")
    table = pd.DataFrame([_row(name, card, columns) for name, card in cards.items()])
    lower_first = columns[names.index(sort)].better == LOWER
    table = table.sort_values([sort, "model"], ascending=[lower_first, True], ignore_index=True)
    shown = [f"{measure}_{view}" for measure, view in SHOWN] + [column.name for column in COSTS]
    on_page = [name for name in names if name in shown or name == sort]
    return Leaderboard(columns, on_page, table, sort)


def require_comparable(cards: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ValueError where two cards have another protocol, with what differs, or another image set."""
    (first_name, first), *others = cards.items()
    for name, card in others:
        pair = f"{printable(first_name)} and {printable(name)}"
        if card["protocol"]["hash"] != first["protocol"]["hash"]:
            raise ValueError(f"{pair} have different protocols ({_differences(first, card)}): write one of them again")
        if card["image_set"]["sha256"] != first["image_set"]["sha256"]:
            sets = " and ".join(
                f"{printable(x['image_set']['name'])} ({x['image_set'].get('n')})" for x in (first, card)
            )
            raise ValueError(
                f"{pair} were measured on different image sets ({sets}): their pixels, captions or cues differ, measure"
                " both on one set"
            )


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    """The keys in which two protocols differ, in words."""
    first, second = (card["protocol"].get("definition", {}) for card in (a, b))
    keys = [key for key in {**first, **second} if first.get(key) != second.get(key)]
    return printable("; ".join(f"{key}: {first.get(key)} and {second.get(key)}" for key in keys)) or "other hashes"


def _columns(cards: Sequence[Mapping[str, Any]]) -> list[Column]:
    """A column for each number that a card has, in the order of ``MEASURES`` and of the views."""
    present: dict[str, dict[str, None]] = {}
    measures: dict[str, Mapping[str, Any]] = {}
    for card in cards:
        measures = {**card["measures"], **measures}
        for view, numbers in card["views"].items():
            for measure in numbers["numbers"]:
                present.setdefault(measure, {})[view] = None
    return [
        Column(f"{measure}_{view}", x["label"], x["short"], view, x["unit"], x["meaning"], x["better"])
        for measure, x in measures.items()
        for view in present.get(measure, ())
    ] + list(COSTS)


def _row(name: str, card: Mapping[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
    model, squashed = card["model"], card["views"][SQUASH]
    row = {
        "card": name,
        "model": model["name"],
        "weights_sha256": model["weights_sha256"],
        "machine": card.get("machine", ""),
    }
    numbers = {
        f"{measure}_{view}": number
        for view, of_view in card["views"].items()
        for measure, number in of_view["numbers"].items()
    }
    for column in columns:
        if column.has_interval:
            number = numbers.get(column.name, {})
            ends = (("", "value"), ("_low", "low"), ("_high", "high"))
            row |= {f"{column.name}{end}": number.get(key) for end, key in ends}
    costs = {
        "parameters": model["parameters"]["all"] / 1e6,
        **{x: squashed[x] for x in ("gflop", "panoramas_per_second")},
    }
    return row | costs


def write_leaderboard(folder: str | Path, board: Leaderboard) -> None:
    """Write ``folder``/leaderboard.csv, all numbers with six digits, and leaderboard.md, those of a page."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = board.table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    write_text(folder / "leaderboard.csv", text)
    write_text(folder / "leaderboard.md", markdown(board))


def markdown(board: Leaderboard) -> str:
    """The columns that fit on a page as a Markdown table, intervals in brackets."""
    heads = {c.name: " ".join(x for x in (c.short, f"({c.view})" if c.view else "") if x) for c in board.columns}
    shown = [column for column in board.columns if column.name in board.shown]
    rows = [
        {"model": printable(row["model"]).replace("|", "\\|")} | {heads[c.name]: cell(row, c) for c in shown}
        for row in board.table.to_dict("records")
    ]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True) + "\n"


def cell(row: Mapping[str, Any], column: Column) -> str:
    """A number of a row in words, with its interval; – where the card lacks it.

    >>> cell({"x": 0.5, "x_low": 0.25, "x_high": 1.0}, Column("x", "X", "X", "", "", "", ""))
    '0.50 [0.25, 1.00]'
    """
    values = [row[f"{column.name}{end}"] for end in (("", "_low", "_high") if column.has_interval else ("",))]
    if any(pd.isna(value) for value in values):
        return "–"
    texts = [f"{value:.2f}".replace("-", "−") for value in values]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]" if column.has_interval else texts[0]
