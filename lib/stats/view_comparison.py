"""Views of a panorama compared: how stable its score is, and how well the model finds its text."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from clip360.stats.inference import Inference, with_interval
from clip360.stats.measurements import KEYS, by_image, select

REFERENCE = "center_crop"  # the released view
STATISTICS = {  # of the rows built in ``compare_views``
    "sd": lambda x: np.sqrt(x[0].mean(-1)),
    "recall": lambda x: x[1].mean(-1),
    "relative_sd": lambda x: np.sqrt(x[0].mean(-1)) / x[2].std(-1),
}
COMPARISONS = {  # of these rows with those of the reference below them
    "sd_to_crop": lambda x: STATISTICS["sd"](x[:3]) / STATISTICS["sd"](x[3:]),
    "relative_sd_to_crop": lambda x: STATISTICS["relative_sd"](x[:3]) / STATISTICS["relative_sd"](x[3:]),
    "recall_gain": lambda x: STATISTICS["recall"](x[:3]) - STATISTICS["recall"](x[3:]),
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

    ``sd_to_crop``, ``relative_sd_to_crop``  ``sd`` and ``relative_sd`` over those of the centre crop without averaging, of the same images
    ``recall_gain``  ``recall`` minus that of the centre crop without averaging

    All but the cost have bootstrap intervals over images. Raises ValueError where the view center_crop is not measured.
    """
    rows = []
    for (model, image_set), group in measurements.groupby(["model", "image_set"], sort=False):
        by_view = {view: _averages(part) for view, part in group.groupby("view", sort=False)}
        if REFERENCE not in by_view:
            raise ValueError(f"views are {', '.join(by_view)}: expected {REFERENCE} among them, to compare with")
        for view, by_count in by_view.items():
            for count, numbers in by_count.items():
                row = dict(zip(KEYS, (model, image_set, view), strict=True))
                row |= {"n_shifts_averaged": count, "passes": passes[view] * count, "n": numbers.shape[1]}
                both = np.concatenate([numbers, by_view[REFERENCE][1]])
                for name, statistic in (STATISTICS | COMPARISONS).items():
                    row |= with_interval(name, both, statistic, inference=inference)
                rows.append(row)
    return pd.DataFrame(rows)


def _averages(part: pd.DataFrame) -> dict[int, np.ndarray]:
    """By number of averaged shifts: variance over starts, hit rate over starts, and mean of every image's averaged score, [3, N]."""
    scores = by_image(select(part, "clip_score", "shift"))
    ranks = by_image(select(part, "image_to_text_rank", "shift"))
    averaged_ranks = by_image(select(part, "image_to_text_rank", "averaged"))
    numbers = {}
    for count in (1, *map(int, averaged_ranks.columns)):
        averaged = average(scores.to_numpy(), count)
        hits = (ranks if count == 1 else averaged_ranks[[count]]) == 1
        numbers[count] = np.stack([averaged.var(1), hits.mean(axis=1), averaged.mean(1)])
    return numbers


def average(scores: np.ndarray, count: int) -> np.ndarray:
    """Scores [N, S] at S shifts averaged over ``count`` equal steps, for each start: [N, S / count].

    >>> average(np.array([[1.0, 2.0, 3.0, 6.0]]), 2)
    array([[2., 4.]])
    """
    return scores.reshape(len(scores), count, -1).mean(1)
