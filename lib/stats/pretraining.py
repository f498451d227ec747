"""What the pretrained models learned: accuracy and recall on held-out images, against chance and against each other."""

from collections.abc import Sequence

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


def task_differences(
    hits: pd.DataFrame, pairs: Sequence[tuple[str, str, str]], *, inference: Inference
) -> pd.DataFrame:
    """``difference`` of the score between two models on the same images, with its interval: one row for each pair and task.

    ``pairs`` are those of ``panorama_fraction.comparisons``.
    """
    columns = ["comparison", "model", "reference", "task"]
    rows = []
    for task, part in hits.groupby("task", sort=False):
        by_model = part.pivot(index="image", columns="model", values="hit")
        for comparison, model, reference in pairs:
            row = dict(zip(columns, (comparison, model, reference, task), strict=True))
            values = (by_model[model] - by_model[reference]).to_numpy(dtype=float)
            rows.append(row | with_interval("difference", values, mean, inference=inference))
    return pd.DataFrame(rows, columns=[*columns, "difference", "difference_low", "difference_high"])
