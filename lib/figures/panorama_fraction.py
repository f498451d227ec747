"""Measures against the fraction of panoramas in the pretraining images, and their differences between two models."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clip360.figures.labels import Label, label_ends
from clip360.figures.layout import add_note, add_set_legend, draw_estimates, interval_words, panels
from clip360.figures.style import LINE, MARKERS, image_set_label, model_label, set_colours
from clip360.stats.inference import Inference
from clip360.stats.replicates import this_run_and_replicates

KEYS = ["image_set", "measure", "panorama_fraction"]


def fraction_sweep(tables: Sequence[pd.DataFrame], measures: Mapping[str, str], *, inference: Inference) -> Figure:
    """Measures against the fraction of panoramas with their intervals, a line for each image set.

    ``tables`` are those of ``stats.panorama_fraction.measure_table``: this run's, then those of its replicates, whose mean is drawn with
    its interval where there are any, and the replicates as dots. ``measures`` maps measures to titles. Models with fewer training images or unreliable cues are left
    out.
    """
    this_run, *kept = (_compared(table) for table in tables)
    means = this_run_and_replicates(this_run, kept, KEYS, inference=inference)
    fractions, sets = sorted(means.panorama_fraction.unique()), list(means.image_set.unique())
    colours, height = set_colours(sets), 1.45
    shape = {"left": 0.35, "right": 0.12, "top": 0.42, "bottom": 0.6, "gaps": (0.42, 0)}
    figure, axes = panels(1, len(measures), heights=[height], **shape)
    for axis, (measure, title) in zip(axes[0], measures.items(), strict=True):
        ends = []
        for k, (image_set, marker) in enumerate(zip(sets, MARKERS, strict=False)):
            part = means[(means.measure == measure) & (means.image_set == image_set)]
            if part.empty:
                continue
            part = part.sort_values("panorama_fraction")
            places = _places(part, fractions) + 0.06 * (k - (len(sets) - 1) / 2)
            style = {"marker": marker, "line": "-", "upright": True}
            draw_estimates(axis, part["mean"], places, (part.mean_low, part.mean_high), colours[image_set], **style)
            for table in kept:
                dots = table[(table.measure == measure) & (table.image_set == image_set)]
                axis.plot(
                    _places(dots, fractions) - 0.13,
                    dots.value,
                    ".",
                    color=colours[image_set],
                    markersize=2.5,
                    alpha=0.6,
                )
            ends.append(Label(image_set_label(image_set), places[0], part["mean"].iloc[0], colours[image_set]))
        axis.set_xticks(range(len(fractions)), [f"{100 * fraction:g}" for fraction in fractions])
        axis.set(xlabel="panoramas, %", title=title, xlim=(-0.2, len(fractions) - 0.8))
        axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
        axis.locator_params(axis="y", nbins=5)
        if axis is axes[0, 0]:
            named = [label._replace(x=0.1, y=axis.get_ylim()[1] * (0.95 - 0.15 * k)) for k, label in enumerate(ends)]
            label_ends(axis, named, height=height)
    count = int(means.replicates.max())
    add_note(figure, "dots: replicates" if count else "", interval_words(inference.alpha, replicates=count))
    return figure


def _compared(table: pd.DataFrame) -> pd.DataFrame:
    """The models of one number of training images with reliable cues, in the columns of ``this_run_and_replicates``."""
    table = table[(table.cue_reliability == 1) & (table.n_images == table.n_images.max())]
    return table.rename(columns={"value_low": "low", "value_high": "high"})[[*KEYS, "value", "low", "high"]]


def _places(rows: pd.DataFrame, fractions: Sequence[float]) -> np.ndarray:
    return np.array([fractions.index(fraction) for fraction in rows.panorama_fraction], dtype=float)


def model_differences(differences: pd.DataFrame, measures: Mapping[str, str], *, interval: str) -> Figure:
    """Differences of each measure between two models that differ in one respect, with intervals; a row for each pair.

    ``differences`` has the columns comparison, model, reference, image_set, measure, difference, difference_low, difference_high; ``interval`` says in words what
    its intervals are. Filled marks: the interval excludes 0.
    """
    pairs = list(differences[["comparison", "model", "reference"]].drop_duplicates().itertuples(index=False, name=None))
    sets = list(differences.image_set.unique())
    colours, shape = set_colours(sets), {"left": 1.6, "top": 0.62, "bottom": 0.42, "gaps": (0.15, 0)}
    figure, axes = panels(1, len(measures), heights=[0.38 * len(pairs)], sharey=True, **shape)
    for axis, (measure, title) in zip(axes[0], measures.items(), strict=True):
        axis.axvline(0, color=LINE, linewidth=0.8, zorder=0)
        for row in differences[differences.measure == measure].itertuples():
            k = sets.index(row.image_set)
            place = pairs.index((row.comparison, row.model, row.reference)) + 0.22 * (k - (len(sets) - 1) / 2)
            bounds = row.difference_low, row.difference_high
            style = {"decided": not bounds[0] <= 0 <= bounds[1], "marker": MARKERS[k]}
            draw_estimates(axis, row.difference, place, bounds, colours[row.image_set], **style)
        axis.set_title(title, fontsize=7)
        axis.locator_params(axis="x", nbins=4)
    labels = [f"{comparison}:\n{_short(model)} − {_short(reference)}" for comparison, model, reference in pairs]
    axes[0, 0].set_yticks(range(len(pairs)), labels)
    axes[0, 0].set_ylim(len(pairs) - 0.5, -0.5)
    add_set_legend(figure, sets, x=0.6)
    add_note(figure, "filled: interval excludes 0", interval)
    return figure


def _short(model: str) -> str:
    return model_label(model).removeprefix("CLIP, ").replace(" panoramas", "").replace("of the ", "")
