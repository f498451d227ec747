"""The paper's claims (arXiv 2604.24642), each with what this run measures: holds, does not hold, or cannot be decided."""

import math
from collections.abc import Sequence

import pandas as pd

from clip360.names import LORA, PANORAMA, TEST

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be decided"
PAPER = {
    "cues": "CLIP uses format cues: with one, a panorama scores higher",
    "shifts": "CLIP is not stable under circular shifts",
    "gain": "LoRA fine-tuning improves the stability",
    "cost": "LoRA fine-tuning costs a little of the original score",
}
MEASURES = {
    "cues": "effect of the cue (rank-biserial), median over generic cues",
    "shifts": "effect of the change lying below β (rank-biserial), at the worst shift",
    "gain": "median change under shifts, fine-tuned over frozen",
    "cost": "median change of the unshifted score, points",
}
KEYS = ["claim", "model", "finetuning", "image_set"]


def claims_table(textual: pd.DataFrame, visual: pd.DataFrame, tradeoff: pd.DataFrame) -> pd.DataFrame:
    """All claims for every model and image set; those on fine-tuning for every run too.

    ``textual``, ``visual`` and ``tradeoff`` are the tables of ``cue_tests``, ``shift_tests`` and ``tradeoff_table``.
    Columns: claim, paper (its sentence), model, finetuning, image_set, measure, tests, value, low, high, verdict.
    """
    parts = [claim_cues(textual), claim_shifts(visual), claim_finetuning(tradeoff)]
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values("claim", key=lambda claim: claim.map(list(PAPER).index), kind="stable", ignore_index=True)


def claim_cues(textual: pd.DataFrame) -> pd.DataFrame:
    """Holds where the interval of the effect lies above 0; tests of panoramas only."""
    rows = []
    on_panoramas = textual[textual["view"] == PANORAMA]
    for (model, image_set), tests in on_panoramas.groupby(["model", "image_set"], sort=False):
        numbers = value, low, high = tuple(tests[["effect", "ci_low", "ci_high"]].median())
        rejected = f"{tests.reject.sum()} of {len(tests)} rejected"
        rows.append(_row("cues", model, image_set, "", rejected, numbers, holds=low > 0, fails=high < 0))
    return pd.DataFrame(rows)


def claim_shifts(visual: pd.DataFrame) -> pd.DataFrame:
    """Holds where at the worst shift the interval of the effect lies below 0: changes exceed β more than they stay below.

    The paper's own rule, H0 not rejected, counts missing evidence as evidence; ``tests`` gives its verdicts.
    """
    rows = []
    for (model, image_set), tests in visual.groupby(["model", "image_set"], sort=False):
        numbers = value, low, high = tuple(tests.loc[tests.effect.idxmin(), ["effect", "ci_low", "ci_high"]])
        stable = f"{tests.stable.sum()} of {len(tests)} stable"
        rows.append(_row("shifts", model, image_set, "", stable, numbers, holds=high < 0, fails=low > 0))
    return pd.DataFrame(rows)


def claim_finetuning(tradeoff: pd.DataFrame) -> pd.DataFrame:
    """``gain`` holds where the interval of the relative instability lies below 1; ``cost`` where that of the score's change
    lies below 0 but above -β.

    A loss of β or more is not a little, and no loss is no cost: the claim does not hold then. As in the paper, only the
    test sets count, and the runs with LoRA that drew all shifts.
    """
    paper = tradeoff[(tradeoff.role == TEST) & tradeoff.method.isin(LORA) & (tradeoff.shift_range == "0-1")]
    rows = []
    for run in paper.itertuples():
        finetuning = f"{run.method}, λ = {run.lam:g}"
        stable = f"{run.stable_fraction:.0%} of shifts stable, frozen {run.stable_fraction_frozen:.0%}"
        numbers = ratio, low, high = (
            run.relative_instability,
            run.relative_instability_low,
            run.relative_instability_high,
        )
        rows.append(
            _row("gain", run.base_model, run.image_set, finetuning, stable, numbers, holds=high < 1, fails=low > 1)
        )
        numbers = change, low, high = run.score_change, run.score_change_low, run.score_change_high
        little = high < 0 and low > -run.beta
        not_little = low > 0 or high < -run.beta
        bound = f"β = {run.beta:.3g} points"
        rows.append(
            _row("cost", run.base_model, run.image_set, finetuning, bound, numbers, holds=little, fails=not_little)
        )
    return pd.DataFrame(rows)


def _row(
    claim: str,
    model: str,
    image_set: str,
    finetuning: str,
    tests: str,
    numbers: Sequence[float],
    *,
    holds: bool,
    fails: bool,
) -> dict:
    require_numbers(f"{claim}, {model}, {image_set}", *numbers)
    keys = {"claim": claim, "paper": PAPER[claim], "model": model, "finetuning": finetuning, "image_set": image_set}
    interval = dict(zip(("value", "low", "high"), numbers, strict=True))
    return keys | {"measure": MEASURES[claim], "tests": tests} | interval | {"verdict": judge(holds, fails)}


def judge(holds: bool, fails: bool) -> str:
    """The verdict on a claim whose interval lies on the claimed side (``holds``), on the other (``fails``), or on neither."""
    return HOLDS if holds else FAILS if fails else OPEN


def require_numbers(place: str, *numbers: float) -> None:
    """ValueError if one of the numbers is NaN: missing evidence would be judged like an undecided claim."""
    if any(math.isnan(number) for number in numbers):
        raise ValueError(
            f"{place}: the value or its interval is not a number: check the tables that the claim is read from"
        )


def compare_replicates(table: pd.DataFrame, replicates: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The claims of this run, with those of replicates (runs from other seeds).

    ``replicates`` counts the runs, this one included, that measured the same claim; ``same_verdict`` those with this run's
    verdict; ``minimum`` and ``maximum`` are the range of their values.
    """
    runs = pd.concat([table, *replicates], ignore_index=True).fillna({"finetuning": ""})
    runs["same"] = runs.merge(table[[*KEYS, "verdict"]], on=KEYS, how="left").verdict_y == runs.verdict
    spread = runs.groupby(KEYS).agg(
        replicates=("value", "size"), same_verdict=("same", "sum"), minimum=("value", "min"), maximum=("value", "max")
    )
    return table.merge(spread.reset_index(), on=KEYS, how="left", validate="1:1")


def compare_machines(table: pd.DataFrame, others: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """How far the claims of runs from the same seeds on other machines lie from those of this run, for each claim.

    Machines round differently, and training amplifies the differences. ``n_values`` counts values that both runs measured,
    over all machines; ``max_abs_diff`` is the largest of their differences and ``median_abs_diff`` the median, to compare
    with ``median_half_width``, the median of half the interval's width; ``verdicts_changed`` counts verdicts that differ.
    """
    other = pd.concat(others, ignore_index=True) if others else table.head(0)
    pairs = table.merge(other.fillna({"finetuning": ""}), on=KEYS, suffixes=("", "_other"))
    pairs = pairs.assign(
        abs_diff=(pairs.value_other - pairs.value).abs(),
        half_width=(pairs.high - pairs.low) / 2,
        changed=pairs.verdict_other != pairs.verdict,
    )
    columns = {
        "n_values": ("abs_diff", "size"),
        "max_abs_diff": ("abs_diff", "max"),
        "median_abs_diff": ("abs_diff", "median"),
        "median_half_width": ("half_width", "median"),
        "verdicts_changed": ("changed", "sum"),
    }
    return pairs.groupby("paper", sort=False).agg(**columns).reset_index()


def readme_claims(table: pd.DataFrame, *, sentence: str = "paper") -> pd.DataFrame:
    """The claims that all replicates measured, in words: one row for each sentence, model and run, image sets side by side.

    ``table`` as by ``compare_replicates``; ``sentence`` is the column that states the claim.
    """
    table = table[table.replicates == table.replicates.max()]
    table = table.assign(
        model=table.model + table.finetuning.map(lambda finetuning: f", {finetuning}" if finetuning else ""),
        result=[
            f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}], {row.verdict} ({row.same_verdict} of {row.replicates})"
            for row in table.itertuples()
        ],
    )
    wide = table.pivot(index=[sentence, "model"], columns="image_set", values="result")
    order = table[[sentence, "model"]].drop_duplicates()
    return wide.loc[list(order.itertuples(index=False, name=None)), table.image_set.unique()].reset_index()
