"""The page on which a reader turns a panorama: what CLIP then sees, and how its score changes.

Every number on it is one of the tables that it is made from. The page is one HTML file, opens no connection, and works from disk
and in an iframe.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from clip360.data.prompts import prompt
from clip360.figures.style import image_set_label, model_label
from clip360.pages.assets import Assets
from clip360.pages.html import write_page
from clip360.pages.pictures import data_url

CROP, WHOLE = "center_crop", "squash"  # the views of a panorama that the page compares
MAX_WIDTH = 1024  # pixels of a picture; wider ones are made smaller
ASSETS = Assets(
    styles=("live_figure.css",),
    scripts=("dom.js", "viewer.js", "yaw_plot.js", "live_figure_views.js", "live_figure_charts.js", "live_figure.js"),
)


@dataclass(frozen=True)
class PanoramaOnPage:
    """A panorama, its caption, and the words that may name its format, by condition of the scores."""

    image_set: str
    path: Path
    caption: str
    cues: Mapping[str, str]


def write_live_figure(
    path: Path,
    panoramas: Sequence[PanoramaOnPage],
    scores: pd.DataFrame,
    comparison: pd.DataFrame,
    parts: pd.DataFrame,
    *,
    n_views: int,
    fov: float,
) -> None:
    """Write the page to ``path``, complete or not at all; the same arguments give the same bytes.

    scores      one row for each model, image_set, view, condition, image and ``yaw`` (degrees), with ``score`` and the bound ``beta``
    comparison  of ``stats.view_comparison.compare_views``: how much the score varies over a turn
    parts       of ``stats.variance_decomposition.decompose``: which part of it is content
    n_views     perspective views drawn around the horizon, each of ``fov`` degrees

    ValueError where a panorama lacks a score, or a table the rows of one of the two views.
    """
    for name, table in (("view_comparison", comparison), ("variance_decomposition", parts)):
        if missing := {CROP, WHOLE} - set(table["view"]):
            raise ValueError(f"{name}.csv has no row of the view {min(missing)}: add it to crop_or_model.views")
    comparison = comparison[(comparison.n_shifts_averaged == 1) & (comparison["view"] == WHOLE)]
    data = {
        "panoramas": [_panorama(panorama) for panorama in panoramas],
        "models": [{"name": name, "label": model_label(name)} for name in scores.model.unique()],
        "summaries": _summaries(comparison, parts),
        "yaws": sorted(scores.yaw.unique().tolist()),
        "curves": _curves(panoramas, scores),
        "camera": {"views": n_views, "fov": fov},
    }
    write_page(
        path,
        "live_figure.html",
        ASSETS,
        data=data,
        n_views=n_views,
        fov=fov,
        n_yaws=len(data["yaws"]),
        has_fractions=any("% panoramas" in model["label"] for model in data["models"]),
        **_lead(comparison, parts),
    )


def _panorama(panorama: PanoramaOnPage) -> dict[str, Any]:
    texts = {condition: prompt(cue, panorama.caption) for condition, cue in panorama.cues.items()}
    return {
        "name": panorama.path.name,
        "set": panorama.image_set,
        "place": image_set_label(panorama.image_set),
        "caption": panorama.caption,
        "cues": dict(panorama.cues),
        "texts": texts,
        "picture": picture(panorama.path),
    }


def picture(path: Path) -> str:
    """A panorama as a data: URL: the JPEG file itself, or a smaller one where it is wider than ``MAX_WIDTH`` or of another kind."""
    with Image.open(path) as image:
        if image.format == "JPEG" and image.width <= MAX_WIDTH:
            return data_url(path.read_bytes())
        width = min(MAX_WIDTH, image.width)
        smaller = image.convert("RGB").resize((width, width // 2), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    smaller.save(file, "JPEG", quality=85)
    return data_url(file.getvalue())


def _curves(panoramas: Sequence[PanoramaOnPage], scores: pd.DataFrame) -> list[dict]:
    """For each panorama by condition, model and view: the scores in the order of the yaws, and β."""
    keys, n_yaws = ["image_set", "image", "condition", "model", "view"], scores.yaw.nunique()
    rows = {key: part.sort_values("yaw") for key, part in scores.groupby(keys, sort=False)}
    curves = []
    for panorama in panoramas:
        of_panorama: dict = {condition: {} for condition in panorama.cues}
        for condition in panorama.cues:
            for model in scores.model.unique():
                by_view = of_panorama[condition][model] = {}
                for view in (CROP, WHOLE):
                    part = rows.get((panorama.image_set, panorama.path.name, condition, model, view))
                    if part is None or len(part) != n_yaws:
                        raise ValueError(f"{panorama.path.name} lacks scores of {model} under {view}: score it anew")
                    by_view[view] = {"scores": part.score.tolist(), "beta": float(part.beta.iloc[0])}
        curves.append(of_panorama)
    return curves


def _summaries(comparison: pd.DataFrame, parts: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """What the tables say of all panoramas, by image set and model; standard deviations over a turn in points."""
    parts = parts.set_index(["image_set", "model", "view"])
    summaries: dict = {}
    for row in comparison.itertuples():
        crop = parts.loc[row.image_set, row.model, CROP]
        summaries.setdefault(row.image_set, {})[row.model] = {
            "n": int(row.n),
            "crop": round(row.sd / row.sd_to_crop, 4),
            "whole": row.sd,
            "content": crop.content_fraction,
        }
    return summaries


def _lead(comparison: pd.DataFrame, parts: pd.DataFrame) -> dict[str, Any]:
    """The numbers of the first sentence; ``varies_less``: does every interval say that the score varies less, shown whole?"""
    ratio, content = comparison.relative_sd_to_crop, parts[parts["view"] == CROP].content_fraction
    return {
        "varies_less": bool((comparison.relative_sd_to_crop_high < 1).all()),
        "ratio": _range(ratio, "{:.2f}"),
        "content": _range(content, "{:.0%}").replace("%", "") + " %",
        "n_models": comparison.model.nunique(),
        "n_sets": comparison.image_set.nunique(),
    }


def _range(values: pd.Series, form: str) -> str:
    """The smallest and the largest value in words, once where both read the same.

    >>> _range(pd.Series([0.344, 0.64]), "{:.2f}"), _range(pd.Series([0.5]), "{:.0%}")
    ('0.34 to 0.64', '50%')
    """
    low, high = form.format(values.min()), form.format(values.max())
    return low if low == high else f"{low} to {high}"
