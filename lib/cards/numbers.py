"""The numbers of a card, from its measurements: functions of ``stats``, composed."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from clip360.cards.measurements import TO_IMAGE, CardMeasurements
from clip360.cards.protocol import CROP, SQUASH, CardProtocol
from clip360.stats.inference import Inference, mean, with_interval
from clip360.stats.measurements import by_image, select
from clip360.stats.signed_rank import minimum_n
from clip360.stats.stability_ratio import worst_ratios
from clip360.stats.textual_probe import contrast_table, cue_gains
from clip360.stats.token_analysis import positional_ablations
from clip360.stats.variance_decomposition import decompose
from clip360.stats.view_comparison import compare_views

COLUMNS = ["measure", "view", "n", "value", "value_low", "value_high", "undefined"]
NOTHING_VARIES = "it is a ratio to something that does not vary, or is 0"
# Names of a card's numbers by those of columns in tables of ``stats``.
CUE_COLUMNS = {"contrast": "cue_contrast", "gain": "cue_gain", "control_gain": "cue_control_gain"}
VIEW_COLUMNS = {
    "relative_sd": "instability",
    "relative_sd_to_crop": "instability_to_crop",
    "sd": "sd_over_shifts",
    "recall": "image_to_text",
    "recall_gain": "recall_gain",
}
TO_CROP = ("instability_to_crop", "recall_gain")  # of the centre crop itself they say nothing
BOUND_COLUMNS = {"of_beta": "worst_of_beta", "beta": "beta"}
ABLATIONS = {
    "shifts by whole patches": "whole_patches",
    "positions by row": "no_columns",
    "circular positions": "closed_seam",
}


def require_images(n: int, inference: Inference) -> None:
    """ValueError for fewer panoramas than could carry an interval: no signed-rank test of them could reject."""
    if n < (minimum := minimum_n(inference.alpha)):
        raise ValueError(
            f"{n} panoramas are too few for intervals of {100 * (1 - inference.alpha):g} %: expected at least {minimum};"
            " add panoramas, or raise --alpha"
        )


def card_numbers(measured: CardMeasurements, protocol: CardProtocol, *, inference: Inference) -> pd.DataFrame:
    """All numbers of a card: columns measure (a key of ``MEASURES``), view, n, value, value_low, value_high, undefined.

    ``undefined`` says why a number and its interval are NaN, such as where every score was clamped to 0, and is otherwise empty. Intervals
    are bootstraps over panoramas.
    """
    scores, numbers = measured.scores, []

    def add(measures: Iterable[str], view: str, compute: Callable[[], list[dict]]) -> None:
        try:
            with np.errstate(divide="ignore", invalid="ignore"):
                numbers.extend(compute())
        except ValueError as error:
            numbers.extend(_row(measure, view, {"n": scores.image.nunique()}, "", str(error)) for measure in measures)

    views = list(dict.fromkeys(scores["view"]))
    for view in views:
        add(CUE_COLUMNS.values(), view, lambda view=view: _cues(measured.cues[view], view, inference))
    add(VIEW_COLUMNS.values(), CROP, lambda: _views(scores, views, inference))
    for view in views:
        add(BOUND_COLUMNS.values(), view, lambda view=view: _bound(scores, view, protocol, inference))
        add(("text_to_image",), view, lambda view=view: [_text_to_image(scores, view, inference)])
        add(("score",), view, lambda view=view: [_score(scores, view, inference)])
    add(("content_fraction",), CROP, lambda: _content(scores, protocol, inference))
    if measured.rolls is not None:
        add(ABLATIONS.values(), SQUASH, lambda: _rolls(measured.rolls, inference))
    return pd.DataFrame(numbers, columns=COLUMNS)


def _row(measure: str, view: str, found: dict, column: str, undefined: str = "") -> dict:
    """One number, from a row of a table that has it as ``column`` with its interval."""
    values = [float(found.get(f"{column}{end}", math.nan)) for end in ("", "_low", "_high")]
    if not undefined and not np.isfinite(values).all():
        values, undefined = [math.nan] * 3, NOTHING_VARIES
    return dict(zip(COLUMNS, (measure, view, int(found["n"]), *values, undefined), strict=True))


def _rows(found: dict, view: str, columns: dict[str, str]) -> list[dict]:
    return [_row(measure, view, found, column) for column, measure in columns.items()]


def _require_variation(scores: pd.DataFrame) -> None:
    """ValueError where all scores are the same, as they are where all were clamped: then nothing of them means anything."""
    if scores.value.nunique() == 1:
        value = scores.value.iloc[0]
        raise ValueError(f"every score is {value:g}{': all were clamped' if value == 0 else ''}")


def _cues(cues: pd.DataFrame, view: str, inference: Inference) -> list[dict]:
    _require_variation(cues)
    table = contrast_table(cue_gains(cues), ["model", "image_set", "kind"], inference=inference)
    return _rows(table.iloc[0].to_dict(), view, CUE_COLUMNS)


def _views(scores: pd.DataFrame, views: Sequence[str], inference: Inference) -> list[dict]:
    table = compare_views(scores, dict.fromkeys(views, 1), inference=inference)
    rows = [row for found in table.to_dict("records") for row in _rows(found, found["view"], VIEW_COLUMNS)]
    return [row for row in rows if not (row["view"] == CROP and row["measure"] in TO_CROP)]


def _bound(scores: pd.DataFrame, view: str, protocol: CardProtocol, inference: Inference) -> list[dict]:
    of_view = scores[scores["view"] == view]
    table = worst_ratios(of_view, shifts=protocol.bound_shifts, inference=inference)
    return _rows(table.iloc[0].to_dict(), view, BOUND_COLUMNS)


def _text_to_image(scores: pd.DataFrame, view: str, inference: Inference) -> dict:
    hits = (by_image(select(scores[scores["view"] == view], TO_IMAGE, "shift")) == 1).mean(axis=1).to_numpy()
    found = with_interval("hits", hits, mean, inference=inference)
    return _row("text_to_image", view, found | {"n": len(hits)}, "hits")


def _score(scores: pd.DataFrame, view: str, inference: Inference) -> dict:
    of_view = select(scores[scores["view"] == view], "clip_score", "shift")
    unshifted = of_view[of_view.level == 0].sort_values("image").value.to_numpy()
    found = with_interval("score", unshifted, mean, inference=inference)
    return _row("score", view, found | {"n": len(unshifted)}, "score")


def _content(scores: pd.DataFrame, protocol: CardProtocol, inference: Inference) -> list[dict]:
    crop = scores[scores["view"] == CROP]
    _require_variation(select(crop, "clip_score"))
    table = decompose(crop, n_windows=protocol.n_windows, inference=inference)
    return _rows(table.iloc[0].to_dict(), CROP, {"content_fraction": "content_fraction"})


def _rolls(rolls: pd.DataFrame, inference: Inference) -> list[dict]:
    table = positional_ablations(rolls, inference=inference).set_index("ablation")
    return [_row(measure, SQUASH, table.loc[name].to_dict(), "variance_left") for name, measure in ABLATIONS.items()]
