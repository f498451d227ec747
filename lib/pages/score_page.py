"""The page of `clip360 score`: a table to sort, filter and search, and each panorama in a viewer."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from clip360.data.image_set import ImageSet
from clip360.pages.assets import VIEWER, Assets
from clip360.pages.columns import FAULTS, LOWER_IS_BETTER, Column, describe_columns
from clip360.pages.html import write_page
from clip360.pages.numbers import interval, mean_text, number
from clip360.pages.pictures import picture_id, write_pictures
from clip360.stats.score_summary import clamped_sentence

REPORT = "report.html"
SHIFTS = "shifts"  # the protocol of the columns from score to worst_yaw
ASSETS = Assets(
    styles=(*VIEWER.styles, "page.css", "table.css", "detail.css", "filter_cards.css"),
    scripts=(
        *VIEWER.scripts, "dom.js", "rows.js", "table.js", "histogram.js", "filter_cards.js", "detail.js", "score_page.js",
    ),
)  # fmt: skip
PRESETS = (
    ("Highest robust", "robust", "descending"),
    ("Lowest robust", "robust", "ascending"),
    ("Largest spread", "spread", "descending"),
    ("Most visible seam", "seam", "descending"),
)
FIGURES = ("score", "robust", "spread", "worst")  # means at the head of the page


def write_score_page(
    folder: str | Path, records: Iterable[Mapping[str, Any]], summary: Mapping[str, Any], image_set: ImageSet
) -> Path:
    """Write the page of scored panoramas, ``folder``/report.html, complete or not at all, and its pictures; returns its path.

    ``records`` are those of scores.jsonl, ``summary`` is that of summary.json, and ``image_set`` holds the panoramas. The pictures
    lie in ``folder``/report_files; of panoramas whose pixels are as they were, they are kept. File names and captions are
    text: nothing in them acts as HTML. Raises DataError where a panorama cannot be read.
    """
    records = list(records)
    path = Path(folder, REPORT)
    ids = [picture_id(record["sha256"]) for record in records]
    readers = {picture: partial(image_set.read, record["image"]) for picture, record in zip(ids, records, strict=True)}
    pictures = write_pictures(path, readers)
    names = [key for key, value in records[0].items() if isinstance(value, (int, float))]
    columns = describe_columns(names, summary["protocols"])
    values = {name: [record[name] for record in records] for name in names}
    data = {
        "columns": [
            asdict(column)
            | {"name": name, "mean": summary["metrics"].get(name), "lower": name in LOWER_IS_BETTER}
            for name, column in columns.items()
        ],
        "table": {
            "n": len(records),
            "text": {key: [record[key] for record in records] for key in ("image", "caption")},
            "pictures": ids,
            "values": values,
        },
        "yaw": [_yaw_plot(name, records, summary) for name in _yaw_protocols(summary)],
        "latitude": [
            _latitude_table(name, records) for name, x in summary["protocols"].items() if "by_latitude" in x
        ],
        "panoramas": pictures.panoramas,
        "thumbnails": pictures.thumbnails,
    }  # fmt: skip
    write_page(
        path, "score_page.html", ASSETS, data=data,
        title=f"CLIP scores of {len(records):,} panorama{'s' * (len(records) != 1)}",
        level=f"{100 * summary['interval']['level']:g} %",
        figures=_figures(columns, values, summary),
        presets=[dict(zip(("label", "column", "order"), preset, strict=True)) for preset in PRESETS],
        faults=_faults(columns, values),
        protocols=[
            protocol | {"name": name, "mean": mean_text(summary["metrics"]["robust" if name == SHIFTS else name])}
            for name, protocol in summary["protocols"].items()
        ],
        clamped=clamped_sentence(summary["n_zero"], len(records)),
        correlations=_correlations(summary["rank_correlations"]),
        **{key: summary[key] for key in ("model", "versions", "cue", "n", "n_truncated", "interval")},
    )  # fmt: skip
    return path


def _figures(
    columns: Mapping[str, Column], values: Mapping[str, list[float]], summary: Mapping[str, Any]
) -> list[dict[str, str]]:
    """The numbers at the head of the page: means, and how many panoramas show each fault."""
    means = [
        {
            "value": number(estimate["mean"]),
            "beside": interval(estimate),
            "label": f"mean of {columns[name].label.lower()}",
        }
        for name, estimate in ((name, summary["metrics"][name]) for name in FIGURES)
    ]
    counts = [(fault["n"], columns[fault["column"]].fault) for fault in _faults(columns, values)]
    counts.append((summary["n_truncated"], "the text was truncated"))
    return means + [{"value": str(n), "beside": f"of {len(values['score'])}", "label": label} for n, label in counts]  # fmt: skip


def _correlations(pairs: list[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The lower triangle of the matrix of rank correlations; None for fewer than two protocols."""
    if not pairs:
        return None
    values = {(pair["a"], pair["b"]): number(pair["kendall"]) for pair in pairs}
    names = list(dict.fromkeys(name for pair in values for name in pair))
    rows = [{"name": b, "values_of": [values.get((a, b), "") for a in names[:-1]]} for b in names[1:]]
    return {"columns": names[:-1], "rows": rows}


def _faults(columns: Mapping[str, Column], values: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    """The measures of faults that panoramas exceed, and how many do."""
    return [
        {"column": name, "label": column.label, "n": sum(value > column.threshold for value in values[name])}
        for name, column in columns.items()
        if name in FAULTS
    ]


def _yaw_protocols(summary: Mapping[str, Any]) -> list[str]:
    """The protocols whose scores are given by yaw, without those that are the same under another name."""
    protocols = summary["protocols"]
    hashes = {protocols[name]["hash"]: name for name in reversed(protocols) if "by_yaw" in protocols[name]}
    return [name for name in protocols if name in hashes.values()]


def _yaw_plot(name: str, records: list[Mapping[str, Any]], summary: Mapping[str, Any]) -> dict[str, Any]:
    yaws = list(records[0]["by_group"][name])
    return {
        "title": f"Score by yaw: {summary['protocols'][name]['shows']}",
        "yaws": [float(yaw) for yaw in yaws],
        "scores": [[record["by_group"][name][yaw] for record in records] for yaw in yaws],
    }


def _latitude_table(name: str, records: list[Mapping[str, Any]]) -> dict[str, Any]:
    groups = list(records[0]["by_group"][name])
    return {
        "title": f"Score by latitude: {name}",
        "groups": groups,
        "scores": [[record["by_group"][name][group] for record in records] for group in groups],
    }
