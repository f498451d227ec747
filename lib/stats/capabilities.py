"""What models can do, from the rows of lib/abilities.py; and what an adaptation changes of it, with intervals."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from clip360.evaluation.attributes import chance_rank
from clip360.evaluation.classification import calibration_error, per_class
from clip360.evaluation.retrieval import retrieval
from clip360.names import PROBE
from clip360.stats.signed_rank import with_interval
from clip360.stats.tradeoff import road
from clip360.world.attribute_questions import SUBSETS
from clip360.world.scene_categories import SETTINGS
from clip360.world.vocabulary import COLOURS, SHAPES

CLASSES = {"setting": len(SETTINGS), "colour": len(COLOURS), "shape": len(SHAPES)}
DIRECTIONS = ("image_to_text", "text_to_image")
# Abilities of the table of changes, in its order; of viewpoints the agreement of embeddings.
ORDER = ("setting", "presence", "shape", "colour", *DIRECTIONS, "stays_first", "attributes", "turned", "moved")


def naming_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Zero-shot classification, one row for each model, view and task: top-1 by an ensemble of prompts and by the first of them
    alone, top-5 by the ensemble, expected calibration error, level of chance."""
    rows = []
    for (model, view, task), part in _groups(scores[scores.ability.isin(CLASSES)], "ability"):
        answered = _answers(part)
        rows.append(
            {
                "model": model,
                "view": view,
                "task": task,
                "n": len(answered),
                "top1": (answered["rank"] <= 1).mean(),
                "top1_single": (answered.rank_single <= 1).mean(),
                "top5": (answered["rank"] <= 5).mean(),
                "calibration": calibration_error(
                    torch.tensor(answered.confidence.to_numpy()), torch.tensor((answered["rank"] <= 1).to_numpy())
                ),
                "chance": 1 / CLASSES[task],
            }
        )
    return pd.DataFrame(rows)


def class_table(scores: pd.DataFrame) -> pd.DataFrame:
    """The same by class: columns model, view, task, class, n, top1, top5, confidence."""
    parts = []
    for (model, view, task), part in _groups(scores[scores.ability.isin(CLASSES)], "ability"):
        table = per_class(_answers(part).rename_axis(["image_set", "image", "class"]).reset_index())
        parts.append(table.assign(model=model, view=view, task=task))
    table = pd.concat(parts, ignore_index=True)
    return table[["model", "view", "task", *table.columns.drop(["model", "view", "task"])]]


def finding_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Retrieval, one row for each model, view and direction: R@1, R@5, R@10 and the median rank, within each image set."""
    ranks = scores[scores.ability.isin(DIRECTIONS)]
    rows = [
        {"model": model, "view": view, "direction": direction, "n": len(part)}
        | retrieval(torch.tensor(part.value.to_numpy()))
        for (model, view, direction), part in _groups(ranks, "ability")
    ]
    return pd.DataFrame(rows)


def attribute_table(scores: pd.DataFrame, *, seed: int, draws: int) -> pd.DataFrame:
    """Fine-grained attributes, one row for each model, view, measure and subset: mean rank of the true caption with its
    interval, that of chance, and the ``advantage``, 0 at chance and 1 where the true caption is always first."""
    rows = []
    for keys, part in scores[scores.ability == "attributes"].groupby(["model", "view", "measure", "label"], sort=False):
        chance = chance_rank(SUBSETS[keys[-1]])
        row = dict(zip(("model", "view", "measure", "subset"), keys, strict=True)) | {"n": len(part)}
        row |= with_interval("mean_rank", part.value.to_numpy(), _mean, seed=seed, draws=draws)
        rows.append(row | {"chance": chance, "advantage": (chance - row["mean_rank"]) / (chance - 1)})
    return pd.DataFrame(rows)


def matching_table(scores: pd.DataFrame) -> pd.DataFrame:
    """One row for each model and matcher: the mean rank of every subset, their sum, and R@1 of retrieval in both directions."""
    keys = ["model", "measure"]
    asked = scores[scores.ability == "attributes"]
    table = asked.pivot_table(index=keys, columns="label", values="value", sort=False)[list(SUBSETS)]
    table["sum"] = table.sum(axis=1)
    found = scores[scores.ability.isin(DIRECTIONS)].assign(hit=lambda x: x.value <= 1)
    return table.join(found.pivot_table(index=keys, columns="ability", values="hit")).reset_index()


def probe_table(scores: pd.DataFrame, named: pd.DataFrame) -> pd.DataFrame:
    """What linear probes find of each attribute in the crops, beside what zero-shot classification finds (``naming_table``)."""
    probed = scores[scores.measure == PROBE].groupby(["model", "ability"], sort=False)
    table = probed.agg(n=("value", "size"), probe=("value", "mean"), chance=("label", lambda x: 1 / x.nunique()))
    zero_shot = named[named["view"] == "crop"].set_index(["model", "task"]).top1.rename_axis(["model", "ability"])
    return table.join(zero_shot.rename("zero_shot")).reset_index()


def viewpoint_table(scores: pd.DataFrame) -> pd.DataFrame:
    """By distance (``at``: metres of ``moved``, degrees of ``turned``): mean cosine with the embedding at 0, and zero-shot
    accuracy of the setting; one row for each model, image set, view and distance."""
    far = scores[scores.ability.isin(["moved", "turned"])]
    keys = ["model", "image_set", "view", "ability", "at"]
    found = far.assign(value=far.value.where(far.measure != "rank", far.value <= 1).astype(float))
    table = found.pivot_table(index=keys, columns="measure", values="value", sort=False)
    return table.rename(columns={"rank": "setting"}).rename_axis(columns=None).reset_index()


def ability_changes(
    frozen: pd.DataFrame, tuned: pd.DataFrame, runs: Mapping[str, Mapping], *, seed: int, draws: int
) -> pd.DataFrame:
    """One row for each fine-tuned model, ability and view: the frozen model's level, the tuned one's (as by ``levels``), and
    the change with its interval, a bootstrap over the images of all sets."""
    before, rows = levels(frozen), []
    for (run, ability, view), part in levels(tuned).groupby(level=["model", "ability", "view"], sort=False):
        base, strategy = runs[run]["model"], road(runs[run])
        own = before.loc[base, ability, view].reindex(part.droplevel(["model", "ability", "view"]).index).to_numpy()
        drawn = "{:g}-{:g}".format(*runs[run]["shifts"])
        row = {"model": run, "base": base, "strategy": strategy, "weight": runs[run]["weight"], "shifts_drawn": drawn}
        row |= {"ability": ability, "view": view, "n": len(part), "frozen": own.mean(), "tuned": part.mean()}
        rows.append(row | with_interval("change", part.to_numpy() - own, _mean, seed=seed, draws=draws))
    table = pd.DataFrame(rows)
    order = {"model": list(runs).index, "ability": ORDER.index}
    return table.sort_values(list(order), key=lambda x: x.map(order[x.name]), kind="stable", ignore_index=True)


def levels(scores: pd.DataFrame) -> pd.Series:
    """How well a model does with each picture, 1 at best, by model, ability, view, image_set and image.

    Is the right one first? For ``presence`` the area under the ROC curve, for ``attributes`` the advantage over chance, for
    ``turned`` and ``moved`` the cosine with the embedding from elsewhere: the mean over all turns, that from farthest away.
    """
    rows = scores[scores.measure.isin(["rank", "auc", "hit", "agreement"]) & scores.ability.isin(ORDER)]
    elsewhere = rows.ability.isin(["turned", "moved"])
    farthest = rows["at"] == rows.groupby("ability")["at"].transform("max")
    turned, moved = (rows.ability == "turned") & (rows["at"] > 0), (rows.ability == "moved") & farthest
    rows = rows[~elsewhere | ((rows.measure == "agreement") & (turned | moved))]
    false = rows.label.map(SUBSETS)  # captions, of attributes
    level = rows.value.where(rows.measure != "rank", (rows.value <= 1).astype(float))
    level = level.where(rows.ability != "attributes", 1 - 2 * (rows.value - 1) / false)
    return level.groupby([rows[key] for key in ("model", "ability", "view", "image_set", "image")], sort=False).mean()


def one_of_each(runs: Mapping[str, Mapping], *, base: str) -> dict[str, str]:
    """Of every road from the model ``base`` the run whose λ is nearest 1/2, that drew all shifts: its name, and its road's."""
    mine = {run: spec for run, spec in runs.items() if spec["model"] == base and list(spec["shifts"]) == [0.0, 1.0]}
    nearest = sorted(mine, key=lambda run: -abs(mine[run]["weight"] - 0.5))
    chosen = {road(mine[run]): run for run in nearest}  # the last of a road stays
    return {run: f"{name}, λ = {mine[run]['weight']:g}" for name, run in chosen.items()}


def _groups(scores: pd.DataFrame, name: str):
    return scores.groupby(["model", "view", name], sort=False)


def _answers(part: pd.DataFrame) -> pd.DataFrame:
    """One row for each picture, its measures as columns."""
    return part.pivot(index=["image_set", "image", "label"], columns="measure", values="value")


def _mean(x: np.ndarray) -> np.ndarray:
    return x.mean(-1)
