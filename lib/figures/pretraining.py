"""The training images of the pretrained models, their learning curves, and what they learned."""

from itertools import cycle

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from clip360.figures.layout import LETTER, MOST_PANELS, POINT, add_note, draw_estimates, panels
from clip360.figures.style import COLUMN, IMAGE_COLOURS, MARKERS, PAGE, model_colours, model_label
from clip360.names import PANORAMA, PERSPECTIVE

LINES = ("-", "--", ":", "-.")
LEGEND, LEGEND_ROW, LEGEND_COLUMNS = 7, 0.16, 3  # points, inches, names beside each other


def training_images(counts: pd.DataFrame) -> Figure:
    """Number of perspective views and of panoramas among each model's training images: columns model, views, panoramas."""
    models = [model_label(model) for model in counts.model]
    names = LETTER * LEGEND * POINT * max(map(len, models))
    figure, axis = plt.subplots(figsize=(max(COLUMN, 2.2 + names), 0.28 * len(counts) + 0.7))
    left = 0
    for kind, image in (("views", PERSPECTIVE), ("panoramas", PANORAMA)):
        axis.barh(models, counts[kind] / 1000, left=left, color=IMAGE_COLOURS[image], label=kind, height=0.6)
        left = left + counts[kind] / 1000
    axis.invert_yaxis()
    axis.set_xlabel("training images, thousands")
    axis.locator_params(axis="x", nbins=5)
    axis.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def learning_curves(history: pd.DataFrame, *, window: int = 10) -> Figure:
    """Contrastive loss by step: columns model, step, loss; smoothed by a moving mean over ``window`` steps."""
    colours = model_colours(history.model)
    below = len(colours) > MOST_PANELS  # so many names would cover the curves
    figure, axis = plt.subplots(figsize=(COLUMN, 2.0 + (LEGEND_ROW * len(colours) if below else 0)))
    drawn = []
    for model, part in history.groupby("model", sort=False):
        loss = part.loss.rolling(window, min_periods=1).mean()
        line = LINES[drawn.count(colours[model]) % len(LINES)]  # of models with one colour
        drawn.append(colours[model])
        axis.plot(part.step, loss, line, color=colours[model], label=model_label(model), linewidth=1)
    axis.set(xlabel="step", ylabel="contrastive loss", ylim=(0, None))
    figure.legend(loc="outside lower center") if below else axis.legend()
    return figure


def scores_by_task(evaluation: pd.DataFrame, *, interval: str) -> Figure:
    """Fraction of hits of every model and task with its interval, and chance as a grey line: the table of ``stats.pretraining``.

    ``interval`` says in words what the intervals are.
    """
    tasks, models = list(evaluation.task.unique()), list(evaluation.model.unique())
    colours, row = model_colours(models), 0.12 * len(models) + 0.12
    n_columns, letters = min(len(models), LEGEND_COLUMNS), max(len(model_label(model)) for model in models)
    breadth = n_columns * (LETTER * LEGEND * POINT * letters + 0.45)  # of the legend, inches
    top = 0.28 + LEGEND_ROW * (-(-len(models) // n_columns) - 1)
    figure, ((axis,),) = panels(1, 1, heights=[row * len(tasks)], left=1.85, top=top, bottom=0.55)
    for k, (model, marker) in enumerate(zip(models, cycle(MARKERS), strict=False)):
        part = evaluation[evaluation.model == model]
        places = part.task.map(tasks.index) + 0.7 * ((k + 0.5) / len(models) - 0.5)
        style = {"marker": marker, "label": model_label(model)}
        draw_estimates(axis, part.score, places, (part.score_low, part.score_high), colours[model], **style)
    chance = evaluation.drop_duplicates("task").chance
    axis.vlines(chance, [k - 0.4 for k in range(len(tasks))], [k + 0.4 for k in range(len(tasks))], color="0.5", lw=1)
    axis.annotate(
        "chance", (chance.iloc[0], 0), (4, 0), textcoords="offset points", va="center", color="0.4", fontsize=7
    )
    axis.set_yticks(range(len(tasks)), tasks)
    axis.set(xlim=(0, 1), ylim=(len(tasks) - 0.5, -0.5), xlabel="fraction of hits")
    figure.legend(loc="upper center", ncols=n_columns, bbox_to_anchor=(min(0.6, 1 - breadth / 2 / PAGE), 1))
    add_note(figure, interval)
    return figure
