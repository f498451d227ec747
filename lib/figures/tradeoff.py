"""Figures of the fine-tuning and of its trade-off."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from clip360.figures.style import PAGE, image_set_label, method_words
from clip360.names import TRAINING
from clip360.stats.tradeoff import pareto

MARKERS = {"lora_as_released": "s", "lora_attention": "o"}
LOSSES = {"loss": "$L$", "consistency": r"charb$(s_\theta^\Delta, s_\theta)$", "anchor": r"charb$(s_\theta^\Delta, s)$"}
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
        axis.yaxis.set_minor_formatter(NullFormatter())
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def tradeoff_plane(table: pd.DataFrame, *, against: str, label: str) -> Figure:
    """Instability against a cost, one panel for each image set: λ in colour, the Pareto front as a line.

    ``table`` is that of ``stats.tradeoff.tradeoff_table`` for runs of one frozen model, which is drawn as a cross at
    (its instability, 0); ``against`` is the column of the cost and ``label`` its name on the axis.
    """
    sets = table.image_set.unique()
    figure, axes = plt.subplots(1, len(sets), sharey=True, squeeze=False, figsize=(PAGE, 2.8))
    colours = plt.get_cmap(LAMBDA)
    for axis, image_set in zip(axes[0], sets, strict=True):
        part = table[table.image_set == image_set]
        front = part[pareto(part, lower="instability", higher=against)].sort_values("instability")
        axis.plot(front.instability, front[against], color="0.6", linewidth=1, zorder=1)
        axis.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        axis.plot((part.instability / part.relative_instability).iloc[0], 0, "x", color="black", markersize=6)
        for row in part.itertuples():
            value, low, high = (getattr(row, f"{against}{end}") for end in ("", "_low", "_high"))
            axis.errorbar(
                row.instability,
                value,
                xerr=[[row.instability - row.instability_low], [row.instability_high - row.instability]],
                yerr=[[value - low], [high - value]],
                fmt=MARKERS[row.method],
                color=colours(0.9 * row.lam),
                markersize=5,
                linewidth=0.8,
            )
        trained = ", trained on" if (part.role == TRAINING).all() else ""
        title = f"{image_set_label(image_set)}{trained}"
        axis.set(title=title, xlabel=r"median $|s - s^\delta|$, points", xlim=(0, None))
    axes[0, 0].set_ylabel(label)
    handles = [
        plt.Line2D(
            [], [], color=colours(0.9 * lam), marker="o", linestyle="", markersize=5, label=rf"$\lambda={lam:g}$"
        )
        for lam in sorted(table.lam.unique())
    ]
    handles += [
        plt.Line2D([], [], color="0.3", marker=MARKERS[method], linestyle="", markersize=5, label=method_words(method))
        for method in table.method.unique()
    ]
    handles.append(plt.Line2D([], [], color="black", marker="x", linestyle="", label="frozen"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, columnspacing=0.9)
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
            axis.plot(360 * part["shift"], part.median_abs_diff, color=colour, linewidth=1, label=name)
            for drawn, face in ((True, colour), (False, "white")):
                marked = part[part.drawn == drawn]
                place, height = 360 * marked["shift"], marked.median_abs_diff
                axis.plot(place, height, "o", color=colour, markerfacecolor=face, markersize=4)
        axis.set(title=image_set_label(image_set), xlabel="shift, degrees", xticks=range(45, 360, 90))
    axes[0, 0].set_ylabel(r"median $|s - s^\delta|$, points")
    axes[0, 0].set_ylim(bottom=0)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure
