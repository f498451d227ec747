"""Several runs from other seeds: the mean over replicates, its interval, and what the spread between them consists of."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import t

from clip360.stats.inference import Inference


def this_run_and_replicates(
    this_run: pd.DataFrame, kept: Sequence[pd.DataFrame], keys: Sequence[str], *, inference: Inference
) -> pd.DataFrame:
    """What replicates say of each row, with this run as one point more; without replicates, what this run says.

    ``this_run`` has the columns ``keys``, value, low and high, and each of ``kept`` has keys and value. Columns: those of ``over_replicates``, then value, low and
    high of this run, NaN where only replicates have the row. Without replicates ``mean`` and its interval are this run's, over images.
    """
    keys = list(keys)
    if kept:
        return over_replicates(kept, keys, inference=inference).merge(this_run, on=keys, how="left")
    alone = {"replicates": 0, "mean": this_run.value, "mean_low": this_run.low, "mean_high": this_run.high}
    return this_run.assign(**alone, spread=np.nan)


def over_replicates(tables: Sequence[pd.DataFrame], keys: Sequence[str], *, inference: Inference) -> pd.DataFrame:
    """Mean and interval of ``value`` over replicates, one row for each combination of ``keys``.

    Replicates are drawn independently, and each measures its own images: the values of R replicates spread because worlds and
    trainings differ and because each has finitely many images. Student's interval with R - 1 degrees of freedom,

        mean ± t · spread / sqrt(R),

    covers both (the analysis of a balanced hierarchical design by the means of its groups). Columns: keys, ``replicates`` (R), ``mean``, ``mean_low``,
    ``mean_high``, ``spread`` (standard deviation between replicates), ``minimum``, ``maximum``. NaN in one replicate makes
    the mean NaN. Raises ValueError for fewer than two replicates, and where one of
    them lacks a row that another has.
    """
    if len(tables) < 2:
        raise ValueError(f"{len(tables)} replicates have no spread: expected at least 2")
    groups = pd.concat(tables, ignore_index=True).groupby(list(keys), sort=False).value
    counts = groups.size()
    for case in counts.index[counts != len(tables)]:
        raise ValueError(f"{case}: {counts[case]} of {len(tables)} replicates have this row: run the others again")
    mean, spread = groups.mean(), groups.std(ddof=1)
    mean[groups.count() < counts] = np.nan
    half_width = t.isf(inference.alpha / 2, len(tables) - 1) * spread / np.sqrt(len(tables))
    columns = {"replicates": counts, "mean": mean, "mean_low": mean - half_width, "mean_high": mean + half_width}
    columns |= {"spread": spread, "minimum": groups.min(), "maximum": groups.max()}
    return pd.DataFrame(columns).reset_index()
