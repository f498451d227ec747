"""The paper's findings here: one row for each case, outdoors and indoors beside each other."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clip360.figures.layout import (
    add_note,
    add_set_legend,
    draw_estimates,
    draw_this_run,
    interval_words,
    name_rows,
    panels,
)
from clip360.figures.style import LINE, MARKERS, method_words, model_label, set_colours
from clip360.stats.claims import UNDECIDED, Claim

ROW, BETWEEN, LETTER = 0.2, 0.62, 0.06  # inches: height of a row, between two panels, and the width of a letter
REFUTING = "0.94"  # the area of numbers that refute a claim


def claims_forest(judged: pd.DataFrame, claims: Sequence[Claim], *, alpha: float) -> Figure:
    """One panel a claim, one row a model, or a model's fine-tuning: the mean over replicates, or this run, with its interval.

    ``judged`` is the table of ``stats.claims.judge`` with intervals at the level 1 - ``alpha``. Numbers in the grey area refute the claim; filled marks are
    decided. A tick is this run beside the mean over replicates. Colours are image sets.
    """
    claims = [claim for claim in claims if (judged.claim == claim.name).any()]
    sets = list(judged.image_set.unique())
    rows = {claim.name: _rows(judged[judged.claim == claim.name]) for claim in claims}
    left = LETTER * max(len(words) for of_claim in rows.values() for words, *_ in of_claim)
    shape = {"left": left, "right": 0.12, "top": 0.5, "bottom": 0.6, "gaps": (0, BETWEEN)}
    figure, axes = panels(len(claims), 1, heights=[ROW * len(rows[claim.name]) for claim in claims], **shape)
    for axis, claim in zip(axes[:, 0], claims, strict=True):
        _panel(axis, judged[judged.claim == claim.name], claim, rows[claim.name], sets, left)
    add_set_legend(figure, sets, x=0.86)
    count = int(judged.replicates.max())
    words = ["grey: refutes the claim", "filled: decided", "tick: this run" if count else ""]
    add_note(figure, *words, interval_words(alpha, replicates=count))
    return figure


def _rows(cases: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Rows as (words, model, fine-tuning): the name of a model, then its fine-tunings if there are any."""
    rows = []
    for model, part in cases.groupby("model", sort=False):
        tuned = [name for name in part.finetuning.unique() if name != "none"]
        rows.append((model_label(model), "" if tuned else model, "none"))
        rows += [(method_words(name), model, name) for name in tuned]
    return rows


def _panel(
    axis: Axes, cases: pd.DataFrame, claim: Claim, rows: list[tuple[str, str, str]], sets: list[str], left: float
) -> None:
    colours, places = set_colours(sets), {(model, tuned): k for k, (_, model, tuned) in enumerate(rows) if model}
    for case in cases.itertuples():
        k = sets.index(case.image_set)
        height = places[case.model, case.finetuning] + 0.36 * (k - (len(sets) - 1) / 2)
        style = {"decided": case.case_verdict != UNDECIDED, "marker": MARKERS[k]}
        draw_estimates(axis, case.mean, height, (case.mean_low, case.mean_high), colours[case.image_set], **style)
        if case.replicates:
            draw_this_run(axis, case.value, height)
    low, high = _with_bounds(axis.get_xlim(), claim)
    for bound, end in ((claim.above, low), (claim.below, high)):
        if np.isfinite(bound):
            axis.axvline(bound, color=LINE, linewidth=0.8, zorder=0)
            axis.axvspan(end, bound, color=REFUTING, linewidth=0, zorder=-1)
    axis.set(xlim=(low, high), xlabel=claim.unit)
    axis.set_title(claim.statement, loc="left", weight="bold")
    name_rows(axis, [words for words, *_ in rows], [not model for _, model, _ in rows], left=left)


def _with_bounds(limits: tuple[float, float], claim: Claim) -> tuple[float, float]:
    """Limits of an axis, widened until they hold the numbers that decide."""
    bounds = [bound for bound in (claim.above, claim.below) if np.isfinite(bound)]
    margin = 0.05 * (limits[1] - limits[0])
    return min(limits[0], *(bound - margin for bound in bounds)), max(limits[1], *(bound + margin for bound in bounds))
