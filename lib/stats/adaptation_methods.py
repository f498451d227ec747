"""All adaptation methods compared: which run of a method is chosen, and what it gains and costs over replicates."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from clip360.names import TEST, VALIDATION

FAMILIES = {  # method family: the beginnings of its methods' names
    "no training": ("frozen", "average_", "single_pass", "multi_view", "circular"),
    "LoRA, paper's loss": ("lora_as_released", "lora_attention"),
    "other parts, paper's loss": ("positional_embedding", "last_block", "image_tower", "text_tower", "both_towers"),
    "Omniview-Tuning": ("omniview",),
    "re-projection": ("linear_head", "mlp_head", "image_head", "text_head"),
    "distilled mean": ("distilled",),
}
MEASURES = ("relative_instability", "worst_instability", "between_instability")
MEASURES += ("score_change", "recall_change", "recall_change_perspective")
MEASURES += ("zero_shot_change", "zero_shot_change_perspective", "inter_image_cosine_change", "stable_fraction")
COSTS = ("passes", "trainable_parameters", "images_with_gradient", "images_without_gradient", "seconds")


def method_family(method: str) -> str:
    """The family of an adaptation method, by the beginning of its name.

    >>> method_family("average_8, squash"), method_family("distilled, squash")
    ('no training', 'distilled mean')
    """
    return next(family for family, beginnings in FAMILIES.items() if method.startswith(beginnings))


def inference_passes(spec: Mapping, n_views: int) -> int:
    """Forward passes of the image tower for one panorama, of a run as params.yaml specifies it.

    ``n_views`` is the number of perspective views of the view mode multi_view.
    """
    return spec.get("n_shifts", 1) * (n_views if spec.get("view") == "multi_view" else 1)


def choose_runs(tradeoff: pd.DataFrame, *, recall_tolerance: float) -> pd.Series:
    """One run of every method, chosen by the validation panoramas alone: index method, values the run's name.

    Among the runs whose R@1, mean of panoramas and perspective views, fell by at most ``recall_tolerance``, the one with
    the least ``relative_instability``; if there is none, the one whose R@1 fell least. Raises ValueError without rows of
    the role validation.
    """
    rows = tradeoff[tradeoff.role == VALIDATION]
    if rows.empty:
        raise ValueError("no validation panoramas to choose runs by: set finetune.n_validation above 0")
    best = _ranked(rows, recall_tolerance).drop_duplicates("method")
    return best.set_index("method").model.reindex(rows.method.unique())


def methods_table(
    tradeoff: pd.DataFrame, costs: pd.DataFrame, *, base_model: str, recall_tolerance: float
) -> pd.DataFrame:
    """One row for each run that starts from ``base_model`` and each test set: its family, its costs, ``chosen`` or not.

    ``costs`` by run: forward passes at inference, trainable parameters, images that training saw with and without
    gradient. Runs that drew only a part of the shifts are left out.
    """
    runs = tradeoff[(tradeoff.base_model == base_model) & tradeoff.shift_range.isin(["0-1", "none"])]
    chosen = choose_runs(runs, recall_tolerance=recall_tolerance)
    table = runs[runs.role == TEST].join(costs, on="model")
    cosine_change = table.inter_image_cosine - table.inter_image_cosine_frozen
    table = table.assign(inter_image_cosine_change=cosine_change, chosen=table.model.isin(chosen))
    table.insert(0, "method_family", table.method.map(method_family))
    order = list(FAMILIES).index
    return table.sort_values("method_family", key=lambda x: x.map(order), kind="stable", ignore_index=True)


def over_replicates(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One row for each method: means of its chosen runs over image sets, then over replicates.

    ``_low`` and ``_high`` are the smallest and the largest mean of any replicate; ``lambdas`` lists the chosen λ, each once.
    """
    return _means([table[table.chosen] for table in tables])


def over_runs(tables: Sequence[pd.DataFrame], *, family: str) -> pd.DataFrame:
    """As ``over_replicates``, for every method of a family at every λ, chosen or not."""
    return _means(
        [
            table.assign(method=table.method + table.lam.map(", λ = {:g}".format))[table.method_family == family]
            for table in tables
        ]
    )


def _means(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    rows = pd.concat([table.assign(replicate=k) for k, table in enumerate(tables)], ignore_index=True)
    keys, measures = ["method_family", "method"], [name for name in MEASURES if name in rows]
    replicates = rows.groupby([*keys, "replicate"], sort=False)[measures].mean().groupby(keys, sort=False)
    runs = rows.drop_duplicates([*keys, "replicate"]).groupby(keys, sort=False)
    columns = {
        "replicates": replicates.size(),
        "lambdas": runs.lam.agg(lambda x: ", ".join(f"{lam:g}" for lam in x.dropna().unique())),
        **{name: runs[name].mean() for name in COSTS if name in rows},
    }
    for name in measures:
        values = replicates[name]
        columns |= {name: values.mean(), f"{name}_low": values.min(), f"{name}_high": values.max()}
    return pd.DataFrame(columns).reset_index()


def best_of_families(table: pd.DataFrame, *, recall_tolerance: float) -> pd.DataFrame:
    """The best method of each family by the rule of ``choose_runs``, applied to the means of ``over_replicates``."""
    return table.loc[sorted(_ranked(table, recall_tolerance).drop_duplicates("method_family").index)]


def _ranked(table: pd.DataFrame, recall_tolerance: float) -> pd.DataFrame:
    """Rows in the order of choice: by how far the mean of both R@1 fell beyond the tolerance, then by instability."""
    recall = table[["recall_change", "recall_change_perspective"]].mean(axis=1)
    fall = np.where(recall >= -recall_tolerance, 0.0, -recall)
    ranked = table.assign(fall=fall).sort_values(["fall", "relative_instability"], kind="stable")
    return ranked.drop(columns="fall")


def readme_methods(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``over_replicates`` in words: each mean with the smallest and the largest mean of any replicate."""
    columns = {
        "remaining change under shifts": ("relative_instability", ""),
        "R@1, panoramas": ("recall_change", "+"),
        "R@1, perspective views": ("recall_change_perspective", "+"),
    }
    words = {
        title: [
            f"{mean:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"
            for mean, low, high in zip(*(table[f"{name}{end}"] for end in ("", "_low", "_high")), strict=True)
        ]
        for title, (name, sign) in columns.items()
    }
    names = {
        "method family": table.method_family,
        "method": table.method,
        "λ": table.lambdas,
        "passes": table.passes.map("{:g}".format),
    }
    return pd.DataFrame(names | words)


def dominates(table: pd.DataFrame, method: str, others: Sequence[str], columns: Mapping[str, int]) -> pd.Series:
    """Is a method at least as good as each of the ``others`` in all ``columns``, and better in one? bool by method.

    ``columns`` maps each column to 1 where larger is better, to -1 where smaller is.
    """
    signs = np.array(list(columns.values()))
    values = table.set_index("method")[list(columns)] * signs
    candidate, rest = values.loc[method].to_numpy(), values.loc[list(others)]
    return ((candidate >= rest).all(axis=1) & (candidate > rest).any(axis=1)).rename("dominated")
