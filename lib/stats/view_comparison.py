"""Ways to show a panorama to CLIP: how steady its score is, and how well it tells the right text from others."""

import numpy as np
import pandas as pd

from clip360.stats.signed_rank import with_interval
from clip360.stats.visual_probe import KEYS


def ways_to_show(scores: pd.DataFrame, passes: dict[str, float], *, seed: int, draws: int) -> pd.DataFrame:
    """One row for each model, image set, view and number of shifts averaged over, of ``viewing.view_scores``.

    ``averaged``  shifts in equal steps whose scores (for ``sd``) and embeddings (for ``recall``) are averaged; 1 is none
    ``passes``    through the image tower, in square inputs: those of the view (``passes``) times ``averaged``
    ``sd``        of the averaged score over the direction that it starts from, root mean square over images, in points
    ``recall``    share of pictures whose own text is ranked first; without averaging the mean over all shifts
    ``noise``     ``sd`` over the standard deviation of the averaged score between images: what a turn of the camera does, in units
                  of what tells one panorama's score from another's
    All three with their 95 % bootstrap interval over images.
    """
    rows = []
    for keys, part in scores.groupby(KEYS, sort=False):
        table = _pivot(part, "shift")
        ranks, averaged_ranks = _pivot(part, "rank"), _pivot(part, "mean_rank")
        for count in (1, *map(int, averaged_ranks.columns)):
            mean = average(table.to_numpy(), count)
            first = (ranks if count == 1 else averaged_ranks[[count]]) == 1
            numbers = np.stack([mean.var(1), first.mean(axis=1), mean.mean(1)])
            row = dict(zip(KEYS, keys, strict=True))
            row |= {"averaged": count, "passes": passes[keys[2]] * count, "n": len(table)}
            for name, statistic in STATISTICS.items():
                row |= with_interval(name, numbers, statistic, seed=seed, draws=draws)
            rows.append(row)
    return pd.DataFrame(rows)


STATISTICS = {
    "sd": lambda x: np.sqrt(x[0].mean(-1)),
    "recall": lambda x: x[1].mean(-1),
    "noise": lambda x: np.sqrt(x[0].mean(-1)) / x[2].std(-1),
}


def _pivot(part: pd.DataFrame, condition: str) -> pd.DataFrame:
    return part[part.condition == condition].pivot(index="image", columns="value", values="score")


def average(scores: np.ndarray, count: int) -> np.ndarray:
    """Scores [N, S] at S shifts averaged over ``count`` equal steps, for each start: [N, S / count].

    >>> average(np.array([[1.0, 2.0, 3.0, 6.0]]), 2)
    array([[2., 4.]])
    """
    return scores.reshape(len(scores), count, -1).mean(1)


def best_ways(table: pd.DataFrame, budgets: list[int]) -> pd.DataFrame:
    """For each budget of passes the way with the least noise, mean over models and image sets, that costs no more.

    Left out is a way that somewhere tells texts apart worse than the released one, the centre crop alone: whose recall, for some
    model and image set, stays below that with all of its interval. ``noise`` and ``recall`` are means, ``noise_most`` and
    ``recall_least`` the extremes.
    """
    groups = ["model", "image_set"]
    released = table[(table["view"] == "center_crop") & (table.averaged == 1)].set_index(groups).recall
    worse = table.recall_high < table.join(released.rename("released"), on=groups).released
    ways = table.assign(worse=worse).groupby(["view", "averaged", "passes"], sort=False)
    means = ways.agg(
        noise=("noise", "mean"),
        noise_most=("noise", "max"),
        recall=("recall", "mean"),
        recall_least=("recall", "min"),
        worse=("worse", "any"),
    ).reset_index()
    good = means[~means.worse].drop(columns="worse")
    rows = [good[good.passes <= budget].nsmallest(1, "noise").assign(budget=budget) for budget in budgets]
    chosen = pd.concat(rows, ignore_index=True)
    return chosen[["budget", *chosen.columns.drop("budget")]]
