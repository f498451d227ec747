"""Which part of an image tower a shift disturbs: the variance over rolls of the input, with one cause removed at a time."""

import numpy as np
import pandas as pd

from clip360.stats.signed_rank import with_interval
from clip360.stats.visual_probe import KEYS

# What is left of the variance: (positions, whole patches only).
ABLATIONS = {
    "as it is": ("own", False),
    "shifts by whole patches": ("own", True),
    "circular positions": ("circular", False),
    "positions by row": ("rows", False),
    "positions by row, whole patches": ("rows", True),
}


def ablations(rolled: pd.DataFrame, *, seed: int, draws: int) -> pd.DataFrame:
    """One row for each model, image set, view and ablation, of scores under rolls of the input.

    ``rolled`` has one row for each picture, positions and roll: image, positions, share (of the width), whole (a whole number
    of patches), score and rank (of its own text among those of the set).
    ``sd``       of the score over rolls, root mean square over images, in points
    ``left``     its variance over that of the network as it is
    ``between``  standard deviation between images of their mean score, over that of the network as it is: an ablation that
                 made all pictures alike would lower it
    ``recall``   share of the unrolled pictures whose own text is the first
    """
    rows = []
    for keys, part in rolled.groupby(KEYS, sort=False):
        tables = {name: _table(part, *kind) for name, kind in ABLATIONS.items()}
        base = tables["as it is"]
        for name, table in tables.items():
            ranks = part[(part.positions == ABLATIONS[name][0]) & (part.share == 0)]["rank"].to_numpy()
            numbers = np.stack([table.var(1), base.var(1), table.mean(1), base.mean(1), ranks == 1])
            row = dict(zip(KEYS, keys, strict=True)) | {"ablation": name, "n": len(table)}
            for column, statistic in STATISTICS.items():
                row |= with_interval(column, numbers, statistic, seed=seed, draws=draws)
            rows.append(row)
    return pd.DataFrame(rows)


STATISTICS = {
    "sd": lambda x: np.sqrt(x[0].mean(-1)),
    "left": lambda x: x[0].sum(-1) / x[1].sum(-1),
    "between": lambda x: x[2].std(-1) / x[3].std(-1),
    "recall": lambda x: x[4].mean(-1),
}


def _table(part: pd.DataFrame, positions: str, whole: bool) -> np.ndarray:
    chosen = part[(part.positions == positions) & (part.whole | (not whole))]
    return chosen.pivot(index="image", columns="share", values="score").to_numpy()


def seam_directions(rolled: pd.DataFrame, things: pd.DataFrame, *, width: int, seed: int, draws: int) -> pd.DataFrame:
    """Does it matter what the seam cuts? Scores with the seam through a thing minus those with it in an empty direction.

    One row for each model, image set and view that shows the whole turn: ``drop``, the mean difference in points, and
    ``left``, the variance over rolls with the seam in an empty direction over that of all rolls (both unbiased), with their
    intervals over the pictures that have at least two rolls of each kind. ``things`` as of ``thing_columns``.
    """
    rows = []
    whole = rolled[(rolled.positions == "own") & (rolled["view"] != "center_crop")]
    for keys, part in whole.groupby(KEYS, sort=False):
        where = dict(list(things[things.image_set == keys[1]].groupby("image")))
        table = part.pivot(index="image", columns="share", values="score")
        numbers = []
        for image, scores in table.iterrows():
            # The columns that come to the left edge.
            edges = np.round((1 - scores.index.to_numpy()) * width).astype(int)
            spans = [set(columns) for _, columns in where[image].groupby("thing").column]
            cuts = np.array([any({edge % width, (edge - 1) % width} <= span for span in spans) for edge in edges])
            if min(cuts.sum(), (~cuts).sum()) >= 2:
                s = scores.to_numpy()
                numbers.append([s[cuts].mean() - s[~cuts].mean(), s[~cuts].var(ddof=1), s.var(ddof=1)])
        numbers = np.array(numbers).T
        row = dict(zip(KEYS, keys, strict=True)) | {"n": numbers.shape[1]}
        row |= with_interval("drop", numbers, lambda x: x[0].mean(-1), seed=seed, draws=draws)
        row |= with_interval("left", numbers, lambda x: x[1].sum(-1) / x[2].sum(-1), seed=seed, draws=draws)
        rows.append(row)
    return pd.DataFrame(rows)


def layer_changes(changes: pd.DataFrame, *, seed: int, draws: int) -> pd.DataFrame:
    """Mean over images of the change of the patch tokens, with its interval, for every view, positions and layer."""
    keys = [*KEYS, "positions", "layer"]
    rows = []
    for labels, part in changes.groupby(keys, sort=False):
        change = part.change.to_numpy()
        interval = with_interval("change", change, lambda x: x.mean(-1), seed=seed, draws=draws)
        rows.append(dict(zip(keys, labels, strict=True)) | interval)
    return pd.DataFrame(rows)
