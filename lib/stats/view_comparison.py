"""Views of a panorama compared: how stable its score is, and how well the model finds its text."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from clip360.stats.inference import Inference, with_interval
from clip360.stats.measurements import KEYS, by_image, select

STATISTICS = {  # of the rows built in ``compare_views``
    "sd": lambda x: np.sqrt(x[0].mean(-1)),
    "recall": lambda x: x[1].mean(-1),
    "relative_sd": lambda x: np.sqrt(x[0].mean(-1)) / x[2].std(-1),
}


def compare_views(measurements: pd.DataFrame, passes: Mapping[str, float], *, inference: Inference) -> pd.DataFrame:
    """One row for each model, image set, view and number of averaged shifts, of the measurements of the view modes.

    ``n_shifts_averaged``  shifts in equal steps whose scores (for ``sd``) and embeddings (for ``recall``) are averaged
    ``passes``    cost in square inputs of the image tower: that of the view (``passes`` by view) times the shifts averaged
    ``sd``        root mean square over images of the standard deviation of the averaged score over the direction from
                  which it starts, in points
    ``recall``    fraction of images whose own text is ranked first; without averaging the mean over all shifts
    ``relative_sd``  ``sd`` over the standard deviation of the averaged score between images: the effect of a rotation of
                  the camera in units of the differences between panoramas

    The last three have bootstrap intervals over images.
    """
    rows = []
    for keys, part in measurements.groupby(KEYS, sort=False):
        scores = by_image(select(part, "clip_score", "shift"))
        ranks = by_image(select(part, "image_to_text_rank", "shift"))
        averaged_ranks = by_image(select(part, "image_to_text_rank", "averaged"))
        for count in (1, *map(int, averaged_ranks.columns)):
            averaged = average(scores.to_numpy(), count)
            hits = (ranks if count == 1 else averaged_ranks[[count]]) == 1
            numbers = np.stack([averaged.var(1), hits.mean(axis=1), averaged.mean(1)])
            row = dict(zip(KEYS, keys, strict=True))
            row |= {"n_shifts_averaged": count, "passes": passes[keys[2]] * count, "n": len(scores)}
            for name, statistic in STATISTICS.items():
                row |= with_interval(name, numbers, statistic, inference=inference)
            rows.append(row)
    return pd.DataFrame(rows)


def average(scores: np.ndarray, count: int) -> np.ndarray:
    """Scores [N, S] at S shifts averaged over ``count`` equal steps, for each start: [N, S / count].

    >>> average(np.array([[1.0, 2.0, 3.0, 6.0]]), 2)
    array([[2., 4.]])
    """
    return scores.reshape(len(scores), count, -1).mean(1)


def recommend_views(table: pd.DataFrame, budgets: Sequence[float]) -> pd.DataFrame:
    """For each budget of passes the row of ``compare_views`` with the least relative_sd that costs no more.

    Means over models and image sets decide. A view is left out if for some model and image set the whole interval of its
    recall lies below the recall of the released view, the centre crop without averaging. ``relative_sd`` and ``recall``
    are means, ``relative_sd_max`` and ``recall_min`` the extremes.
    """
    groups = ["model", "image_set"]
    crop = table[(table["view"] == "center_crop") & (table.n_shifts_averaged == 1)].set_index(groups).recall
    worse = table.recall_high < table.join(crop.rename("crop_recall"), on=groups).crop_recall
    grouped = table.assign(worse=worse).groupby(["view", "n_shifts_averaged", "passes"], sort=False)
    means = grouped.agg(
        relative_sd=("relative_sd", "mean"),
        relative_sd_max=("relative_sd", "max"),
        recall=("recall", "mean"),
        recall_min=("recall", "min"),
        worse=("worse", "any"),
    ).reset_index()
    admissible = means[~means.worse].drop(columns="worse")
    rows = [
        admissible[admissible.passes <= budget].nsmallest(1, "relative_sd").assign(budget=budget) for budget in budgets
    ]
    chosen = pd.concat(rows, ignore_index=True)
    return chosen[["budget", *chosen.columns.drop("budget")]]
