"""The paper's findings over replicates."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clip360.figures.style import METHODS, ORANGE, PAGE, image_set_label, model_label
from clip360.stats.claims import Claim

ROW, BETWEEN = 0.19, 0.65  # inches: height of a case, and between two panels


def replicate_dots(judged: pd.DataFrame, runs: Sequence[pd.DataFrame], claims: Sequence[Claim]) -> Figure:
    """One panel a claim, one row a case: replicates (dots), this run (ring), the mean over replicates with its interval.

    ``judged`` is the table of ``stats.claims.judge``, ``runs`` are the judged tables of this run and of its replicates. Lines mark
    the numbers that decide.
    """
    rows = np.array([max(int((judged.claim == claim.name).sum()), 1) for claim in claims]) + 1
    height = ROW * rows.sum() + BETWEEN * len(claims)  # inches
    # Placed by hand: solved constraints differ in the last bits between runs, since these panels have different heights.
    figure, axes = plt.subplots(len(claims), figsize=(PAGE, height), height_ratios=rows, layout="none")
    edges = {"top": 1 - 0.3 * BETWEEN / height, "bottom": 0.7 * BETWEEN / height}
    figure.subplots_adjust(left=0.43, right=0.99, hspace=BETWEEN / (ROW * rows.mean()), **edges)
    for axis, claim in zip(axes, claims, strict=True):
        cases = judged[judged.claim == claim.name].reset_index(drop=True)
        keys = list(claim.by)
        for decisive in filter(np.isfinite, (claim.above, claim.below)):
            axis.axvline(decisive, color="0.5", linewidth=0.8)
        for k, run in enumerate(runs):
            rows = cases[keys].merge(claim.rows(run), on=keys, how="left").value
            style = {"marker": "o", "linestyle": "", "markersize": 4}
            style |= {"markerfacecolor": "none", "color": "black"} if k == 0 else {"color": "0.7", "markersize": 3}
            axis.plot(rows, rows.index, **style, zorder=3 - (k > 0))
        error = [cases["mean"] - cases.mean_low, cases.mean_high - cases["mean"]]
        axis.errorbar(cases["mean"], cases.index, xerr=error, fmt="|", color=ORANGE, linewidth=1, markersize=6)
        axis.set_yticks(cases.index, [_case_label(case) for case in cases.itertuples()])
        axis.set(title=claim.statement, xlabel=claim.unit)
        axis.invert_yaxis()
    return figure


def _case_label(case) -> str:
    method, *others = case.finetuning.split(", ")
    finetuning = "" if case.finetuning == "none" else ", ".join(["", METHODS.get(method, method), *others])
    return f"{model_label(case.model)}{finetuning}, {image_set_label(case.image_set)}"
