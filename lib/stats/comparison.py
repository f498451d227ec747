"""Comparison of generators by the scores of their panoramas, as `clip360 score` writes them: tables in, tables out.

Two generators that drew the same captions are compared pair by pair, which removes the differences between captions; others
as two independent samples. A winner is named only where the test rejects after Holm's correction over all metrics and pairs
of the comparison, and the mean points to the same side. Everything else cannot be decided, and the table says how large a
difference the sample could have shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from clip360.stats.inference import Inference, holm
from clip360.stats.two_samples import compare_paired, compare_unpaired, detectable_difference, rank_test

METRICS = {  # columns that every table of scores has, and what they are
    "score": "CLIP score of the panorama as it is",
    "robust": "mean CLIP score over a whole turn",
    "spread": "standard deviation of the CLIP score over a whole turn",
    "worst": "lowest CLIP score over a whole turn",
    "seam": "visibility of the line where the right edge meets the left",
    "seam_blend": "visibility of a blurred strip around that line",
    "discontinuity": "discontinuity score (DS) of that line",
    "poles": "distortion of the poles",
    "cube_edges": "visibility of the edges of a cube",
}
LOWER_IS_BETTER = ("spread", "seam", "seam_blend", "discontinuity", "poles", "cube_edges")
NO_METRICS = ("worst_yaw",)  # numbers that are neither good nor bad
UNDECIDED, UNPAIRED = "cannot be decided", "unpaired"
MIN_SHARED = 0.5  # fraction of the smaller table whose captions the other must have for a paired comparison


def shared_metrics(scores: Mapping[str, pd.DataFrame]) -> list[str]:
    """``METRICS``, then the view protocols that all tables have: their other columns of numbers, in the first table's order."""
    tables = list(scores.values())
    numeric = [set(table.select_dtypes("number").columns) for table in tables]
    others = [name for name in tables[0].columns if name not in METRICS and name not in NO_METRICS]
    return [*METRICS, *(name for name in others if all(name in columns for columns in numeric))]


def visible_faults(scores: Mapping[str, pd.DataFrame], floors: Mapping[str, float]) -> dict[str, pd.DataFrame]:
    """The tables with each value of a measure of faults raised to its floor, below which the fault does not show.

    Intact panoramas differ below it too: of two generators without seams, neither is better there.

    >>> table = pd.DataFrame({"seam": [1.2, 3.9, 7.5]})
    >>> visible_faults({"a": table}, {"seam": 4.0})["a"].seam.tolist()
    [4.0, 4.0, 7.5]
    """
    return {
        name: table.assign(**{metric: table[metric].clip(lower=floor) for metric, floor in floors.items()})
        for name, table in scores.items()
    }


def compare(
    scores: Mapping[str, pd.DataFrame], metrics: Sequence[str] | None = None, *, inference: Inference
) -> pd.DataFrame:
    """One row for each pair of generators and metric.

    ``scores`` maps the name of a generator to its table: image, caption, and a column for each metric. ``metrics`` are by
    default the ``shared_metrics``.

    a, b, metric        the two generators, and what is compared
    pairing             ``caption`` or ``unpaired``, see ``paired_tables``
    n_a, n_b            panoramas that are compared
    mean_a, mean_b      their means
    difference          mean of a minus mean of b
    median_difference   median of the paired differences, or difference of the medians
    win_rate            probability that a panorama of a is better than that of b with its caption, where unpaired than any of
                        b; ties count half
    *_low, *_high       bootstrap intervals of these three at the level 1 - α
    p, p_holm           two-sided signed-rank test, or Mann-Whitney test where unpaired; corrected over all rows
    rank_effect         rank-biserial correlation, positive where a is better
    detectable          mean difference that the test finds with 80 % probability at the level α / rows, which Holm's correction
                        guarantees every row: see ``detectable_difference``
    verdict             the name of the better generator, or ``cannot be decided``

    Raises ValueError for fewer than two generators, a missing column, or scores that are not numbers.
    """
    metrics = _required_metrics(scores, metrics)
    pairs = list(combinations(scores, 2))
    alpha = inference.alpha / (len(pairs) * len(metrics))
    rows = []
    for a, b in pairs:
        pairing, *tables = paired_tables(scores[a], scores[b])
        paired = pairing != UNPAIRED
        x, y = (table[metrics].to_numpy(dtype=float).T for table in tables)
        signs = np.array([-1 if metric in LOWER_IS_BETTER else 1 for metric in metrics])
        if paired:
            intervals = compare_paired(x, y, signs, inference=inference)
        else:
            intervals = [compare_unpaired(*row, inference=inference) for row in zip(x, y, signs, strict=True)]
        for k, metric in enumerate(metrics):
            labels = {"a": a, "b": b, "metric": metric, "pairing": pairing, "n_a": x.shape[1], "n_b": y.shape[1]}
            means = {"mean_a": float(x[k].mean()), "mean_b": float(y[k].mean())}
            p, rank_effect = rank_test(x[k], y[k], paired=paired)
            test = {"p": p, "rank_effect": float(signs[k]) * rank_effect + 0.0}
            test["detectable"] = detectable_difference(x[k], y[k], paired=paired, alpha=alpha)
            rows.append(labels | means | intervals[k] | test)
    table = pd.DataFrame(rows)
    table.insert(table.columns.get_loc("p") + 1, "p_holm", holm(table.p))
    return table.assign(verdict=[verdict(row, inference.alpha) for row in table.to_dict("records")])


def paired_differences(
    scores: Mapping[str, pd.DataFrame], metrics: Sequence[str] | None = None
) -> Iterator[pd.DataFrame]:
    """For each pair of generators that is compared by captions, the differences of their panoramas: where each of them fails.

    One table for each pair: a, b, caption, image_a, image_b, and for each metric the value of a minus that of b, in the order
    of a's panoramas.
    """
    metrics = _required_metrics(scores, metrics)
    for a, b in combinations(scores, 2):
        pairing, of_a, of_b = paired_tables(scores[a], scores[b])
        if pairing != UNPAIRED:
            labels = {"a": a, "b": b, "caption": of_a.caption, "image_a": of_a.image, "image_b": of_b.image.to_numpy()}
            yield pd.DataFrame(labels).join(of_a[metrics] - of_b[metrics].to_numpy())


def _required_metrics(scores: Mapping[str, pd.DataFrame], metrics: Sequence[str] | None) -> list[str]:
    if len(scores) < 2:
        raise ValueError(f"{len(scores)} generators: expected at least 2")
    metrics = list(shared_metrics(scores) if metrics is None else metrics)
    for name, table in scores.items():
        require_metrics(name, table, metrics)
    return metrics


def require_metrics(name: str, table: pd.DataFrame, metrics: Sequence[str]) -> None:
    """ValueError where a table lacks the columns image, caption or a metric, has no rows, or values that are not numbers."""
    if missing := [column for column in ("image", "caption", *metrics) if column not in table]:
        raise ValueError(f"the scores of {name} have no column {', '.join(missing)}: score its panoramas again")
    if len(table) < 2:
        raise ValueError(f"{name} has {len(table)} panoramas: expected at least 2")
    for metric in metrics:
        if n_bad := int((~np.isfinite(table[metric].to_numpy(dtype=float))).sum()):
            raise ValueError(f"{n_bad} values of {metric} of {name} are not numbers: score its panoramas again")


def paired_tables(a: pd.DataFrame, b: pd.DataFrame) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """How two tables are compared, and the rows that are: in the same order where they are paired.

    ``caption``  each caption occurs once in each table, or once for each file name, and at least half of the smaller table's
                 rows have a partner: the rows with a partner. A file name alone pairs nothing: any generator may write
                 0001.png
    ``unpaired`` otherwise: all rows
    """
    for keys in (["caption"], ["caption", "image"]):
        if a.duplicated(keys).any() or b.duplicated(keys).any():
            continue
        both = a.merge(b, on=keys, suffixes=("_a", "_b"))[keys]
        if len(both) >= max(2, MIN_SHARED * min(len(a), len(b))):
            return "caption", both.merge(a, on=keys), both.merge(b, on=keys)
    return UNPAIRED, a, b


def verdict(row: Mapping, alpha: float) -> str:
    """The better generator of a row of ``compare``: the test rejects, and mean and ranks point to the same side."""
    better = -row["difference"] if row["metric"] in LOWER_IS_BETTER else row["difference"]
    if row["p_holm"] >= alpha or better * row["rank_effect"] <= 0:
        return UNDECIDED
    return row["a"] if better > 0 else row["b"]
