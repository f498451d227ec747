"""All adaptation methods compared: which run of a method is chosen, and what it gains and costs, in one run and over replicates.

**Choice.** Validation panoramas choose the run of each method and the method of each family; no test image does. Each replicate
chooses anew, so the spread between replicates contains that of the choice.

**Dominance.** A method dominates a frozen model that costs as many passes where its instability is lower and no capability is lower by more
than a tolerance (a non-inferiority margin); both are claims about intervals (``claims``).
"""

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import pandas as pd

from clip360.names import POOLED, VALIDATION
from clip360.stats.inference import Inference, with_interval
from clip360.stats.replicates import this_run_and_replicates
from clip360.stats.tradeoff import Outcomes, compared_measures

FAMILIES = {  # method family: the beginnings of its methods' names
    "frozen": ("single_pass", "multi_view", "circular"),
    "mean over shifts": ("average_",),
    "LoRA, paper's loss": ("lora_as_released", "lora_attention"),
    "other parts, paper's loss": ("positional_embedding", "last_block", "image_tower", "text_tower", "both_towers"),
    "Omniview-Tuning": ("omniview",),
    "re-projection": ("linear_head", "mlp_head", "image_head", "text_head"),
    "distilled mean": ("distilled",),
}
MEASURES = {  # column of tradeoff_table: words
    "instability_ratio": "instability ratio",
    "recall_change": "R@1 of panoramas",
    "recall_change_perspective": "R@1 of perspective views",
    "zero_shot_change": "zero-shot of panoramas",
    "zero_shot_change_perspective": "zero-shot of perspective views",
    "inter_image_cosine_change": "inter-image cosine",
}
INSTABILITY = MEASURES["instability_ratio"]
CAPABILITIES = tuple(words for name, words in MEASURES.items() if name.startswith(("recall", "zero_shot")))
OWN_VIEW = "own view"
WIDE_PASSES = {
    "wide": 2
}  # passes in square inputs of the image tower, where not 1; multi_view: one each perspective view


def kind(measure: str) -> str:
    """What a measure of the comparison is about.

    >>> kind("instability ratio"), kind("R@1 of panoramas"), kind("inter-image cosine")
    ('instability', 'capability', 'similarity')
    """
    return "instability" if measure == INSTABILITY else "capability" if measure in CAPABILITIES else "similarity"


def method_family(method: str) -> str:
    """The family of an adaptation method, by the beginning of its name.

    >>> method_family("average_8, squash"), method_family("distilled, squash")
    ('mean over shifts', 'distilled mean')
    """
    return next(family for family, beginnings in FAMILIES.items() if method.startswith(beginnings))


def inference_passes(spec: Mapping, n_views: int) -> int:
    """Forward passes of the image tower for one panorama, in square inputs, of a run as params.yaml specifies it.

    ``n_views`` is the number of perspective views of the view mode multi_view.
    """
    view = spec.get("view")
    return spec.get("n_shifts", 1) * (n_views if view == "multi_view" else WIDE_PASSES.get(view, 1))


def choose_runs(tradeoff: pd.DataFrame, *, base_model: str, recall_tolerance: float, by: str = "method") -> pd.Series:
    """One run of every method (or method family, ``by``), chosen by the validation panoramas alone: index ``by``, values runs.

    Of the runs whose R@1, mean of panoramas and perspective views, is lower by at most ``recall_tolerance`` than that of the frozen model
    under the same view, and than that of the frozen model under the protocol's, the one with the least ``instability``; if there is none, the one whose
    R@1 fell least. Raises ValueError without rows of the role validation.
    """
    rows = tradeoff[(tradeoff.role == VALIDATION) & (tradeoff.base_model == base_model)]
    if rows.empty:
        raise ValueError("no validation panoramas to choose runs by: set finetune.n_validation above 0")
    recall = rows[["recall", "recall_perspective"]].mean(axis=1)
    change = np.minimum(
        rows[["recall_change", "recall_change_perspective"]].mean(axis=1),
        recall - recall[rows.model == base_model].item(),
    )
    fall = np.where(change >= -recall_tolerance, 0.0, -change)
    best = rows.assign(fall=fall).sort_values(["fall", "instability"], kind="stable").drop_duplicates(by)
    return best.set_index(by).model.reindex(rows[by].unique())


def methods_table(
    tradeoff: pd.DataFrame, costs: pd.DataFrame, *, base_model: str, recall_tolerance: float
) -> pd.DataFrame:
    """The rows of ``tradeoff_table`` of all runs from ``base_model`` over all test sets, with family, costs and choice.

    ``costs`` by run: passes at inference, trainable parameters, images that training saw with and without gradient. ``chosen`` marks the
    run of each method, ``best_of_family`` that of each family, as by ``choose_runs``. Runs that drew only a part of the shifts, or were
    trained at another rate or length than most of their method, are left out. The frozen model under the protocol's view is among the rows.
    """
    runs = tradeoff[(tradeoff.base_model == base_model) & tradeoff.shift_range.isin(["0-1", "none"]) & tradeoff.usual]
    runs = runs.assign(method_family=runs.method.map(method_family))
    chosen, best = (
        choose_runs(runs, base_model=base_model, recall_tolerance=recall_tolerance, by=by)
        for by in ("method", "method_family")
    )
    table = runs[runs.image_set == POOLED].join(costs, on="model")
    table = table.assign(chosen=table.model.isin(chosen), best_of_family=table.model.isin(best))
    table.insert(0, "method_family", table.pop("method_family"))
    order = list(FAMILIES).index
    return table.sort_values("method_family", key=lambda x: x.map(order), kind="stable", ignore_index=True)


def other_frozen(methods: pd.DataFrame, base_model: str) -> dict[str, str]:
    """The frozen models that all methods are compared with: under the protocol's view, and squashed where that was run."""
    squashed = methods.model[methods.method == "single_pass, squash"]
    return {"protocol view": base_model} | dict(zip(["squashed view"], squashed, strict=False))


def comparison_table(
    measured: Mapping[tuple[str, str], Outcomes],
    methods: pd.DataFrame,
    others: Mapping[str, str],
    *,
    inference: Inference,
) -> pd.DataFrame:
    """The chosen run of every method against frozen models, over all test sets: one row for each of these and each measure.

    ``measured`` as by ``stats.tradeoff.outcomes_by_set``, ``methods`` as by ``methods_table``; ``others`` names frozen models to compare
    with besides that under a method's own view (OWN_VIEW). Columns: method_family, method, model, lam, passes, best_of_family,
    ``versus``, ``passes_versus``, ``kind`` ("instability", "capability" or "similarity"), ``measure`` (one of the words of ``MEASURES``), ``value`` with its interval: the ratio of the
    instabilities, and for the other measures the change.
    """
    passes = methods.set_index("model").passes
    rows = []
    for run in methods[methods.chosen].itertuples():
        for versus, other in {OWN_VIEW: run.reference, **others}.items():
            if other == run.model:
                continue
            row = {
                name: getattr(run, name)
                for name in ("method_family", "method", "model", "lam", "passes", "best_of_family")
            }
            row |= {"versus": versus, "passes_versus": passes[other]}
            numbers = compared_measures(measured[run.model, POOLED], measured[other, POOLED])
            for measure, words in MEASURES.items():
                if measure in numbers:
                    values, statistic = numbers[measure]
                    rows.append(
                        row
                        | {"kind": kind(words), "measure": words}
                        | with_interval("value", values, statistic, inference=inference)
                    )
    return pd.DataFrame(rows)


def over_replicates(comparisons: Sequence[pd.DataFrame], *, inference: Inference, by: str = "method") -> pd.DataFrame:
    """``comparison_table`` of this run and its replicates in one: one row for each method, ``versus`` and measure.

    ``mean``, ``mean_low``, ``mean_high`` are over replicates with Student's interval; without replicates they are those of this run.
    ``value`` is this run, NaN where only replicates have the method. With ``by`` "method_family", the best of each family, whichever method it is in each replicate; ``methods`` lists them.
    A family is left out where its best is the frozen model itself, in any replicate: there is nothing to compare.
    """
    keys = [by, "versus", "measure"]
    if by == "method_family":
        comparisons = [table[table.best_of_family] for table in comparisons]
    this_run, *kept = [table.rename(columns={"value_low": "low", "value_high": "high"}) for table in comparisons]
    deciding = kept or [this_run]
    if by == "method_family":
        in_all = reduce(lambda common, keys_of: common.merge(keys_of), [table[keys] for table in deciding])
        kept, deciding = ([table.merge(in_all) for table in tables] for tables in (kept, deciding))
        this_run = this_run.merge(in_all)
    methods = pd.concat(deciding).groupby(by, sort=False).method.unique().map("; ".join)
    numbers = this_run_and_replicates(this_run[[*keys, "value", "low", "high"]], kept, keys, inference=inference)
    table = deciding[0].drop(columns=["value", "low", "high"])
    return table.assign(methods=table[by].map(methods)).merge(numbers, on=keys, how="left")


def dominance_table(table: pd.DataFrame, *, tolerance: float) -> pd.DataFrame:
    """Which methods dominate a frozen model that takes as many passes: one row for each method and frozen model.

    ``table`` is that of ``over_replicates``. ``dominates``: the interval of the instability ratio lies below 1 and those of all
    capabilities above -``tolerance``. ``instability_high`` is the upper end of the first, ``loss_low`` the lowest lower end of the
    others, of the measure ``weakest``.
    """
    rows = []
    table = table[table.passes <= table.passes_versus]
    for (method, versus), part in table.groupby(["method", "versus"], sort=False):
        capabilities = part[part.kind == "capability"]
        weakest = capabilities.loc[capabilities.mean_low.idxmin()]
        row = {"method": method, "versus": versus, "passes": weakest.passes, "replicates": weakest.replicates}
        row |= {"instability_high": part[part.kind == "instability"].mean_high.item()}
        row |= {"weakest": weakest.measure, "loss_low": weakest.mean_low}
        rows.append(row | {"dominates": row["instability_high"] < 1 and row["loss_low"] > -tolerance})
    return pd.DataFrame(rows)


def readme_methods(table: pd.DataFrame) -> pd.DataFrame:
    """``over_replicates`` against the method's own view in words: one row for each method, a column for each measure."""
    table = table[table.versus == OWN_VIEW]
    numbers = zip(table["mean"], table.mean_low, table.mean_high, table.measure == INSTABILITY, strict=True)
    words = table.assign(
        words=[
            f"{mean:.2f} [{low:.2f}, {high:.2f}]" if is_ratio else f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"
            for mean, low, high, is_ratio in numbers
        ]
    )
    columns = [words for words in MEASURES.values() if words in set(table.measure)]
    wide = words.pivot(index=["method_family", "methods", "passes"], columns="measure", values="words")[columns]
    order = table.drop_duplicates("method_family").method_family
    return wide.reset_index().set_index("method_family").loc[order].rename_axis("method family").reset_index()
