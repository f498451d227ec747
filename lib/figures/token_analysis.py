"""What a shift of the input does inside an image tower."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from clip360.figures.labels import Label, label_ends
from clip360.figures.layout import LETTER, POINT, add_note, add_set_legend, draw_estimates, model_panels, panels
from clip360.figures.style import (
    LINE,
    MARKERS,
    PAGE,
    model_colours,
    model_label,
    set_colours,
    view_label,
)

EMBEDDINGS = {"own": "-", "circular": "--"}  # positional embedding: line
LABEL, MOST_TICKS = 7, 13  # points, letters of a line's name; numbers of blocks below a panel


def ablation_dots(table: pd.DataFrame, *, interval: str) -> Figure:
    """Variance left after each ablation, over that of the network as it is, with intervals; a panel for each view and model.

    ``table`` is that of ``stats.token_analysis.positional_ablations``, ``interval`` says in words what its intervals are. Filled marks: the interval lies below 1.
    """
    names = [name for name in table.ablation.unique() if name != "baseline"]
    cells = [(view, model) for view in table["view"].unique() for model in table.model.unique()]
    sets = list(table.image_set.unique())
    colours, shape = set_colours(sets), {"left": 1.25, "top": 0.62, "bottom": 0.6, "gaps": (0.15, 0)}
    titles, heights = [f"{view_label(view)} input,\n{model_label(model)}" for view, model in cells], [0.34 * len(names)]
    figure, axes, _ = model_panels(titles, heights, size=7, sharex="all", **shape)
    for axis, (view, model) in zip(axes[0], cells, strict=True):
        axis.axvline(1, color=LINE, linewidth=0.8, zorder=0)
        of_panel = (table["view"] == view) & (table.model == model) & table.ablation.isin(names)
        for row in table[of_panel].itertuples():
            k = sets.index(row.image_set)
            place = names.index(row.ablation) + 0.3 * (k - (len(sets) - 1) / 2)
            bounds = row.variance_left_low, row.variance_left_high
            style = {"decided": bounds[1] < 1, "marker": MARKERS[k], "clip_on": False}
            draw_estimates(axis, row.variance_left, place, bounds, colours[row.image_set], **style)
        axis.locator_params(axis="x", nbins=4)
    axes[0, 0].set_xlim(left=0)
    axes[0, 0].set_yticks(range(len(names)), [name.replace(", ", ",\n") for name in names])
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    figure.text(
        0.59, 0.24 / figure.get_figheight(), "variance left, as a fraction of the intact network's", ha="center"
    )
    add_set_legend(figure, sets, x=0.59)
    add_note(figure, "filled: interval below 1", interval)
    return figure


def layer_lines(table: pd.DataFrame, *, interval: str) -> Figure:
    """Change of the patch tokens, moved back to their places, from layer to layer: a panel for each view.

    ``table`` is that of ``stats.token_analysis.token_changes_by_layer``, ``interval`` says in words what its intervals are. One colour for each model; full lines are the
    learned positional embedding, dashed lines the circular one. Dots lead from the last block of a shorter network to its name.
    """
    views, models, last = table["view"].unique(), table.model.unique(), table.layer.max()
    colours, words = model_colours(models), {name: model_label(name).removeprefix("CLIP, ") for name in models}
    height = max(1.6, (LABEL + 1) * POINT * len(models) * len(EMBEDDINGS))
    letters = max(map(len, words.values())) + len(", circular")
    right = max(1.55, 0.15 + LETTER * LABEL * POINT * letters)
    layers = sorted(table.layer.unique())
    shape = {"left": 0.55, "right": right, "top": 0.25, "bottom": 0.6, "gaps": (0.15, 0)}
    figure, axes = panels(1, len(views), heights=[height], sharey=True, **shape)
    for axis, view in zip(axes[0], views, strict=True):
        ends = []
        for model, kind in ((model, kind) for model in models for kind in EMBEDDINGS):
            part = table[(table["view"] == view) & (table.model == model) & (table.positional_embedding == kind)]
            part = part.groupby("layer")[["change", "change_low", "change_high"]].mean()
            colour, end = colours[model], part.change.iloc[-1]
            axis.plot(part.index, part.change, EMBEDDINGS[kind], color=colour, linewidth=1.2)
            axis.fill_between(part.index, part.change_low, part.change_high, color=colour, alpha=0.15, linewidth=0)
            if part.index[-1] < last and axis is axes[0, -1]:
                axis.hlines(end, part.index[-1], last, color=colour, linestyle=":", linewidth=0.8)
            ends.append(Label(f"{words[model]}, {kind}", last, end, colour))
        ticks = layers[:: -(-len(layers) // MOST_TICKS)]
        axis.set(title=f"{view_label(view)} input", xlabel="block (0: patches)", xticks=ticks)
        axis.set(xlim=(0, last), ylim=(0, None))
    label_ends(axes[0, -1], ends, height=height, size=LABEL)
    axes[0, 0].set_ylabel(r"change of tokens, $1 - \cos$")
    add_note(figure, "full: own positional embedding, dashed: circular", f"bands: {interval}")
    return figure


def token_maps(maps: Mapping[str, Tensor], panorama: Tensor) -> Figure:
    """Which patches' tokens move most: maps [rows, columns] by title beside the panorama uint8 [3, H, 2H] and its patches.

    A map is drawn relative to its own mean, which its title gives, so that all share one scale.
    """
    breadth = (PAGE - 0.95) / 2
    shape = {"left": 0.05, "right": 0.8, "top": 0.25, "bottom": 0.05, "gaps": (0.1, 0.3)}
    n_rows = -(-(len(maps) + 1) // 2)
    figure, axes = panels(n_rows, 2, heights=[breadth / 2] * n_rows, **shape)
    first, *others = axes.flat
    relative = {title: (part / part.mean()).numpy() for title, part in maps.items()}
    rows, columns = next(iter(relative.values())).shape
    first.imshow(panorama.permute(1, 2, 0).numpy(), extent=(0, columns, rows, 0), aspect="auto")
    first.hlines(range(1, rows), 0, columns, color="white", linewidth=0.5)
    first.vlines(range(1, columns), 0, rows, color="white", linewidth=0.5)
    first.set_title("the panorama and its patches")
    top = max(part.max() for part in relative.values())
    for axis, (title, part) in zip(others, relative.items(), strict=False):
        shown = axis.imshow(part, extent=(0, columns, rows, 0), cmap="Greys", vmin=0, vmax=top, aspect="auto")
        axis.set_title(rf"{title} (mean $1-\cos$: {maps[title].mean().item():.2g})")
    for axis in axes.flat:
        axis.axis("off")
    bar = figure.add_axes((1 - 0.7 / PAGE, 0.25, 0.1 / PAGE, 0.5))
    figure.colorbar(shown, cax=bar, label="change of a token over the mean change")
    return figure
