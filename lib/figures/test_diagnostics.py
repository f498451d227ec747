"""The effects of both probes in one figure."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clip360.figures.style import PAGE, VERDICT_COLOURS, VERDICT_MARKERS, image_set_label, model_label

EFFECT = "rank-biserial correlation"


def effect_forest(textual: pd.DataFrame, visual: pd.DataFrame) -> Figure:
    """Effects (interval) of both probes, for every model and image set: one mark for each test.

    Right of 0 the cue raises the score, or the shift changes it by less than β. Blue where H0 is rejected after Holm's
    correction, orange where it is not.
    """
    rows = textual[["model", "image_set"]].drop_duplicates().reset_index(drop=True)
    labels = [f"{model_label(row.model)}, {image_set_label(row.image_set)}" for row in rows.itertuples()]
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(PAGE, 0.5 * len(rows) + 0.9))
    for axis, tests, rejected, title in (
        (axes[0], textual[textual["view"] == "panorama"], "reject", "format cues: generic cues from top to bottom"),
        (axes[1], visual, "stable", r"shifts: $\delta$ from 1/8 (top) to 7/8"),
    ):
        axis.axvline(0, color="0.6", linewidth=0.8)
        for k, row in rows.iterrows():
            part = tests[(tests.model == row.model) & (tests.image_set == row.image_set)]
            place = k + np.linspace(-0.3, 0.3, len(part))
            for verdict, colour in VERDICT_COLOURS.items():
                chosen = (part[rejected] == verdict).to_numpy()
                below, above = part.effect - part.effect_low, part.effect_high - part.effect
                axis.errorbar(
                    part.effect[chosen],
                    place[chosen],
                    xerr=[below[chosen].clip(lower=0), above[chosen].clip(lower=0)],
                    fmt=VERDICT_MARKERS[verdict],
                    color=colour,
                    markersize=3,
                    linewidth=0.8,
                )
        axis.set(title=title, xlim=(-1.05, 1.05), xlabel=EFFECT)
    axes[0].set_yticks(range(len(rows)), labels)
    axes[0].invert_yaxis()
    return figure
