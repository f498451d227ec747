"""All roads to invariance measured alike: which run of a road is chosen, and where it lands, over worlds."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from clip360.names import TEST, VALIDATION

FAMILIES = {
    "no training": ("frozen", "average_", "one pass", "multi_view", "circular"),
    "LoRA, paper's loss": ("released", "attention"),
    "other parts, paper's loss": ("positions", "last_block", "image_tower", "text_tower", "both_towers"),
    "Omniview-Tuning": ("omniview",),
    "re-projection": ("linear_head", "mlp_head", "image_head", "text_head"),
    "distilled mean": ("distilled",),
}
MEASURES = ("ratio", "worst", "between", "score_change", "recall_change", "recall_change_perspective")
MEASURES += ("zero_shot_change", "zero_shot_change_perspective", "likeness_change", "stable")


def family(road: str) -> str:
    """The kind of a road, by the beginning of its strategy's name.

    >>> family("average_8, squash"), family("distilled, squash")
    ('no training', 'distilled mean')
    """
    return next(name for name, beginnings in FAMILIES.items() if road.startswith(beginnings))


def inference_passes(spec: Mapping, view_count: int) -> int:
    """Passes through the image tower for one panorama, of a run as params.yaml describes it."""
    return spec.get("turns", 1) * (view_count if spec.get("view") == "multi_view" else 1)


def choose(tradeoff: pd.DataFrame, *, tolerance: float) -> pd.Series:
    """One run of every road (strategy), by the validation panoramas alone: index road, values run.

    Of the runs whose R@1, mean of panoramas and photographs, fell by no more than ``tolerance``, the one with the least
    ``ratio``; if none, the one that fell least. Without validation rows, ValueError.
    """
    rows = tradeoff[tradeoff.role == VALIDATION]
    if rows.empty:
        raise ValueError("no panoramas were set aside to choose runs by: raise finetune.validation above 0")
    best = _ranked(rows, tolerance).drop_duplicates("strategy")
    return best.set_index("strategy").model.reindex(rows.strategy.unique())


def road_table(tradeoff: pd.DataFrame, costs: pd.DataFrame, *, base: str, tolerance: float) -> pd.DataFrame:
    """One row for every run made of the model ``base`` and test set: its family, costs, and whether it is ``chosen``.

    ``costs`` by run: passes at inference, trainable parameters, pictures that training saw. Runs that drew only some of the
    shifts are left out.
    """
    mine = tradeoff[(tradeoff.base == base) & tradeoff.shifts_drawn.isin(["0-1", "none"])]
    chosen = choose(mine, tolerance=tolerance)
    table = mine[mine.role == TEST].join(costs, on="model")
    table = table.assign(likeness_change=table.likeness - table.likeness_frozen, chosen=table.model.isin(chosen))
    table.insert(0, "family", table.strategy.map(family))
    return table.sort_values("family", key=lambda x: x.map(list(FAMILIES).index), kind="stable", ignore_index=True)


def over_worlds(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One row for every road: mean over image sets, then over worlds, of its chosen runs; ``_low`` and ``_high`` are the
    least and the most of any world. ``weights`` are the λ chosen, each once."""
    return _means([table[table.chosen] for table in tables])


def over_runs(tables: Sequence[pd.DataFrame], *, family: str) -> pd.DataFrame:
    """The same for every road of a family with every λ, chosen or not."""
    return _means(
        [
            table.assign(strategy=table.strategy + table.weight.map(", λ = {:g}".format))[table.family == family]
            for table in tables
        ]
    )


def _means(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    found = pd.concat([table.assign(world=k) for k, table in enumerate(tables)], ignore_index=True)
    keys, measures = ["family", "strategy"], [name for name in MEASURES if name in found]
    worlds = found.groupby([*keys, "world"], sort=False)[measures].mean().groupby(keys, sort=False)
    runs = found.drop_duplicates([*keys, "world"]).groupby(keys, sort=False)
    columns = {
        "worlds": worlds.size(),
        "weights": runs.weight.agg(lambda x: ", ".join(f"{weight:g}" for weight in x.dropna().unique())),
        **{name: runs[name].mean() for name in ("passes", "trainable", "seen", "looks", "seconds") if name in found},
    }
    for name in measures:
        columns |= {name: worlds[name].mean(), f"{name}_low": worlds[name].min(), f"{name}_high": worlds[name].max()}
    return pd.DataFrame(columns).reset_index()


def best_of_families(table: pd.DataFrame, *, tolerance: float) -> pd.DataFrame:
    """Of the roads of each family, over all worlds, the most stable that keeps R@1 to within the tolerance; if none does, the
    one that fell least. The same rule as ``choose``, of means over test sets."""
    return table.loc[sorted(_ranked(table, tolerance).drop_duplicates("family").index)]


def _ranked(table: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Rows in the order of choice: by how far the mean of both R@1 fell beyond the tolerance, then by ``ratio``."""
    recall = table[["recall_change", "recall_change_perspective"]].mean(axis=1)
    fall = np.where(recall >= -tolerance, 0.0, -recall)
    return table.assign(fall=fall).sort_values(["fall", "ratio"], kind="stable").drop(columns="fall")


def readme_roads(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``over_worlds`` in words, each mean with the least and the most of any world."""
    columns = {
        "what is left of the change under shifts": "ratio",
        "R@1, panoramas": "recall_change",
        "R@1, photographs": "recall_change_perspective",
    }
    words = {
        title: [
            f"{mean:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"
            for mean, low, high in zip(*(table[f"{name}{end}"] for end in ("", "_low", "_high")), strict=True)
        ]
        for title, name in columns.items()
        for sign in ("" if name == "ratio" else "+",)
    }
    named = {
        "kind": table.family,
        "road": table.strategy,
        "λ": table.weights,
        "passes": table.passes.map("{:g}".format),
    }
    return pd.DataFrame(named | words)


def dominates(table: pd.DataFrame, road: str, others: Sequence[str], columns: Mapping[str, int]) -> pd.Series:
    """Is a road at least as good as each of the ``others`` in all columns, and better in one? ``columns``: sign that is good."""
    signs = np.array(list(columns.values()))
    values = table.set_index("strategy")[list(columns)] * signs
    mine, rest = values.loc[road].to_numpy(), values.loc[list(others)]
    return ((mine >= rest).all(axis=1) & (mine > rest).any(axis=1)).rename("dominated")
