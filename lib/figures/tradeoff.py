"""Figures of the fine-tuning and of its trade-off."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from clip360.figures.labels import Label, label_ends, label_points
from clip360.figures.layout import add_note, draw_estimates, panels
from clip360.figures.style import BLACK, LINE, MARKERS, image_set_label, lam_colour, method_words
from clip360.names import TRAINING
from clip360.stats.tradeoff import pareto

METHOD_MARKERS = {"lora_as_released": "s", "lora_attention": "o"}
LOSSES = {
    "loss": "loss $L$",
    "consistency": "consistency:\nto its own score",
    "anchor": "anchor:\nto the frozen score",
    "gradient_norm": "gradient norm",
}
LABELLED = (1, 1.5, 2, 3, 5, 7)  # multiples of powers of ten, on logarithmic axes


def training_curves(logs: Mapping[str, pd.DataFrame], lambdas: Mapping[str, float], *, window: int = 10) -> Figure:
    """Loss, its two parts and the gradient norm by step, for every run; the colour is λ, which stands at the end of each curve.

    ``logs`` and ``lambdas`` are by run; curves are smoothed by a moving mean over ``window`` steps.
    """
    height, gaps = 1.5, (0.5, 0)
    figure, axes = panels(1, len(LOSSES), heights=[height], left=0.4, right=0.35, top=0.4, bottom=0.42, gaps=gaps)
    for axis, (column, title) in zip(axes[0], LOSSES.items(), strict=True):
        ends = []
        for run, log in logs.items():
            smooth, lam = log[column].rolling(window, min_periods=1).mean(), lambdas[run]
            axis.plot(smooth, color=lam_colour(lam), linewidth=1)
            ends.append(Label(f"{lam:g}", smooth.index[-1], smooth.iloc[-1], lam_colour(lam)))
        axis.set(title=title, xlabel="step", yscale="log")
        _label_logarithms(axis.yaxis)
        label_ends(axis, ends, height=height)
        axis.annotate(r"$\lambda$", (1, 1), (5, 4), xycoords="axes fraction", textcoords="offset points")
    return figure


def _label_logarithms(axis: Axis) -> None:
    """Labels at some multiples of every power of ten."""
    axis.set_major_locator(LogLocator(subs=LABELLED))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def tradeoff_planes(table: pd.DataFrame, against: Mapping[str, str], *, interval: str) -> Figure:
    """Changes against instability: a column of panels for each image set, a row for each change; λ stands beside each run.

    ``table`` is that of ``stats.tradeoff.tradeoff_table`` for runs of one frozen model under one view; the frozen model lies at
    (1, 0), where the grey lines cross. ``against`` maps columns of changes to their names on the axis, ``interval`` says in words
    what the intervals are. Squares are LoRA as released.
    """
    sets, height = table.image_set.unique(), 1.55
    shape = {"left": 0.82, "top": 0.25, "bottom": 0.62, "gaps": (0.15, 0.15)}
    heights = [height] * len(against)
    figure, axes = panels(len(against), len(sets), heights=heights, sharex=True, sharey="row", **shape)
    breadth = axes[0, 0].get_position().width * figure.get_figwidth()
    for row, (change, label) in zip(axes, against.items(), strict=True):
        for axis, image_set in zip(row, sets, strict=True):
            part = table[table.image_set == image_set]
            front = part[pareto(part, lower="instability_ratio", higher=change)].sort_values("instability_ratio")
            axis.plot(front.instability_ratio, front[change], color="0.75", linewidth=1, zorder=1)
            axis.axhline(0, color="0.85", linewidth=0.8, zorder=0)
            axis.axvline(1, color="0.85", linewidth=0.8, zorder=0)
            for run in part.itertuples():
                x, y = run.instability_ratio, getattr(run, change)
                colour, marker = lam_colour(run.lam), METHOD_MARKERS[run.method.split(", ")[0]]
                of_change = getattr(run, f"{change}_low"), getattr(run, f"{change}_high")
                axis.vlines(x, *of_change, color=colour, linewidth=0.7)
                of_ratio = run.instability_ratio_low, run.instability_ratio_high
                draw_estimates(axis, x, y, of_ratio, colour, marker=marker, markersize=4.5)
        row[0].set_ylabel(label)
        row[0].yaxis.set_major_locator(MaxNLocator(5))
        for axis, image_set in zip(row, sets, strict=True):
            axis.set_xlim(0, None)
            part = table[table.image_set == image_set].itertuples()
            labels = [Label(f"{run.lam:g}", run.instability_ratio, getattr(run, change), BLACK) for run in part]
            label_points(axis, labels, size=(breadth, height))
    for axis, image_set in zip(axes[0], sets, strict=True):
        trained = (table[table.image_set == image_set].role == TRAINING).all()
        axis.set_title(f"{image_set_label(image_set)}{', trained on' if trained else ''}")
    for axis in axes[-1]:
        axis.set_xlabel("instability, ratio to frozen")
    methods = table.method.str.split(", ").str[0].unique()
    shapes = [f"{'squares' if METHOD_MARKERS[name] == 's' else 'circles'}: {method_words(name)}" for name in methods]
    add_note(figure, r"numbers: $\lambda$", *shapes, "line: Pareto front", interval)
    return figure


def distance_curves(table: pd.DataFrame, measures: Mapping[str, str], *, interval: str) -> Figure:
    """What happens as weights travel: one panel for each measure, one line for each learning rate.

    ``table`` is that of ``stats.tradeoff.distance_table``, ``measures`` maps its columns to titles, ``interval`` says in words what the
    intervals are. Where the lines lie on each other, the distance decides; where they lie apart, so does the rate. Marks are runs,
    in the order of their epochs.
    """
    shape = {"left": 0.4, "right": 0.1, "top": 0.5, "bottom": 0.6, "gaps": (0.42, 0)}
    figure, axes = panels(1, len(measures), heights=[1.5], sharex=True, **shape)
    rates = sorted(table.lr.unique())
    greys = [str(0.65 * (1 - (k + 1) / len(rates))) for k in range(len(rates))]
    for axis, (column, title) in zip(axes[0], measures.items(), strict=True):
        axis.axhline(1 if column.endswith("ratio") else 0, color=LINE, linewidth=0.8, zorder=0)
        for k, (lr, part) in enumerate(table.groupby("lr")):
            part = part.sort_values("epochs")
            bounds = part[f"{column}_low"], part[f"{column}_high"]
            style = {"marker": MARKERS[k % len(MARKERS)], "line": "-", "label": f"learning rate {lr:g}"}
            draw_estimates(axis, part[column], part.distance, bounds, greys[k], upright=True, **style)
        axis.set(title=title, xlabel="distance travelled", xscale="log")
        ticks = _round_numbers(table.distance.min(), table.distance.max())
        axis.xaxis.set_major_locator(FixedLocator(ticks))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=len(labels))
    add_note(figure, "marks along a line: more epochs", interval)
    return figure


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within a range, and the two next to it; powers alone where the range is wide."""
    numbers = [base * 10.0**power for power in range(-6, 7) for base in ((1, 2, 5) if high < 50 * low else (1,))]
    return [x for x in numbers if low / 1.5 <= x <= high * 1.5]


def unseen_shifts(tests: pd.DataFrame, names: Mapping[str, str], *, lam: float, interval: str) -> Figure:
    """Median |s - s^δ| at every tested shift, for models trained on all shifts, on a part of them, and on none.

    ``tests`` is the table of ``stats.tradeoff.finetuned_shift_tests``; ``names`` gives the words for each model, the frozen one first;
    ``lam`` is λ of the others, ``interval`` says in words what the intervals are. Filled marks are shifts from the range that training drew from.
    """
    sets, height = tests.image_set.unique(), 1.6
    shape = {"left": 0.45, "right": 1.3, "top": 0.25, "bottom": 0.6, "gaps": (0.15, 0)}
    figure, axes = panels(1, len(sets), heights=[height], sharey=True, **shape)
    lines = ["-", "-", "--", ":", "-."]
    for axis, image_set in zip(axes[0], sets, strict=True):
        ends = []
        for k, ((model, words), line) in enumerate(zip(names.items(), lines, strict=False)):
            part = tests[(tests.model == model) & (tests.image_set == image_set)]
            colour = lam_colour(lam) if k else BLACK
            bounds = part.median_abs_diff_low, part.median_abs_diff_high
            places = 360 * part["shift"] + 5 * (k - (len(names) - 1) / 2)  # beside each other
            draw_estimates(axis, part.median_abs_diff, places, bounds, colour, marker="", line=line, upright=True)
            for drawn in (True, False):
                marked = (part.drawn == drawn).to_numpy()
                style = {"color": colour, "mfc": colour if drawn else "white", "markersize": 3.5}
                axis.plot(places[marked], part.median_abs_diff[marked], "o", **style)
            ends.append(Label(words, 330, part.median_abs_diff.iloc[-1], colour))
        axis.set(title=image_set_label(image_set), xlabel="shift, degrees", xticks=range(90, 360, 90))
    axes[0, 0].set_ylim(bottom=0)
    label_ends(axes[0, -1], ends, height=height)
    axes[0, 0].set_ylabel(r"median $|s - s^\delta|$, points")
    add_note(figure, "filled: shifts that training drew", interval)
    return figure
