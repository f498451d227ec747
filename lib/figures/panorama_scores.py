"""Scores of single panoramas."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from clip360.data.image_set import ImageSet, read_panorama
from clip360.figures.style import PAGE
from clip360.geometry.panorama import circular_shift


def score_overview(scores: pd.DataFrame) -> Figure:
    """The plain score against the robust one, and the spread over shifts.

    ``scores`` is the table of ``scoring.panorama_scores.score_panoramas``: columns score, robust, spread, in points.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE, 2.6))
    low, high = scores[["score", "robust"]].min().min(), scores[["score", "robust"]].max().max()
    left.plot([low, high], [low, high], color="0.7", linewidth=0.8)
    left.scatter(scores.robust, scores.score, s=9, linewidth=0)
    left.set(xlabel="robust score, points", ylabel="score, points", aspect="equal")
    right.hist(scores.spread, bins=24)
    right.axvline(scores.robust.std(), color="0.3", linestyle=":")
    right.set(xlabel="spread over shifts, points (dotted: robust scores among panoramas)", ylabel="panoramas")
    return figure


def score_strip(image_set: ImageSet, row: pd.Series) -> Figure:
    """A panorama unshifted, and shifted to its worst score, with both scores; ``row`` is one of the table of scores."""
    panorama = read_panorama(image_set.images / row.image)
    shifted = circular_shift(panorama, round(-row.worst_yaw / 360 * panorama.shape[-1]))
    figure, axes = plt.subplots(1, 2, figsize=(PAGE, 2.0))
    titles = (f"unshifted: {row.score:.2f}", f"camera at {row.worst_yaw:.0f}°: {row.worst:.2f}")
    for axis, image, title in zip(axes, (panorama, shifted), titles, strict=True):
        axis.imshow(image.permute(1, 2, 0))
        axis.set(title=title)
        axis.axis("off")
    figure.suptitle(row.caption, wrap=True)
    return figure
