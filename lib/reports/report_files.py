"""The files of a report on scores, read and summarised: of `clip360 score`, and of `clip360 score-shards`.

scores.csv, scores.jsonl   one row for each panorama
shards/NAME.parquet        the same of very large sets, one file for each shard
summary.json               how the panoramas were scored, and means with intervals
report.html                a page of these, see ``clip360.pages``
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from clip360.data.image_set import printable
from clip360.reports.panorama_scores import NESTED, SHIFTS
from clip360.reports.text_files import finite, write_text

SCORES, RECORDS, SUMMARY = "scores.csv", "scores.jsonl", "summary.json"
SHARDS = "shards"  # folder of the Parquet files of `clip360 score-shards`


def read_scores(folder: str | Path) -> pd.DataFrame:
    """The scores of a report, NaN for what is no number: of scores.csv, or of shards/*.parquet in the order of their names.

    FileNotFoundError where there are none.
    """
    path = Path(folder, SCORES)
    if shards := [] if path.is_file() else sorted(Path(folder, SHARDS).glob("*.parquet")):
        tables = [pd.read_parquet(shard) for shard in shards]
        return pd.concat(tables, ignore_index=True).drop(columns=list(NESTED))
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: run clip360 score first, with --out {printable(folder)}")
    # An image or a caption may be called NA.
    table = pd.read_csv(path, keep_default_na=False, dtype={"image": str, "caption": str})
    numbers = table.columns.difference(["image", "caption"], sort=False)
    return table.assign(**{name: pd.to_numeric(table[name], errors="coerce") for name in numbers})


def read_records(folder: str | Path) -> Iterator[dict[str, Any]]:
    """The records that ``score_folder`` wrote into ``folder``, one at a time."""
    with Path(folder, RECORDS).open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def write_summary(folder: str | Path, summary: Mapping[str, Any]) -> None:
    """Write ``folder``/summary.json, complete or not at all; numbers that are not finite become null."""
    write_text(Path(folder, SUMMARY), json.dumps(finite(summary), indent=2) + "\n")


def read_summary(folder: str | Path) -> dict[str, Any]:
    """What ``write_summary`` wrote into ``folder``; ValueError where there is none, or it lacks what comparisons need."""
    path = Path(folder, SUMMARY)
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(summary["model"]["weights_sha256"], str) and summary["protocols"][SHIFTS]["hash"]:
            return summary
    except (OSError, ValueError, KeyError, TypeError):
        pass
    advice = f"run clip360 score again, with --out {printable(folder)}"
    raise ValueError(f"{printable(path)} does not say how the panoramas were scored: {advice}")


def require_comparable(summaries: Mapping[str, Mapping[str, Any]], protocols: Sequence[str] = ()) -> None:
    """Raise ValueError where the summaries of two reports name other weights, another format cue, or another view protocol.

    ``summaries`` are by the reports' folders. Protocols are those of the column score, and those of ``protocols`` that the
    summaries name.
    """
    alike: dict[str, Callable[[Mapping], Any]] = {
        "weights": lambda summary: summary["model"]["weights_sha256"],
        "format cues": lambda summary: summary.get("cue"),
        "view protocols": lambda summary: summary["protocols"][SHIFTS]["hash"],
    }
    for name in protocols:
        if all(name in summary["protocols"] for summary in summaries.values()):
            alike[f"view protocols {name}"] = lambda summary, name=name: summary["protocols"][name]["hash"]
    for what, value_of in alike.items():
        first: dict[str, str] = {}
        for folder, summary in summaries.items():
            first.setdefault(value_of(summary), folder)
        if len(first) > 1:
            a, b, *_ = map(printable, first.values())
            raise ValueError(f"{a} and {b} were scored with different {what}: score them alike")
