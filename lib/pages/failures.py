"""Where generators fail: the panoramas with the largest differences of a comparison, or the worst of each generator."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

N_SHOWN = 6  # panoramas of each metric and direction


def largest_differences(
    differences: pd.DataFrame, metric: str, *, lower_is_better: bool
) -> dict[str, list[dict[str, Any]]]:
    """The pairs of panoramas in which ``a`` loses most to ``b``, and ``b`` to ``a``: image_a, image_b, difference.

    ``differences`` are rows of differences.csv of one pair of generators. Equal panoramas lose nothing.

    >>> table = pd.DataFrame({"image_a": ["x", "y"], "image_b": ["x", "y"], "score": [-2.0, 1.0]})
    >>> largest_differences(table, "score", lower_is_better=False)["a"]
    [{'image_a': 'x', 'image_b': 'x', 'difference': -2.0}]
    """
    gain = -differences[metric] if lower_is_better else differences[metric]  # of a over b
    ordered = differences.assign(gain=gain).sort_values("gain", kind="stable")
    parts = {"a": ordered[ordered.gain < 0].head(N_SHOWN), "b": ordered[ordered.gain > 0][::-1].head(N_SHOWN)}
    return {
        who: part[["image_a", "image_b", metric]].rename(columns={metric: "difference"}).to_dict("records")
        for who, part in parts.items()
    }


def worst_of(records: Mapping[str, Mapping[str, Any]], metric: str, *, lower_is_better: bool) -> list[str]:
    """The names of the worst panoramas of one generator, from its records by image."""
    return sorted(records, key=lambda image: records[image][metric], reverse=lower_is_better)[:N_SHOWN]


def failures(
    content: Mapping[str, Any], differences: pd.DataFrame, records: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> list[dict[str, dict[str, list[dict[str, Any]]]]]:
    """For each pair of comparison.json, by metric and by the loser (``a`` or ``b``): image_a, image_b and their difference.

    Of pairs that are not compared by captions, the worst panoramas of each generator, with no partner and no difference.
    ``records`` are those of scores.jsonl, by generator and image.
    """
    found = []
    for pair in content["pairs"]:
        rows = differences[(differences.a == pair["a"]) & (differences.b == pair["b"])]
        by_metric = {}
        for metric in content["metrics"]:
            name, lower = metric["name"], metric["lower_is_better"]
            by_metric[name] = (
                largest_differences(rows, name, lower_is_better=lower)
                if len(rows)
                else {
                    who: [
                        {f"image_{who}": image} for image in worst_of(records[pair[who]], name, lower_is_better=lower)
                    ]
                    for who in ("a", "b")
                }
            )
        found.append(by_metric)
    return found


def read_records(report: Path) -> dict[str, dict[str, Any]]:
    """The records of scores.jsonl in the folder of a report by image; without that file the rows of scores.csv."""
    path = report / "scores.jsonl"
    if not path.is_file():
        table = pd.read_csv(report / "scores.csv", keep_default_na=False, dtype={"image": str, "caption": str})
        return {record["image"]: record for record in table.to_dict("records")}
    with path.open(encoding="utf-8") as file:
        return {record["image"]: record for record in map(json.loads, file)}


def images_shown(pairs: Sequence[Mapping[str, str]], shown: Sequence[Mapping]) -> dict[str, set[str]]:
    """By generator, the images that ``failures`` names."""
    images: dict[str, set[str]] = {}
    for pair, by_metric in zip(pairs, shown, strict=True):
        for by_loser in by_metric.values():
            for row in (row for rows in by_loser.values() for row in rows):
                for who in ("a", "b"):
                    if image := row.get(f"image_{who}"):
                        images.setdefault(pair[who], set()).add(image)
    return images
