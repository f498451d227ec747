"""How far a verdict can be trusted: normality, equivalence, other tests of the same question, and sample sizes."""

import numpy as np
import pandas as pd
import pingouin as pg

from clip360.stats.signed_rank import differences, holm, least_size, positive
from clip360.stats.textual_probe import cue_pairs
from clip360.stats.visual_probe import KEYS, shift_pivot


def paired_scores(textual: pd.DataFrame, visual: pd.DataFrame, *, shifts: list[float]) -> pd.DataFrame:
    """Every pair of scores that the two experiments compare, one row for each image.

    Columns: experiment ("textual", "visual"), model, image_set, compared (the generic cue, or the shift), x (the score s)
    and y (s^u or s^δ). Of the textual scores only those of panoramas, not of their control.
    """
    parts = []
    for keys, pair in cue_pairs(textual[textual["view"] == "panorama"]):
        pair = pair.set_axis(["x", "y"], axis=1).reset_index()
        parts.append(_labelled(pair, "textual", keys["model"], keys["image_set"], keys["generic"]))
    for (model, image_set, _), part in visual.groupby(KEYS, sort=False):
        table = shift_pivot(part)
        for shift in shifts:
            pair = pd.DataFrame({"x": table["shift", 0.0], "y": table["shift", shift]}).reset_index()
            parts.append(_labelled(pair, "visual", model, image_set, f"{shift:g}"))
    return pd.concat(parts, ignore_index=True)


def _labelled(pair: pd.DataFrame, experiment: str, model: str, image_set: str, compared: str) -> pd.DataFrame:
    labels = {"experiment": experiment, "model": model, "image_set": image_set, "compared": compared}
    return pair.assign(**labels)[[*labels, "image", "x", "y"]]


PAIR = ["experiment", "model", "image_set", "compared"]


def normality_tests(pairs: pd.DataFrame, *, alpha: float) -> pd.DataFrame:
    """Shapiro-Wilk test of the differences s - s^u and |s - s^δ| (arXiv 2604.24642): why a rank test is used."""
    rows = []
    for keys, pair in pairs.groupby(PAIR, sort=False):
        difference = differences(pair.x, pair.y)
        tested = difference if keys[0] == "textual" else np.abs(difference)
        test = pg.normality(tested, method="shapiro", alpha=alpha).iloc[0]
        row = {"n": len(tested), "W": float(test.W), "p": positive(test.pval), "normal": bool(test.normal)}
        rows.append(dict(zip(PAIR, keys, strict=True)) | row)
    return pd.DataFrame(rows)


def equivalence_tests(pairs: pd.DataFrame, bounds: pd.Series, *, alpha: float) -> pd.DataFrame:
    """TOST: is the mean of the signed difference s - s^u or s - s^δ within ± β? ``bounds``: β by (model, image_set).

    It asks another question than the stability test, which is about the size of every single change: shifts that raise
    half of the scores and lower the other half by as much have a mean of 0. Holm's correction runs over all rows.
    """
    rows = []
    for keys, pair in pairs.groupby(PAIR, sort=False):
        margin = float(bounds[keys[1:3]])
        difference = differences(pair.x, pair.y)
        test = pg.tost(pair.x.to_numpy(), pair.y.to_numpy(), bound=margin, paired=True).iloc[0]
        row = {"n": len(pair), "margin": margin, "mean_diff": float(difference.mean()), "p": positive(test.pval)}
        rows.append(dict(zip(PAIR, keys, strict=True)) | row)
    tests = pd.DataFrame(rows)
    tests["p_holm"] = holm(tests.p)
    tests["equivalent"] = tests.p_holm < alpha
    return tests


def verdicts(textual: pd.DataFrame, visual: pd.DataFrame, equivalence: pd.DataFrame, *, alpha: float) -> pd.DataFrame:
    """Every test of both experiments under five rules, and the sample sizes that they ask for.

    ``paper``  the uncorrected signed-rank test; ``holm``  corrected over its family; ``sign``  the sign test, uncorrected;
    ``interval``  the median's 95 % interval lies above 0 (textual) or below β (visual); ``equivalent``  as by
    ``equivalence_tests``. Each is yes where H0 is rejected: the cue helps, the shift leaves the score stable.
    ``n_least`` is the size below which no test of the family can reject, ``n_needed`` that of ``ranks.needed_size``.
    """
    textual = textual[textual["view"] == "panorama"]
    parts = []
    for experiment, tests, compared, inside, decided in (
        ("textual", textual, textual.generic, textual.median_low > 0, textual.reject),
        ("visual", visual, visual["shift"].map("{:g}".format), visual.median_high < visual.beta, visual.stable),
    ):
        columns = {
            "experiment": experiment,
            "model": tests.model,
            "image_set": tests.image_set,
            "compared": compared,
            "n": tests.n,
            "paper": tests.p < alpha,
            "holm": decided,
            "sign": tests.p_sign < alpha,
            "interval": inside,
            "n_least": least_size(alpha, len(tests)),
            "n_needed": tests.n_needed,
        }
        parts.append(pd.DataFrame(columns))
    table = pd.concat(parts, ignore_index=True).merge(equivalence[[*PAIR, "equivalent"]], on=PAIR, validate="1:1")
    return table[[*PAIR, "n", "paper", "holm", "sign", "interval", "equivalent", "n_least", "n_needed"]]


def count_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """How many tests each rule rejects, for every experiment, model and image set; and the median size they need."""
    groups = table.groupby(["experiment", "model", "image_set"], sort=False)
    rules = ["paper", "holm", "sign", "interval", "equivalent"]
    counts = groups[rules].agg(lambda rejected: f"{rejected.sum()} of {len(rejected)}")
    return counts.assign(
        n=groups.n.first(), n_least=groups.n_least.first(), n_needed=groups.n_needed.median()
    ).reset_index()
