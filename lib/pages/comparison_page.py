"""The page of `clip360 compare`: the verdicts first, then their numbers, and the panoramas where generators fail."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from clip360.data.image_set import ImageSet
from clip360.pages.assets import VIEWER, Assets
from clip360.pages.columns import describe_columns
from clip360.pages.failures import failures, images_shown, read_records
from clip360.pages.html import write_page
from clip360.pages.pictures import Pictures, picture_id, write_pictures
from clip360.pages.verdicts import describe_pair, distance_rows, rank_table

PAGE = "comparison.html"
ASSETS = Assets(
    styles=(*VIEWER.styles, "page.css", "detail.css", "comparison_page.css"),
    scripts=(*VIEWER.scripts, "dom.js", "detail.js", "forest.js", "comparison_page.js"),
)


def write_comparison_page(folder: str | Path, image_sets: Mapping[str, ImageSet | None]) -> Path:
    """Write the page of the comparison in ``folder``, comparison.html, complete or not at all; returns its path.

    Reads comparison.json and differences.csv there, and the scores of the reports that they name. ``image_sets`` holds the
    panoramas by generator, None where they are gone: the page shows no pictures of these. Names and captions are text:
    nothing in them acts as HTML. Raises FileNotFoundError where a report is gone, and DataError where a panorama cannot be read.
    """
    folder = Path(folder)
    path = folder / PAGE
    content = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    texts = dict.fromkeys(("a", "b", "caption", "image_a", "image_b"), str)
    differences = pd.read_csv(folder / "differences.csv", keep_default_na=False, dtype=texts)
    records = {g["name"]: read_records(folder / g["report"]) for g in content["generators"]}
    shown = failures(content, differences, records)
    images = images_shown(content["pairs"], shown)
    readers = {
        picture_id(records[name][image]["sha256"]): partial(image_sets[name].read, image)
        for name in images
        if image_sets[name] is not None
        for image in sorted(images[name])
        if "sha256" in records[name][image]
    }
    pictures = write_pictures(path, readers)
    names = [metric["name"] for metric in content["metrics"]]
    labels = {name: column.label for name, column in describe_columns(names, content["protocols"]).items()}
    rows = [
        [row for row in content["comparisons"] if (row["a"], row["b"]) == (pair["a"], pair["b"])]
        for pair in content["pairs"]
    ]
    data = {
        "metrics": [metric | {"label": labels[metric["name"]]} for metric in content["metrics"]],
        "pairs": [
            pair | {"rows": of_pair, "failures": of_metric}
            for pair, of_pair, of_metric in zip(content["pairs"], rows, shown, strict=True)
        ],
        "panoramas": {
            name: {image: _panorama(records[name][image], readers, names) for image in sorted(images[name])}
            for name in images
        },
        "pictures": _places(pictures),
        "level": _percent(content),
    }
    verdicts = [describe_pair(pair, of_pair, labels) for pair, of_pair in zip(content["pairs"], rows, strict=True)]
    generators = [g["name"] for g in content["generators"]]
    write_page(
        path, "comparison_page.html", ASSETS, data=data,
        title=f"Comparison of {len(generators)} generators of panoramas",
        verdicts=verdicts, ranks=rank_table(content), distances=distance_rows(content), level=_percent(content),
        n_tests=len(content["comparisons"]), alpha=content["inference"]["alpha"],
        **{key: content[key] for key in ("model", "versions", "cue", "protocols", "generators", "inference", "metrics")},
    )  # fmt: skip
    return path


def _panorama(record: Mapping[str, Any], readers: Mapping[str, Any], metrics: list[str]) -> dict[str, Any]:
    """What the page shows of a panorama; ``picture`` is None where there is none."""
    picture = picture_id(record.get("sha256", ""))
    by_yaw = record.get("by_group", {}).get("shifts", {})
    return {
        "caption": record["caption"],
        "picture": picture if picture in readers else None,
        "yaw": record.get("worst_yaw", 0),
        "scores": [[float(yaw), score] for yaw, score in by_yaw.items()],
        "values": {name: record[name] for name in metrics},
    }


def _places(pictures: Pictures) -> dict[str, Any]:
    return {"panoramas": pictures.panoramas, "thumbnails": pictures.thumbnails}


def _percent(content: Mapping[str, Any]) -> str:
    return f"{100 * (1 - content['inference']['alpha']):g} %"
