"""What a comparison of generators says, in sentences; nothing is claimed that its tests do not decide."""

from collections.abc import Mapping, Sequence
from typing import Any

from clip360.pages.numbers import interval, number

UNDECIDED = "cannot be decided"  # as in comparison.json


def describe_pair(
    pair: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str]
) -> dict[str, Any]:
    """The verdict on a pair of generators: a headline, and the words on each metric that is decided.

    ``pair`` and ``rows`` are those of comparison.json, ``rows`` of this pair alone; ``labels`` are the names of metrics.
    """
    a, b = pair["a"], pair["b"]
    better = {a: pair["better"]["a"], b: pair["better"]["b"]}
    winners = [name for name in (a, b) if better[name]]
    if not winners:
        kind, words = "undecided", [a, b]
    elif len(winners) == 1:
        kind, words = "better", [winners[0], b if winners[0] == a else a]
    else:
        kind, words = "mixed", [a, b]
    decided = [
        {"winner": row["verdict"], "metric": labels[row["metric"]], "by": number(abs(row["difference"])), "interval": _outward(row)}
        for row in rows
        if row["verdict"] != UNDECIDED
    ]  # fmt: skip
    decided.sort(key=lambda row: (a, b).index(row["winner"]))
    undecided = [labels[metric] for metric in pair["better"]["undecided"]]
    return {"kind": kind, "names": words, "decided": decided, "undecided": undecided, **pair}


def _outward(row: Mapping[str, Any]) -> str:
    """The interval of the absolute difference of a row."""
    low, high = row["difference_low"], row["difference_high"]
    return interval({"low": low, "high": high} if row["difference"] >= 0 else {"low": -high, "high": -low})


def rank_table(content: Mapping[str, Any]) -> dict[str, Any]:
    """The rank of every generator under each view protocol, by its mean, and whether the protocol decides the order.

    protocols   names of the columns; ``rows`` has a rank and a mean with its interval for each
    orders      the different orders of the means, each with the protocols that give it
    reversals   pairs of which tests name one as better under one protocol and the other one under another
    """
    generators = content["generators"]
    scored = [metric["name"] for metric in content["metrics"] if metric["is_protocol"]]
    protocols = [name for name in scored if all(g["means"].get(name) for g in generators)]
    means = {name: {g["name"]: g["means"][name]["mean"] for g in generators} for name in protocols}
    ordered = {name: sorted(values, key=values.get, reverse=True) for name, values in means.items()}
    orders: dict[tuple[str, ...], list[str]] = {}
    for name, order in ordered.items():
        orders.setdefault(tuple(order), []).append(name)
    return {
        "protocols": protocols,
        "rows": [
            {
                "name": g["name"],
                "cells": [{"rank": ordered[name].index(g["name"]) + 1, **_cell(g["means"][name])} for name in protocols],
            }
            for g in generators
        ],
        "orders": [{"order": order, "protocols": names} for order, names in orders.items()],
        "reversals": _reversals(content, protocols),
    }  # fmt: skip


def _cell(estimate: Mapping[str, float]) -> dict[str, str]:
    return {"mean": number(estimate["mean"]), "interval": interval(estimate)}


def _reversals(content: Mapping[str, Any], protocols: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for pair in content["pairs"]:
        a, b = ([name for name in pair["better"][who] if name in protocols] for who in ("a", "b"))
        if a and b:
            found.append({"a": pair["a"], "b": pair["b"], "a_under": a, "b_under": b})
    return found


def distance_rows(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The distances between sets: of several groups of views only their mean, as it is published."""
    comparisons: dict[tuple, dict[str, Any]] = {}
    for row in content["set_distances"]:  # the mean over groups comes last
        key = tuple(row[name] for name in ("reference", "generated", "embeddings", "views", "distance"))
        comparisons[key] = row
    return [
        row | {key: number(row[key], 3) for key in ("value", "estimate", "floor")} | {"interval": _precise(row)}
        for row in comparisons.values()
    ]


def _precise(row: Mapping[str, Any]) -> str:
    return "" if row["low"] is None else f"[{number(row['low'], 3)}, {number(row['high'], 3)}]"
