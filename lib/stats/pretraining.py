"""What the pretrained models learned: accuracy and recall on held-out images, against chance."""

import pandas as pd

from clip360.stats.inference import Inference, mean, with_interval


def pretraining_table(hits: pd.DataFrame, *, inference: Inference) -> pd.DataFrame:
    """One row for each model and task of the pretraining evaluation (columns model, task, image, hit, chance).

    ``score`` is the fraction of hits with its bootstrap interval over images, ``chance`` that of guessing, and ``times_chance`` the score
    as a multiple of it.
    """
    rows = []
    for (model, task), part in hits.groupby(["model", "task"], sort=False):
        values, chance = part.hit.to_numpy(dtype=float), part.chance.iloc[0]
        row = {"model": model, "task": task, "n": len(part), "chance": chance}
        row |= with_interval("score", values, mean, inference=inference)
        rows.append(row | with_interval("times_chance", values / chance, mean, inference=inference))
    return pd.DataFrame(rows)
