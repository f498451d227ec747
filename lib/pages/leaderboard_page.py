"""The page of `clip360 leaderboard`: cards of several models in one table."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clip360.pages.assets import Assets
from clip360.pages.card_page import VIEW_LABELS
from clip360.pages.html import write_page
from clip360.pages.interval_plot import Axis, axis_of
from clip360.pages.numbers import number

PAGE = "leaderboard.html"
LETTERS = 10  # of a name that fit beside each other in the column of names
ASSETS = Assets(
    styles=("page.css", "intervals.css", "leaderboard_page.css"), scripts=("dom.js", "theme.js", "leaderboard_page.js")
)


def write_leaderboard_page(
    folder: str | Path,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[Mapping[str, Any]],
    *,
    sort: str,
    card: Mapping[str, Any],
) -> Path:
    """Write ``folder``/leaderboard.html, complete or not at all; returns its path.

    rows     by card: model, weights_sha256, machine and the values of the columns, NAME with NAME_low and NAME_high where it has an
             interval; missing numbers are NaN or None
    columns  name, label, view, unit, meaning, better, has_interval
    sort     the column by which the rows are sorted
    card     any of the cards: its ``protocol`` and ``image_set`` are those of all

    Names are text: nothing in them acts as HTML.
    """
    path = Path(folder, PAGE)
    inference = card["protocol"]["definition"]["inference"]
    axes = {column["name"]: _axis(rows, column) for column in columns}
    write_page(
        path, "leaderboard_page.html", ASSETS, data={},
        title=f"Shift cards of {len(rows)} model{'s' * (len(rows) > 1)}",
        level=f"{100 * (1 - inference['alpha']):g} %",
        columns=[column | {"view_label": VIEW_LABELS.get(column["view"], "")} for column in columns],
        meanings=list({column["label"]: column for column in columns}.values()),
        rows=[
            {
                "name": _parts(row["model"]),
                "weights": row["weights_sha256"],
                "cells": [_cell(row, column, axes[column["name"]]) for column in columns],
            }
            for row in rows
        ],
        sort=sort,
        machines=list(dict.fromkeys(row["machine"] for row in rows)),
        **{key: card[key] for key in ("protocol", "image_set", "versions")},
    )  # fmt: skip
    return path


def _parts(name: str) -> list[str]:
    """The parts of a name that does not fit into its column, between which a line may end.

    >>> _parts("clip_p03"), _parts("vit_b_16_laion2b")
    (['clip_p03'], ['vit_', 'b_', '16_', 'laion2b'])
    """
    return re.split(r"(?<=[-_/])(?=.)", name) if len(name) > LETTERS else [name]


def _estimate(row: Mapping[str, Any], name: str) -> dict[str, float | None]:
    """A number of a row with its interval; None where it is missing, which NaN, unequal to itself, is too."""
    values = {key: row.get(f"{name}{end}") for key, end in (("value", ""), ("low", "_low"), ("high", "_high"))}
    return {key: value if value == value else None for key, value in values.items()}


def _axis(rows: Sequence[Mapping[str, Any]], column: Mapping[str, Any]) -> Axis | None:
    """The axis that a column's plots share; None without intervals."""
    return axis_of([_estimate(row, column["name"]) for row in rows], 0.0) if column["has_interval"] else None


def _cell(row: Mapping[str, Any], column: Mapping[str, Any], axis: Axis | None) -> dict[str, Any]:
    estimate = _estimate(row, column["name"])
    value, has_interval = estimate["value"], column["has_interval"]
    return {
        "key": "" if value is None else repr(float(value)),
        "value": number(value, 2 if has_interval or (value or 0) < 10 else 0 if (value or 0) >= 100 else 1),
        "interval": f"[{number(estimate['low'])}, {number(estimate['high'])}]" if axis and value is not None else "",
        "place": axis.place(estimate) if axis and value is not None else None,
        "view": "wide_view" if column["view"] == "wide" else column["view"] or "center_crop",
        "mark": column["view"],
    }
