"""How far a verdict can be trusted: normality, equivalence, other tests of the same question, and sample sizes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pingouin as pg

from clip360.names import PANORAMA
from clip360.stats.inference import holm, positive
from clip360.stats.measurements import KEYS
from clip360.stats.signed_rank import differences, minimum_n
from clip360.stats.textual_probe import cue_pairs
from clip360.stats.visual_probe import shift_pivot

PAIR = ["experiment", "model", "image_set", "compared"]
RULES = ["paper", "holm", "sign", "interval", "equivalent"]


def paired_scores(textual: pd.DataFrame, visual: pd.DataFrame, *, shifts: Sequence[float]) -> pd.DataFrame:
    """Every pair of scores that the two probes compare, one row for each image.

    Columns: experiment ("textual", "visual"), model, image_set, compared (the generic cue, or the shift), image, x (the
    score s) and y (s^u or s^δ). Of the textual measurements only those of panoramas count, not those of their control.
    """
    parts = []
    for keys, pair in cue_pairs(textual[textual["view"] == PANORAMA]):
        pair = pair.set_axis(["x", "y"], axis=1).reset_index()
        parts.append(_labelled(pair, "textual", keys["model"], keys["image_set"], keys["generic_cue"]))
    for (model, image_set, _), part in visual.groupby(KEYS, sort=False):
        table = shift_pivot(part)
        for shift in shifts:
            pair = pd.DataFrame({"x": table["shift", 0.0], "y": table["shift", shift]}).reset_index()
            parts.append(_labelled(pair, "visual", model, image_set, f"{shift:g}"))
    return pd.concat(parts, ignore_index=True)


def _labelled(pair: pd.DataFrame, experiment: str, model: str, image_set: str, compared: str) -> pd.DataFrame:
    labels = {"experiment": experiment, "model": model, "image_set": image_set, "compared": compared}
    return pair.assign(**labels)[[*labels, "image", "x", "y"]]


def _differences(keys: Sequence[str], pair: pd.DataFrame) -> np.ndarray:
    """x - y of one pair of PAIR; ValueError where all scores are equal."""
    experiment, model, image_set, compared = keys
    other = f"the cue {compared!r}" if experiment == "textual" else f"a shift by {compared} of the width"
    same = f"{model}, {image_set}: {other} changes no score, so that no diagnostic can be made: check this condition"
    return differences(pair.x, pair.y, if_equal=same)


def normality_tests(pairs: pd.DataFrame, *, alpha: float) -> pd.DataFrame:
    """Shapiro-Wilk test of the differences s - s^u and |s - s^δ| (arXiv 2604.24642): why a rank test is used.

    ``pairs`` as by ``paired_scores``. Columns: those of PAIR, n, W, p, normal (p >= alpha).
    """
    rows = []
    for keys, pair in pairs.groupby(PAIR, sort=False):
        difference = _differences(keys, pair)
        tested = difference if keys[0] == "textual" else np.abs(difference)
        test = pg.normality(tested, method="shapiro", alpha=alpha).iloc[0]
        row = {"n": len(tested), "W": float(test.W), "p": positive(test.pval), "normal": bool(test.normal)}
        rows.append(dict(zip(PAIR, keys, strict=True)) | row)
    return pd.DataFrame(rows)


def equivalence_tests(pairs: pd.DataFrame, bounds: pd.Series, *, alpha: float) -> pd.DataFrame:
    """Two one-sided t-tests (TOST): does the mean of the signed difference s - s^u or s - s^δ lie within ± β?

    ``pairs`` as by ``paired_scores``; ``bounds`` gives β by (model, image_set). The stability test asks another question,
    about the size of every single change: shifts that raise half of the scores and lower the other half by as much have a
    mean difference of 0. ``p_holm`` is corrected over the tests of one experiment, model and image set; ``equivalent`` means p_holm < α.
    """
    rows = []
    for keys, pair in pairs.groupby(PAIR, sort=False):
        margin = float(bounds[keys[1:3]])
        difference = _differences(keys, pair)
        test = pg.tost(pair.x.to_numpy(), pair.y.to_numpy(), bound=margin, paired=True).iloc[0]
        row = {"n": len(pair), "margin": margin, "mean_diff": float(difference.mean()), "p": positive(test.pval)}
        rows.append(dict(zip(PAIR, keys, strict=True)) | row)
    tests = pd.DataFrame(rows)
    tests["p_holm"] = tests.groupby(PAIR[:3], sort=False).p.transform(holm)
    tests["equivalent"] = tests.p_holm < alpha
    return tests


def verdicts(textual: pd.DataFrame, visual: pd.DataFrame, equivalence: pd.DataFrame, *, alpha: float) -> pd.DataFrame:
    """Every test of both probes under five rules, and the sample sizes that they require.

    ``textual`` and ``visual`` are the tables of ``cue_tests`` and ``shift_tests``, ``equivalence`` that of
    ``equivalence_tests``. Each rule is true where H0 is rejected: the cue raises the score, the shift leaves it stable.

    ``paper``  the uncorrected signed-rank test; ``holm``  corrected over its family; ``sign``  the sign test, uncorrected
    ``interval``  the interval of the median lies above 0 (textual) or below β (visual)
    ``equivalent``  as by ``equivalence_tests``
    ``minimum_n``  size below which no test of the family can reject; ``required_n``  as by ``signed_rank.required_n``
    """
    textual = textual[textual["view"] == PANORAMA]
    parts = []
    for experiment, tests, compared, inside, decided in (
        ("textual", textual, textual.generic_cue, textual.median_low > 0, textual.reject),
        (
            "visual",
            visual,
            visual["shift"].map("{:g}".format),
            visual.median_abs_diff_high < visual.beta,
            visual.stable,
        ),
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
            "minimum_n": minimum_n(alpha, int(tests.groupby(["model", "image_set"]).size().max())),
            "required_n": tests.required_n,
        }
        parts.append(pd.DataFrame(columns))
    table = pd.concat(parts, ignore_index=True).merge(equivalence[[*PAIR, "equivalent"]], on=PAIR, validate="1:1")
    return table[[*PAIR, "n", *RULES, "minimum_n", "required_n"]]


def count_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """How many tests each rule rejects, for every experiment, model and image set; and the median of the required sizes."""
    groups = table.groupby(["experiment", "model", "image_set"], sort=False)
    counts = groups[RULES].agg(lambda rejected: f"{rejected.sum()} of {len(rejected)}")
    sizes = {"n": groups.n.first(), "minimum_n": groups.minimum_n.first(), "required_n": groups.required_n.median()}
    return counts.assign(**sizes).reset_index()
