"""What training changed: each part of the loss in the first and in the last epoch."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from clip360.stats.inference import Inference, mean, with_interval

LOSSES = ("loss", "consistency", "anchor")


def first_and_last_epoch(
    logs: Mapping[str, pd.DataFrame], epochs: Mapping[str, int], *, inference: Inference
) -> pd.DataFrame:
    """Means over the batches of the first and the last epoch, in points: one row for each run and each of ``LOSSES``.

    ``logs`` are by run, one row for each step; ``epochs`` is their number. Columns: run, measure, ``first`` and ``last``, and
    ``ratio``, last over first; all with intervals over batches.
    """
    rows = []
    for run, log in logs.items():
        steps = len(log) // epochs[run]
        for measure in LOSSES:
            values = log[measure].to_numpy()
            pair = np.stack([values[:steps], values[-steps:]])
            row = {"run": run, "measure": measure}
            for name, x, statistic in (
                ("first", pair[0], mean),
                ("last", pair[1], mean),
                ("ratio", pair, last_over_first),
            ):
                row |= with_interval(name, x, statistic, inference=inference)
            rows.append(row)
    return pd.DataFrame(rows)


def last_over_first(pair: np.ndarray) -> np.ndarray:
    """Mean of pair[1] over that of pair[0], batches last."""
    return pair[1].mean(-1) / pair[0].mean(-1)
