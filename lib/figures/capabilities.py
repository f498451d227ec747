"""What models can do, and what an adaptation changes of it."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clip360.figures.style import PAGE, method_words, model_label, view_label
from clip360.names import BLIND

TASKS = {
    "scene_category": "scene category",
    "image_to_text": "image to text",
    "text_to_image": "text to image",
    "worst_shift_hit": "worst-shift hit@1",
    "shift_consistency": "consistency, shifted",
    "offset_consistency": "consistency, camera offset",
}
SPAN = 0.3  # a change of this size has full colour


def capability_heatmap(changes: pd.DataFrame) -> Figure:
    """What each adaptation changes of each capability, in hundredths: a row for each run, below its frozen model's levels.

    ``changes`` are those of ``stats.capabilities.capability_changes``; grey numbers are changes whose interval contains 0.
    """
    columns = changes[["task", "view"]].drop_duplicates().apply(tuple, axis=1).tolist()
    parts = list(changes.groupby("base_model", sort=False))
    heights = [1 + part.model.nunique() for _, part in parts]
    figure, axes = plt.subplots(
        len(parts), 1, figsize=(PAGE, 0.2 * sum(heights) + 1.4), height_ratios=heights, squeeze=False, sharex=True
    )
    for axis, (base_model, part) in zip(axes[:, 0], parts, strict=True):
        runs = [rows for _, rows in part.set_index(["task", "view"]).groupby("model", sort=False)]
        shown = np.stack([np.zeros(len(columns)), *(run.change.reindex(columns) for run in runs)])
        axis.imshow(shown, cmap="RdBu", vmin=-SPAN, vmax=SPAN, aspect="auto")
        _write(axis, 0, runs[0].reindex(columns).frozen, "", ["black"] * len(columns))
        for row, run in enumerate(runs, start=1):
            run = run.reindex(columns)
            excludes_zero = (run.change_low > 0) | (run.change_high < 0)
            colours = [
                "0.55" if not excluded else "white" if abs(change) > 0.75 * SPAN else "black"
                for excluded, change in zip(excludes_zero, run.change, strict=True)
            ]
            _write(axis, row, run.change, "+", colours)
        names = [_run_label(run.iloc[0]) for run in runs]
        axis.set_yticks(range(len(names) + 1), [f"{model_label(base_model)}, frozen", *names])
        axis.axhline(0.5, color="black", linewidth=0.8)
        axis.tick_params(length=0)
        sns.despine(ax=axis, left=True, bottom=True)
    labels = [f"{TASKS.get(task, task)}, {view_label(view)}" for task, view in columns]
    axes[-1, 0].set_xticks(range(len(columns)), labels, rotation=50, ha="right", rotation_mode="anchor")
    return figure


def _run_label(run: pd.Series) -> str:
    part_of_shifts = "" if run.shift_range == "0-1" else f", shifts {run.shift_range}"
    return f"{method_words(run.method)}, λ = {run.lam:g}{part_of_shifts}"


def _write(axis: Axes, row: int, values: Sequence[float], sign: str, colours: Sequence[str]) -> None:
    for column, (value, colour) in enumerate(zip(values, colours, strict=True)):
        if np.isfinite(value):
            axis.text(column, row, f"{round(100 * value):{sign}d}", ha="center", va="center", fontsize=6, color=colour)


def attributes_by_subset(table: pd.DataFrame, names: Mapping[str, str], *, by: str) -> Figure:
    """Advantage over chance in every subset of fine-grained questions, one series for each of ``names``.

    ``table`` is that of ``stats.capabilities.attribute_table``; ``names`` maps values of its column ``by`` (such as the
    measure) to the legend.
    """
    figure, axis = plt.subplots(figsize=(PAGE, 2.4))
    subsets = list(table.subset.unique())
    places = np.arange(len(subsets))
    for k, ((key, label), marker) in enumerate(zip(names.items(), "osD^vPX*<>", strict=False)):
        part = table[table[by] == key].set_index("subset").reindex(subsets)
        spread = (
            part[["mean_rank_low", "mean_rank_high"]].sub(part.mean_rank, axis=0).abs().div(part.chance - 1, axis=0)
        )
        axis.errorbar(
            places + 0.8 * ((k + 0.5) / len(names) - 0.5),
            part.advantage,
            yerr=spread.T.to_numpy()[::-1],
            fmt=marker,
            markersize=3.5,
            linewidth=0.8,
            color="0.6" if key == BLIND else None,
            label=label,
        )
    axis.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axis.set_xticks(places, subsets)
    axis.set(ylabel="advantage over chance", ylim=(None, 1.02))
    figure.legend(loc="outside lower center", ncols=5, frameon=False)
    return figure


def viewpoint_curves(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Cosine of embeddings (above) and zero-shot accuracy of the scene category (below) by camera offset or shift.

    ``table`` is that of ``stats.capabilities.viewpoint_table``; ``names`` gives the legend for each model.
    """
    panels = {
        ("offset_consistency", "panorama"): "panorama, camera offset",
        ("offset_consistency", "perspective"): "perspective view, camera offset",
        ("shift_consistency", "panorama"): "panorama, shifted",
    }
    measures = {"cosine": "cosine with level 0", "scene_category": "scene category, top-1"}
    figure, axes = plt.subplots(2, len(panels), figsize=(PAGE, 3.4), sharex="col", sharey="row")
    means = table.groupby(["model", "task", "view", "level"], sort=False)[list(measures)].mean().reset_index()
    for (task, view), column in zip(panels, axes.T, strict=True):
        for (measure, label), axis in zip(measures.items(), column, strict=True):
            for model, name in names.items():
                part = means[(means.model == model) & (means.task == task) & (means["view"] == view)]
                axis.plot(part.level, part[measure], "o-", markersize=3, linewidth=1, label=name)
            if axis in axes[:, 0]:
                axis.set_ylabel(label)
        column[0].set_title(panels[task, view])
        column[1].set_xlabel("metres" if task == "offset_consistency" else "degrees")
    axes[0, 2].set_xticks([0, 90, 180, 270])
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure
