"""The page of `clip360 card`: the verdict, and every number with its interval and a line that explains it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clip360.pages.assets import Assets
from clip360.pages.html import write_page
from clip360.pages.interval_plot import Axis, axis_of, end_text
from clip360.pages.numbers import number

PAGE = "card.html"
ASSETS = Assets(styles=("page.css", "intervals.css", "card_page.css"), scripts=("dom.js", "theme.js"))
VIEW_LABELS = {
    "center_crop": "centre crop",
    "squash": "squash",
    "letterbox": "letterbox",
    "wide": "wide",
    "multi_view": "multi-view",
}
SECTIONS = (  # title, and the measures of each section
    ("Does the model use the words that name the format?", ("cue_contrast", "cue_gain", "cue_control_gain")),
    ("How far does the score depend on the direction?", ("instability", "instability_to_crop", "worst_of_beta")),
    ("What does it depend on?", ("content_fraction", "whole_patches", "no_columns", "closed_seam")),
    ("Does the model find captions and panoramas?", ("image_to_text", "text_to_image", "recall_gain")),
    ("The scale of the scores", ("score", "sd_over_shifts", "beta")),
)


def write_card_page(folder: str | Path, card: Mapping[str, Any]) -> Path:
    """Write the page of a card, ``folder``/card.html, complete or not at all; returns its path.

    ``card`` is that of card.json. The names of model, image set and cues are text: nothing in them acts as HTML.
    """
    path = Path(folder, PAGE)
    inference = card["protocol"]["definition"]["inference"]
    write_page(
        path, "card_page.html", ASSETS, data={},
        title=f"Shift card: {card['model']['name']}",
        level=f"{100 * (1 - inference['alpha']):g} %",
        card=card,
        verdicts=[_verdict(verdict, card) for verdict in card["verdicts"]],
        figures=_figures(card),
        sections=[
            {"title": title, "measures": [x for name in names if (x := _measure(name, card))]} for title, names in SECTIONS
        ],
        views=[_view(name, view) for name, view in card["views"].items()],
        left_out={VIEW_LABELS.get(name, "rolls of the input"): reason for name, reason in card["left_out"].items()},
        cues=", ".join(card["image_set"]["cues"]),
        **{key: card["protocol"]["definition"][key] for key in ("n_shifts", "n_windows", "generic_cues", "inference")},
    )  # fmt: skip
    return path


def estimate_text(estimate: Mapping[str, Any]) -> dict[str, str]:
    """A number and its interval in words: value, interval."""
    if estimate["value"] is None:
        return {"value": "–", "interval": ""}
    return {"value": number(estimate["value"]), "interval": f"[{number(estimate['low'])}, {number(estimate['high'])}]"}


def _verdict(verdict: Mapping[str, Any], card: Mapping[str, Any]) -> dict[str, Any]:
    sentence = verdict["sentence"]
    estimate = card["views"][verdict["view"]]["numbers"][verdict["measure"]]
    return {
        "sentence": sentence[0].upper() + sentence[1:],
        "is_decided": verdict["verdict"] != "undecided",
        "unit": verdict["unit"],
        "id": verdict["measure"],
        **estimate_text(estimate),
    }


def _figures(card: Mapping[str, Any]) -> list[dict[str, str]]:
    """The numbers at the head of the page: what was measured, and what it costs under the squashed view."""
    model, image_set, squashed = card["model"], card["image_set"], card["views"]["squash"]
    size = " × ".join(str(x) for x in reversed(model["input"]))
    return [
        {"value": f"{image_set['n']:,}", "beside": "", "label": "panoramas"},
        {"value": f"{model['parameters']['all'] / 1e6:,.1f}", "beside": "million", "label": "parameters"},
        {"value": number(squashed["gflop"], 2 if squashed["gflop"] < 10 else 0), "beside": "GFLOP", "label": "a panorama, squashed"},
        *_speed(squashed),
        {"value": size, "beside": "pixels", "label": "input"},
        {"value": str(image_set["n_truncated"]), "beside": f"of {image_set['n']}", "label": "truncated captions"},
    ]  # fmt: skip


def _speed(view: Mapping[str, Any]) -> list[dict[str, str]]:
    """The speed, where it was measured."""
    speed = view["panoramas_per_second"]
    if speed is None:
        return []
    return [{"value": number(speed, 0 if speed >= 10 else 1), "beside": "a second", "label": "panoramas, squashed"}]


def _measure(name: str, card: Mapping[str, Any]) -> dict[str, Any] | None:
    """A measure with its rows, one for each view that has it; None where no view has."""
    found = {view: x["numbers"][name] for view, x in card["views"].items() if name in x["numbers"]}
    if not found:
        return None
    measure = card["measures"][name]
    reference = measure["reference"]
    axis = axis_of(list(found.values()), *(() if reference is None else (reference,)), 0.0)
    return measure | {
        "id": name,
        "rows": [_measure_row(view, estimate, axis) for view, estimate in found.items()],
        "low": end_text(axis.low) if axis else "",
        "high": end_text(axis.high) if axis else "",
        "line": axis.percent(reference) if axis and reference is not None else "",
        "line_text": end_text(reference) if reference is not None else "",
    }


def _measure_row(view: str, estimate: Mapping[str, Any], axis: Axis | None) -> dict[str, Any]:
    place = axis.place(estimate) if axis and estimate["value"] is not None else None
    row = {"view": view, "label": VIEW_LABELS[view], "place": place, "undefined": estimate.get("undefined", "")}
    return row | estimate_text(estimate)


def _view(name: str, view: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "label": VIEW_LABELS[name],
        "hash": view["hash"],
        "sphere": f"{100 * view['sphere_fraction']:.0f} %",
        "passes": f"{view['passes']:g}",
        "gflop": number(view["gflop"]),
        "speed": _speed(view),
        "negative": f"{100 * view['negative_fraction']:.1f} %",
    }
