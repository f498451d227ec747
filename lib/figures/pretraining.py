"""What models are trained on, and how they learn."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from clip360.figures.style import COLUMN, VIEW_COLOURS


def training_shares(counts: pd.DataFrame) -> Figure:
    """How many of each model's training pictures are views and panoramas: columns model, views, panoramas."""
    figure, axis = plt.subplots(figsize=(COLUMN, 0.35 * len(counts) + 0.6))
    left = 0
    for kind, colour in (("views", VIEW_COLOURS["perspective"]), ("panoramas", VIEW_COLOURS["panorama"])):
        axis.barh(counts.model, counts[kind], left=left, color=colour, label=kind, height=0.6)
        left = left + counts[kind]
    axis.invert_yaxis()
    axis.set_xlabel("training pictures")
    axis.locator_params(axis="x", nbins=5)
    axis.legend(ncols=2, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def learning_curves(history: pd.DataFrame, *, window: int = 10) -> Figure:
    """Contrastive loss by step, smoothed: columns model, step, loss."""
    figure, axis = plt.subplots(figsize=(COLUMN, 2.0))
    for model, part in history.groupby("model", sort=False):
        axis.plot(part.step, part.loss.rolling(window, min_periods=1).mean(), label=model, linewidth=1)
    axis.set(xlabel="step", ylabel="contrastive loss", ylim=(0, None))
    axis.legend(frameon=False)
    return figure
