"""The paper's findings, each beside what this run measured: holds, does not hold, or cannot be decided."""

import pandas as pd

from clip360.names import LORA, TEST

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
    "gain": "median change under shifts, tuned over frozen",
    "cost": "median change of the unshifted score, points",
}
KEYS = ["claim", "model", "tuning", "image_set"]


def claim_cues(textual: pd.DataFrame) -> pd.DataFrame:
    """Holds where the effect's interval lies above 0; textual tests of panoramas only."""
    rows = []
    for keys, tests in textual[textual["view"] == "panorama"].groupby(["model", "image_set"], sort=False):
        value, low, high = tests[["effect", "ci_low", "ci_high"]].median()
        rows.append(
            _row(
                "cues", *keys, "", f"{tests.reject.sum()} of {len(tests)} rejected", value, low, high, low > 0, high < 0
            )
        )
    return pd.DataFrame(rows)


def claim_shifts(visual: pd.DataFrame) -> pd.DataFrame:
    """Holds where at the worst shift the effect's interval lies below 0: changes exceed β more than they stay under it.

    The paper's own rule, H0 not rejected, would count missing evidence as evidence; ``tests`` gives its verdicts.
    """
    rows = []
    for keys, tests in visual.groupby(["model", "image_set"], sort=False):
        value, low, high = tests.loc[tests.effect.idxmin(), ["effect", "ci_low", "ci_high"]]
        rows.append(
            _row(
                "shifts", *keys, "", f"{tests.stable.sum()} of {len(tests)} stable", value, low, high, high < 0, low > 0
            )
        )
    return pd.DataFrame(rows)


def claim_tuning(table: pd.DataFrame) -> pd.DataFrame:
    """``gain`` holds where the ratio's interval lies below 1; ``cost`` where the change's lies below 0 but above -β.

    A loss of β or more is not a little one, and no loss is none: the claim does not hold then. Of the trade-off ``table``
    the image sets for testing, and the models with adapters that were trained on all shifts, as in the paper.
    """
    paper = table[(table.role == TEST) & table.strategy.isin(LORA) & (table.shifts_drawn == "0-1")]
    rows = []
    for row in paper.itertuples():
        tuning = f"{row.strategy}, λ = {row.weight:g}"
        stable = f"{row.stable:.0%} of shifts stable, frozen {row.stable_frozen:.0%}"
        ratio = row.ratio, row.ratio_low, row.ratio_high
        rows.append(
            _row("gain", row.base, row.image_set, tuning, stable, *ratio, row.ratio_high < 1, row.ratio_low > 1)
        )
        change = row.score_change, row.score_change_low, row.score_change_high
        little = row.score_change_high < 0 and row.score_change_low > -row.beta
        not_little = row.score_change_low > 0 or row.score_change_high < -row.beta
        bound = f"β = {row.beta:.3g} points"
        rows.append(_row("cost", row.base, row.image_set, tuning, bound, *change, little, not_little))
    return pd.DataFrame(rows)


def _row(claim, model, image_set, tuning, tests, value, low, high, holds, fails) -> dict:
    keys = {"claim": claim, "paper": PAPER[claim], "model": model, "tuning": tuning, "image_set": image_set}
    return keys | {
        "measure": MEASURES[claim],
        "tests": tests,
        "value": value,
        "low": low,
        "high": high,
        "verdict": judge(holds, fails),
    }


def judge(holds: bool, fails: bool) -> str:
    """The verdict on a finding whose interval lies on the claimed side, on the other, or on neither."""
    return HOLDS if holds else FAILS if fails else OPEN


def claims(textual: pd.DataFrame, visual: pd.DataFrame, tradeoff: pd.DataFrame) -> pd.DataFrame:
    """All findings for every model and image set, those on fine-tuning for every way of tuning too."""
    parts = [claim_cues(textual), claim_shifts(visual), claim_tuning(tradeoff)]
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values("claim", key=lambda claim: claim.map(list(PAPER).index), kind="stable", ignore_index=True)


def compare_seeds(table: pd.DataFrame, replicates: list[pd.DataFrame]) -> pd.DataFrame:
    """The claims of this run beside those of runs from other seeds of the world.

    ``seeds`` counts the runs, this one included, that measured the same; ``agree`` those with this run's verdict;
    ``least`` and ``most`` are the range of their values.
    """
    runs = pd.concat([table, *replicates], ignore_index=True).fillna({"tuning": ""})
    runs["same"] = runs.merge(table[[*KEYS, "verdict"]], on=KEYS, how="left").verdict_y == runs.verdict
    spread = runs.groupby(KEYS).agg(
        seeds=("value", "size"), agree=("same", "sum"), least=("value", "min"), most=("value", "max")
    )
    return table.merge(spread.reset_index(), on=KEYS, how="left", validate="1:1")


def compare_machines(table: pd.DataFrame, others: list[pd.DataFrame]) -> pd.DataFrame:
    """How far the claims of runs of the same seeds on other machines lie from those of this run, for each finding.

    Roundings differ there, and training amplifies them. ``measured`` counts values that both measured, for all machines;
    ``apart`` is the largest of their differences and ``apart_median`` the median, beside that of half the interval's
    width; ``turned`` counts verdicts that differ.
    """
    other = pd.concat(others, ignore_index=True) if others else table.head(0)
    pairs = table.merge(other.fillna({"tuning": ""}), on=KEYS, suffixes=("", "_other"))
    pairs = pairs.assign(
        apart=(pairs.value_other - pairs.value).abs(),
        half_width=(pairs.high - pairs.low) / 2,
        turned=pairs.verdict_other != pairs.verdict,
    )
    return (
        pairs.groupby("paper", sort=False)
        .agg(
            measured=("apart", "size"),
            apart=("apart", "max"),
            apart_median=("apart", "median"),
            half_width_median=("half_width", "median"),
            turned=("turned", "sum"),
        )
        .reset_index()
    )


def readme_claims(table: pd.DataFrame) -> pd.DataFrame:
    """The claims that all seeds measured, in words: one row for each finding, model and tuning, image sets side by side."""
    table = table[table.seeds == table.seeds.max()]
    table = table.assign(
        model=table.model + table.tuning.map(lambda tuning: f", {tuning}" if tuning else ""),
        result=[
            f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}], {row.verdict} ({row.agree} of {row.seeds})"
            for row in table.itertuples()
        ],
    )
    wide = table.pivot(index=["paper", "model"], columns="image_set", values="result")
    order = table[["paper", "model"]].drop_duplicates()
    return wide.loc[list(order.itertuples(index=False, name=None)), table.image_set.unique()].reset_index()
