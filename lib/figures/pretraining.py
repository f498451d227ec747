"""The training images of the pretrained models, and their learning curves."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from clip360.figures.style import COLUMN, VIEW_COLOURS, model_label


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
