"""Figures of what models can still do."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from clip360.figures.style import COLUMN, PAGE
from clip360.names import BLIND
from clip360.world.attribute_questions import SUBSETS

SHORT = {
    "image_to_text": "image to text",
    "text_to_image": "text to image",
    "stays_first": "stays first",
    "turned": "same, turned",
    "moved": "same, moved",
    "perspective": "photograph",
}
SPAN = 0.3  # a change of this size has full colour


def costs_at_a_glance(changes: pd.DataFrame) -> Figure:
    """What each adaptation changes of each ability, in hundredths: a row for each run, under its frozen model's levels.

    ``changes`` are those of ``stats.abilities.ability_changes``; grey numbers are changes whose interval holds 0.
    """
    columns = changes[["ability", "view"]].drop_duplicates().apply(tuple, axis=1).tolist()
    parts = list(changes.groupby("base", sort=False))
    heights = [1 + part.model.nunique() for _, part in parts]
    figure, axes = plt.subplots(
        len(parts), 1, figsize=(PAGE, 0.2 * sum(heights) + 1.4), height_ratios=heights, squeeze=False, sharex=True
    )
    for axis, (base, part) in zip(axes[:, 0], parts, strict=True):
        rows = part.set_index(["ability", "view"]).groupby("model", sort=False)
        shown = np.stack([np.zeros(len(columns)), *(x.change.reindex(columns) for _, x in rows)])
        axis.imshow(shown, cmap="RdBu", vmin=-SPAN, vmax=SPAN, aspect="auto")
        first = next(iter(rows))[1].reindex(columns)
        _write(axis, 0, first.frozen, "", ["black"] * len(columns))
        for row, (_, own) in enumerate(rows, start=1):
            own = own.reindex(columns)
            sure = (own.change_low > 0) | (own.change_high < 0)
            faint = ["0.55" if not certain else "white" if abs(x) > 0.75 * SPAN else "black" for certain, x in zip(sure, own.change, strict=True)]
            _write(axis, row, own.change, "+", faint)
        names = [_name(x.iloc[0]) for _, x in rows]
        axis.set_yticks(range(len(names) + 1), [f"{base}, frozen", *names])
        axis.axhline(0.5, color="black", linewidth=0.8)
        axis.tick_params(length=0)
        sns.despine(ax=axis, left=True, bottom=True)
    labels = [f"{SHORT.get(ability, ability)}, {SHORT.get(view, view)}" for ability, view in columns]
    axes[-1, 0].set_xticks(range(len(columns)), labels, rotation=50, ha="right", rotation_mode="anchor")
    return figure


def _name(run: pd.Series) -> str:
    some = "" if run.shifts_drawn == "0-1" else f", shifts {run.shifts_drawn}"
    return f"{run.strategy}, λ = {run.weight:g}{some}"


def _write(axis: plt.Axes, row: int, values: Sequence[float], sign: str, colours: Sequence[str]) -> None:
    for column, (value, colour) in enumerate(zip(values, colours, strict=True)):
        if np.isfinite(value):
            axis.text(column, row, f"{round(100 * value):{sign}d}", ha="center", va="center", fontsize=6, color=colour)


def attributes_by_subset(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Advantage over chance in every subset, for the measures (or views) that ``names`` lists with their legend.

    ``table`` is that of ``stats.abilities.attribute_table`` for one model, its key column called ``way``.
    """
    figure, axis = plt.subplots(figsize=(PAGE, 2.4))
    places = np.arange(len(SUBSETS))
    for k, ((way, name), marker) in enumerate(zip(names.items(), "osD^vPX*<>", strict=False)):
        part = table[table.way == way].set_index("subset").reindex(SUBSETS)
        spread = part[["mean_rank_low", "mean_rank_high"]].sub(part.mean_rank, axis=0).abs().div(part.chance - 1, axis=0)
        axis.errorbar(
            places + 0.8 * ((k + 0.5) / len(names) - 0.5),
            part.advantage,
            yerr=spread.T.to_numpy()[::-1],
            fmt=marker,
            markersize=3.5,
            linewidth=0.8,
            color="0.6" if way == BLIND else None,
            label=name,
        )
    axis.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axis.set_xticks(places, list(SUBSETS))
    axis.set(ylabel="advantage over chance", ylim=(None, 1.02))
    figure.legend(loc="outside lower center", ncols=5, frameon=False)
    return figure


def from_elsewhere(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Agreement of embeddings, above, and zero-shot accuracy of the setting, below, by how far the camera is moved or turned.

    ``table`` is that of ``stats.abilities.viewpoint_table``; ``names`` gives the legend for each model.
    """
    panels = {
        ("moved", "panorama"): "panorama, moved",
        ("moved", "perspective"): "photograph, moved",
        ("turned", "panorama"): "panorama, turned",
    }
    measures = {"agreement": "cosine with the first", "setting": "setting, top-1"}
    figure, axes = plt.subplots(2, len(panels), figsize=(PAGE, 3.4), sharex="col", sharey="row")
    means = table.groupby(["model", "ability", "view", "at"], sort=False)[list(measures)].mean().reset_index()
    for (ability, view), column in zip(panels, axes.T, strict=True):
        for (measure, label), axis in zip(measures.items(), column, strict=True):
            for model, name in names.items():
                part = means[(means.model == model) & (means.ability == ability) & (means["view"] == view)]
                axis.plot(part["at"], part[measure], "o-", markersize=3, linewidth=1, label=name)
            if axis in axes[:, 0]:
                axis.set_ylabel(label)
        column[0].set_title(panels[ability, view])
        column[1].set_xlabel("metres" if ability == "moved" else "degrees")
    axes[0, 2].set_xticks([0, 90, 180, 270])
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure
