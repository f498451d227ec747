"""Figures of the fine-tuning and of its trade-off."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from clip360.figures.style import PAGE, image_set_label, method_words
from clip360.names import TRAINING
from clip360.stats.tradeoff import pareto

MARKERS = {"lora_as_released": "s", "lora_attention": "o"}
LOSSES = {"loss": "$L$", "consistency": r"charb$(s_\theta^\Delta, s_\theta)$", "anchor": r"charb$(s_\theta^\Delta, s)$"}
LABELLED = (1, 1.5, 2, 3, 5, 7)  # multiples of powers of ten, on logarithmic axes
LAMBDA = "viridis"  # of λ from 0 to 1: ordered in grey print too


def training_curves(logs: Mapping[str, pd.DataFrame], lambdas: Mapping[str, float], *, window: int = 10) -> Figure:
    """Loss, its two parts and the gradient norm by step, for every run; the colour is λ.

    ``logs`` and ``lambdas`` are by run; curves are smoothed by a moving mean over ``window`` steps.
    """
    panels = {**LOSSES, "gradient_norm": "gradient norm"}
    figure, axes = plt.subplots(1, len(panels), figsize=(PAGE, 2.1), sharex=True)
    colours = plt.get_cmap(LAMBDA)
    for axis, (column, title) in zip(axes, panels.items(), strict=True):
        for run, log in logs.items():
            smooth = log[column].rolling(window, min_periods=1).mean()
            lam = lambdas[run]
            axis.plot(smooth, color=colours(0.9 * lam), linewidth=1, label=rf"$\lambda = {lam:g}$")
        axis.set(title=title, xlabel="step", yscale="log")
        _label_logarithms(axis.yaxis)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _label_logarithms(axis: Axis) -> None:
    """Labels at some multiples of every power of ten."""
    axis.set_major_locator(LogLocator(subs=LABELLED))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def tradeoff_plane(table: pd.DataFrame, *, against: str, label: str) -> Figure:
    """Instability against a change of capability, one panel for each image set: λ in colour, the Pareto front as a line.

    ``table`` is that of ``stats.tradeoff.tradeoff_table`` for runs of one frozen model under one view; the frozen model lies at
    (1, 0), where the grey lines cross. ``against`` is the column of the change and ``label`` its name on the axis.
    """
    sets = table.image_set.unique()
    figure, axes = plt.subplots(1, len(sets), sharey=True, squeeze=False, figsize=(PAGE, 2.8))
    colours = plt.get_cmap(LAMBDA)
    for axis, image_set in zip(axes[0], sets, strict=True):
        part = table[table.image_set == image_set]
        front = part[pareto(part, lower="instability_ratio", higher=against)].sort_values("instability_ratio")
        axis.plot(front.instability_ratio, front[against], color="0.6", linewidth=1, zorder=1)
        axis.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        axis.axvline(1, color="0.85", linewidth=0.8, zorder=0)
        for row in part.itertuples():
            x, y = row.instability_ratio, getattr(row, against)
            axis.errorbar(
                x,
                y,
                xerr=[[x - row.instability_ratio_low], [row.instability_ratio_high - x]],
                yerr=[[y - getattr(row, f"{against}_low")], [getattr(row, f"{against}_high") - y]],
                fmt=MARKERS[row.method.split(", ")[0]],
                color=colours(0.9 * row.lam),
                markersize=5,
                linewidth=0.8,
            )
        trained = ", trained on" if (part.role == TRAINING).all() else ""
        axis.set(
            title=f"{image_set_label(image_set)}{trained}", xlabel="instability, relative to frozen", xlim=(0, None)
        )
    axes[0, 0].set_ylabel(label)
    handles = [
        plt.Line2D(
            [], [], color=colours(0.9 * lam), marker="o", linestyle="", markersize=5, label=rf"$\lambda={lam:g}$"
        )
        for lam in sorted(table.lam.unique())
    ]
    handles += [
        plt.Line2D([], [], color="0.3", marker=MARKERS[name], linestyle="", markersize=5, label=method_words(name))
        for name in table.method.str.split(", ").str[0].unique()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, columnspacing=0.9)
    return figure


def distance_curves(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """What happens as weights travel: one panel for each measure, one line for each learning rate.

    ``table`` is that of ``stats.tradeoff.distance_table``, ``panels`` maps its columns to labels. Where the lines lie on each other,
    the distance decides; where they lie apart, so does the rate. Marks are runs, in the order of their epochs.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(PAGE, 2.4), sharex=True)
    colours = sns.color_palette("colorblind")
    for axis, (column, label) in zip(axes, panels.items(), strict=True):
        axis.axhline(1 if column.endswith("ratio") else 0, color="0.85", linewidth=0.8, zorder=0)
        for (lr, part), colour, marker in zip(table.groupby("lr"), colours, "os^D", strict=False):
            epochs = ", ".join(part.epochs.map(str))
            low, high = part[column] - part[f"{column}_low"], part[f"{column}_high"] - part[column]
            axis.errorbar(
                part.distance,
                part[column],
                yerr=[low, high],
                fmt=f"{marker}-",
                color=colour,
                markersize=4,
                linewidth=1,
                label=f"learning rate {lr:g}: {epochs} epochs",
            )
        axis.set(title=label, xlabel="distance travelled", xscale="log")
        _label_logarithms(axis.xaxis)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(1, len(labels)), frameon=False)
    return figure


def unseen_shifts(tests: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Median |s - s^δ| at every tested shift, for models trained on all shifts, on a part of them, and on none.

    ``tests`` is the table of ``stats.tradeoff.finetuned_shift_tests``; ``names`` gives the legend for each model; filled
    marks are shifts from the range that training drew from.
    """
    sets = tests.image_set.unique()
    figure, axes = plt.subplots(1, len(sets), sharey=True, squeeze=False, figsize=(PAGE, 2.3))
    colours = sns.color_palette("colorblind")
    for axis, image_set in zip(axes[0], sets, strict=True):
        for colour, (model, name) in zip(colours, names.items(), strict=False):
            part = tests[(tests.model == model) & (tests.image_set == image_set)]
            low = part.median_abs_diff - part.median_abs_diff_low
            high = part.median_abs_diff_high - part.median_abs_diff
            line = {"color": colour, "linewidth": 1, "elinewidth": 0.8, "label": name}
            axis.errorbar(360 * part["shift"], part.median_abs_diff, yerr=[low, high], **line)
            for drawn, face in ((True, colour), (False, "white")):
                marked = part[part.drawn == drawn]
                place, height = 360 * marked["shift"], marked.median_abs_diff
                axis.plot(place, height, "o", color=colour, markerfacecolor=face, markersize=4)
        axis.set(title=image_set_label(image_set), xlabel="shift, degrees", xticks=range(45, 360, 90))
    axes[0, 0].set_ylabel(r"median $|s - s^\delta|$, points")
    axes[0, 0].set_ylim(bottom=0)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        [handle[0] for handle in handles], labels, loc="outside lower center", ncols=len(labels), frameon=False
    )
    return figure
