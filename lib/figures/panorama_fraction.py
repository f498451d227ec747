"""Measures against the fraction of panoramas in the pretraining images, and their differences between two models."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from clip360.figures.style import PAGE, image_set_label, model_label


def fraction_sweep(tables: Sequence[pd.DataFrame], panels: Mapping[str, str]) -> Figure:
    """Measures against the fraction of panoramas, a colour for each image set and a thin line for each run; their mean is thick.

    ``tables`` are those of ``stats.panorama_fraction.measure_table``, one for each run; ``panels`` maps measures to titles. Models with fewer
    training images or unreliable cues are left out. A single run has its intervals over images.
    """
    table = pd.concat([table.assign(run=k) for k, table in enumerate(tables)])
    table = table[(table.cue_reliability == 1) & (table.n_images == table.n_images.max())]
    fractions = sorted(table.panorama_fraction.unique())
    colours = dict(zip(table.image_set.unique(), sns.color_palette("colorblind"), strict=False))
    figure, axes = plt.subplots(1, len(panels), squeeze=False, figsize=(PAGE, 2.2))
    for axis, (measure, title) in zip(axes[0], panels.items(), strict=True):
        for image_set, part in table[table.measure == measure].groupby("image_set", sort=False):
            for _, run in part.sort_values("panorama_fraction").groupby("run"):
                places = [fractions.index(fraction) for fraction in run.panorama_fraction]
                axis.plot(places, run.value, color=colours[image_set], linewidth=0.6)
                if len(tables) == 1:
                    errors = [run.value - run.value_low, run.value_high - run.value]
                    axis.errorbar(places, run.value, yerr=errors, fmt="none", color=colours[image_set], linewidth=0.9)
            mean = part.groupby("panorama_fraction").value.mean()
            places = [fractions.index(fraction) for fraction in mean.index]
            label = image_set_label(image_set)
            axis.plot(places, mean, "o-", color=colours[image_set], linewidth=1.6, markersize=3.5, label=label)
        axis.set_xticks(range(len(fractions)), [f"{100 * fraction:g}" for fraction in fractions])
        axis.set(xlabel="panoramas, %", title=title)
        axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
    handles = {
        label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


def model_differences(differences: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Differences of each measure between two models that differ in one respect, with intervals; a row for each pair.

    ``differences`` has the columns comparison, model, reference, image_set, measure, difference, difference_low, difference_high.
    """
    pairs = list(differences[["comparison", "model", "reference"]].drop_duplicates().itertuples(index=False, name=None))
    colours = dict(zip(differences.image_set.unique(), sns.color_palette("colorblind"), strict=False))
    size = (PAGE, 0.42 * len(pairs) + 1.0)
    figure, axes = plt.subplots(1, len(panels), sharey=True, squeeze=False, figsize=size)
    for axis, (measure, title) in zip(axes[0], panels.items(), strict=True):
        axis.axvline(0, color="0.6", linewidth=0.8)
        part = differences[differences.measure == measure]
        for k, (image_set, rows) in enumerate(part.groupby("image_set", sort=False)):
            keys = rows[["comparison", "model", "reference"]].itertuples(index=False, name=None)
            places = [pairs.index(pair) + 0.15 * (k - 0.5) for pair in keys]
            errors = [rows.difference - rows.difference_low, rows.difference_high - rows.difference]
            style = {"fmt": "o", "color": colours[image_set], "markersize": 3, "linewidth": 0.9}
            axis.errorbar(rows.difference, places, xerr=errors, label=image_set_label(image_set), **style)
        axis.set_title(title)
        axis.locator_params(axis="x", nbins=4)
    labels = [f"{comparison}:\n{_short(model)} − {_short(reference)}" for comparison, model, reference in pairs]
    axes[0, 0].set_yticks(range(len(pairs)), labels)
    axes[0, 0].set_ylim(len(pairs) - 0.5, -0.5)
    handles = {
        label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


def _short(model: str) -> str:
    return model_label(model).removeprefix("CLIP, ").replace(" panoramas", "").replace("of the ", "")
