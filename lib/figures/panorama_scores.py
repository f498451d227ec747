"""Scores of single panoramas."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from clip360.figures.style import PAGE
from clip360.data.image_set import ImageSet, read_panorama
from clip360.geometry.panorama import circular_shift


def score_overview(scores: pd.DataFrame) -> Figure:
    """The plain score against the robust one, and the spread over shifts; a table as by ``score.score_images``."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE, 2.6))
    low, high = scores[["score", "robust"]].min().min(), scores[["score", "robust"]].max().max()
    left.plot([low, high], [low, high], color="0.7", linewidth=0.8)
    left.scatter(scores.robust, scores.score, s=9, linewidth=0)
    left.set(xlabel="robust score, points", ylabel="score, points", aspect="equal")
    right.hist(scores.spread, bins=24)
    right.axvline(scores.robust.std(), color="0.3", linestyle=":")
    right.set(xlabel="spread over shifts, points (dotted: robust scores among panoramas)", ylabel="panoramas")
    return figure


def score_strip(pictures: ImageSet, row: pd.Series) -> Figure:
    """A panorama as it is, and turned to where its score is worst, with both scores."""
    panorama = read_panorama(pictures.images / row.image)
    turned = circular_shift(panorama, round(-row.worst_yaw / 360 * panorama.shape[-1]))
    figure, axes = plt.subplots(1, 2, figsize=(PAGE, 2.0))
    titles = (f"as it is: {row.score:.2f}", f"turned by {row.worst_yaw:.0f}°: {row.worst:.2f}")
    for axis, picture, title in zip(axes, (panorama, turned), titles, strict=True):
        axis.imshow(picture.permute(1, 2, 0))
        axis.set(title=title)
        axis.axis("off")
    figure.suptitle(row.caption, wrap=True)
    return figure
