"""The training images of the pretrained models, and their learning curves."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from clip360.figures.style import COLUMN, PAGE, VIEW_COLOURS, model_label


def training_images(counts: pd.DataFrame) -> Figure:
    """Number of perspective views and of panoramas among each model's training images: columns model, views, panoramas."""
    figure, axis = plt.subplots(figsize=(COLUMN, 0.35 * len(counts) + 0.6))
    models = [model_label(model) for model in counts.model]
    left = 0
    for kind, colour in (("views", VIEW_COLOURS["perspective"]), ("panoramas", VIEW_COLOURS["panorama"])):
        axis.barh(models, counts[kind], left=left, color=colour, label=kind, height=0.6)
        left = left + counts[kind]
    axis.invert_yaxis()
    axis.set_xlabel("training images")
    axis.locator_params(axis="x", nbins=5)
    axis.legend(ncols=2, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def learning_curves(history: pd.DataFrame, *, window: int = 10) -> Figure:
    """Contrastive loss by step: columns model, step, loss; smoothed by a moving mean over ``window`` steps."""
    figure, axis = plt.subplots(figsize=(COLUMN, 2.0))
    for model, part in history.groupby("model", sort=False):
        loss = part.loss.rolling(window, min_periods=1).mean()
        axis.plot(part.step, loss, label=model_label(model), linewidth=1)
    axis.set(xlabel="step", ylabel="contrastive loss", ylim=(0, None))
    axis.legend(frameon=False)
    return figure


def scores_by_task(evaluation: pd.DataFrame) -> Figure:
    """Score of every model and task with its interval, and chance as a grey mark: the table of ``stats.pretraining``."""
    tasks, models = list(evaluation.task.unique()), list(evaluation.model.unique())
    colours = sns.color_palette("viridis", len(models))
    figure, axis = plt.subplots(figsize=(PAGE, 0.36 * len(tasks) + 0.9))
    for k, model in enumerate(models):
        part = evaluation[evaluation.model == model]
        rows = part.task.map(tasks.index) + 0.6 * ((k + 0.5) / len(models) - 0.5)
        errors = [part.score - part.score_low, part.score_high - part.score]
        style = {"fmt": "o", "color": colours[k], "markersize": 3, "linewidth": 0.9}
        axis.errorbar(part.score, rows, xerr=errors, label=model_label(model), **style)
    chance = evaluation.drop_duplicates("task")
    axis.plot(chance.chance, range(len(chance)), "|", color="0.5", markersize=10, label="chance")
    axis.set_yticks(range(len(tasks)), tasks)
    axis.set(xlim=(0, 1), ylim=(len(tasks) - 0.5, -0.5), xlabel="fraction of hits")
    figure.legend(loc="outside upper center", ncols=min(4, len(models) + 1), frameon=False)
    return figure
