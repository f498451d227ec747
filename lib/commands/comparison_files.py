"""The files of `clip360 compare`, for readers and for programs.

comparison.csv, .md, .tex      one row for each metric and pair of generators (``stats.comparison.compare``)
set_distances.csv, .md, .tex   one row for each distance and group of views, where there are any
differences.csv                one row for each panorama of each pair that is compared by captions
comparison.json                what was compared and how, and all rows of the first two at full precision; written last
"""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from clip360.figures.tables import write_table
from clip360.geometry.seam_measures import VISIBLE
from clip360.reports.image_sources import relative_location
from clip360.reports.text_files import finite, write_text
from clip360.stats.comparison import LOWER_IS_BETTER, METRICS, UNDECIDED, paired_differences
from clip360.stats.inference import Inference

FORMAT = 1  # of comparison.json, raised when a key changes its meaning
LIBRARIES = ("clip360", "numpy", "pandas", "scipy", "pingouin")


def describe(
    out: str | Path,
    names: Sequence[str],
    reports: Sequence[str],
    images: Mapping[str, Path | None],
    summaries: Mapping[str, Mapping[str, Any]],
    metrics: Sequence[str],
    *,
    reference: str | None,
    baseline: str | None,
    inference: Inference,
) -> dict[str, Any]:
    """The keys of comparison.json that say what was compared and how; paths are relative to the folder ``out``."""

    def relative(path: str | Path | None) -> str | None:
        return None if path is None else relative_location(path, out)

    first = summaries[names[0]]
    return {
        "format": FORMAT,
        "versions": {name: version(name) for name in LIBRARIES},
        "inference": {"alpha": inference.alpha, "n_bootstrap": inference.n_bootstrap, "seed": inference.seed},
        "model": first["model"],
        "cue": first.get("cue"),
        "protocols": {
            name: {key: value for key, value in protocol.items() if not key.startswith("by_")}
            for name, protocol in first["protocols"].items()
            if all(name in summary["protocols"] for summary in summaries.values())
        },
        "metrics": [_describe_metric(name, first["protocols"]) for name in metrics],
        "generators": [
            {
                "name": name,
                "report": relative(report),
                "images": relative(images[name]),
                "n": summaries[name]["n"],
                "n_truncated": summaries[name]["n_truncated"],
                "versions": summaries[name]["versions"],
                "means": {metric: summaries[name]["metrics"].get(metric) for metric in metrics},
            }
            for name, report in zip(names, reports, strict=True)
        ],
        "baseline": baseline,
        "reference": relative(reference),
    }


def _describe_metric(name: str, protocols: Mapping[str, Mapping]) -> dict[str, Any]:
    protocol = protocols.get(name)
    return {
        "name": name,
        "meaning": METRICS.get(name) or (f"CLIP score of {protocol['shows']}" if protocol else name),
        "is_protocol": protocol is not None,
        "lower_is_better": name in LOWER_IS_BETTER,
        "visible_above": VISIBLE.get(name),
    }


def write_comparison(
    out: str | Path,
    description: Mapping[str, Any],
    scores: Mapping[str, pd.DataFrame],
    table: pd.DataFrame,
    distances: pd.DataFrame | None,
) -> None:
    """Write the files of a comparison into the folder ``out``, without those that an earlier one left there."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("comparison.json", "set_distances.csv", "set_distances.md", "set_distances.tex"):
        (out / name).unlink(missing_ok=True)
    write_table(table, out / "comparison")
    if distances is not None:
        write_table(distances, out / "set_distances")
    _write_differences(out / "differences.csv", scores, description)
    content = {
        **description,
        "pairs": _pairs(table),
        "comparisons": _rows(table),
        "set_distances": [] if distances is None else _rows(distances),
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(out / "comparison.json", text + "\n")


def _write_differences(path: Path, scores: Mapping[str, pd.DataFrame], description: Mapping[str, Any]) -> None:
    metrics = [metric["name"] for metric in description["metrics"]]
    columns = ["a", "b", "caption", "image_a", "image_b", *metrics]
    pd.DataFrame(columns=columns).to_csv(path, index=False, lineterminator="\n")
    for differences in paired_differences(scores, metrics, baseline=description["baseline"]):
        differences[columns].to_csv(path, mode="a", header=False, index=False, float_format="%.6g", lineterminator="\n")


def _pairs(table: pd.DataFrame) -> list[dict[str, Any]]:
    """For each pair of generators, in which metrics which is better."""
    pairs = []
    for (a, b), rows in table.groupby(["a", "b"], sort=False):
        verdicts = {who: rows.metric[rows.verdict == name].tolist() for who, name in (("a", a), ("b", b))}
        undecided = rows.metric[rows.verdict == UNDECIDED].tolist()
        sizes = {key: rows[key].iloc[0] for key in ("pairing", "n_a", "n_b")}
        pairs.append({"a": a, "b": b} | finite(sizes) | {"better": verdicts | {"undecided": undecided}})
    return pairs


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return finite(table.to_dict("records"))
