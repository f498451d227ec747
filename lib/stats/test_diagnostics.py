"""How far a verdict can be trusted: normality, equivalence, other tests of the same question, and sample sizes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pingouin as pg
from scipy.stats import binom, norm, rankdata, skew, t

from clip360.names import PANORAMA
from clip360.stats.inference import Inference, holm, positive, with_interval
from clip360.stats.measurements import KEYS
from clip360.stats.signed_rank import differences, minimum_n
from clip360.stats.textual_probe import cue_pairs
from clip360.stats.visual_probe import count_true, shift_pivot

PAIR = ["experiment", "model", "image_set", "compared"]
GROUP = PAIR[:3]
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


def skewness(pairs: pd.DataFrame, *, inference: Inference) -> pd.DataFrame:
    """Skewness of the tested differences s - s^u and |s - s^δ|, the mean over the tests of an experiment, model and image set.

    0 for symmetric differences, of which the signed-rank test is a test of the median; 1 for the absolute values of normal ones.
    Columns: experiment, model, image_set, tests, n, ``skewness`` with its bootstrap interval over images.
    """
    rows = []
    for keys, group in pairs.groupby(GROUP, sort=False):
        difference = _signed(group)
        tested = difference if keys[0] == "textual" else np.abs(difference)
        row = {"tests": tested.shape[0], "n": tested.shape[1]}
        row |= with_interval("skewness", tested, lambda x: skew(x, axis=-1).mean(0), inference=inference)
        rows.append(dict(zip(GROUP, keys, strict=True)) | row)
    return pd.DataFrame(rows)


def _signed(group: pd.DataFrame) -> np.ndarray:
    """Differences x - y [K, N] of one experiment, model and image set: tests, images."""
    difference = (group.x - group.y).rename("difference")
    table = pd.concat([group[["image", "compared"]], difference], axis=1)
    return table.pivot(index="compared", columns="image", values="difference").to_numpy()


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
    tests["p_holm"] = tests.groupby(GROUP, sort=False).p.transform(holm)
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


def rule_fractions(
    table: pd.DataFrame, pairs: pd.DataFrame, bounds: pd.Series, *, inference: Inference
) -> pd.DataFrame:
    """How the rules compare, for every experiment, model, image set and rule but ``interval``, which would need a bootstrap of a bootstrap.

    ``table``, ``pairs`` and ``bounds`` are those of ``verdicts``, ``paired_scores`` and ``equivalence_tests``.

    ``rejected``  fraction of the tests that reject
    ``agrees``    fraction of the tests on which the rule and the paper's agree
    ``excess``    ``rejected`` minus that of the paper's rule

    Resampled images give the verdicts anew (normal approximation; β as given); the intervals are percentiles of the fractions.
    """
    rows = []
    for keys, group in pairs.groupby(GROUP, sort=False):
        decided = table[(table[GROUP] == list(keys)).all(axis=1)]
        difference = _signed(group)
        images = np.random.default_rng(inference.seed).integers(
            difference.shape[1], size=(inference.n_bootstrap, difference.shape[1])
        )
        margin = float(bounds[keys[1:]])
        resampled = decide(difference[:, images], keys[0], margin=margin, alpha=inference.alpha)
        for rule, verdict in resampled.items():
            row = dict(zip(GROUP, keys, strict=True)) | {"rule": rule, "tests": len(decided)}
            of_table, of_resamples = (
                {
                    "rejected": one.mean(0),
                    "agrees": (one == paper).mean(0),
                    "excess": one.mean(0) - paper.mean(0),
                }
                for one, paper in (
                    (decided[rule].to_numpy(), decided.paper.to_numpy()),
                    (verdict, resampled["paper"]),
                )
            )
            for name, value in of_table.items():
                tail = 100 * inference.alpha / 2
                low, high = np.percentile(of_resamples[name], [tail, 100 - tail])
                row |= {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}
            rows.append(row)
    return pd.DataFrame(rows)


def decide(difference: np.ndarray, experiment: str, *, margin: float, alpha: float) -> dict[str, np.ndarray]:
    """Verdicts of four rules on signed differences s - s^u or s - s^δ, float [K, ..., N] (a family of K tests, images last): bool [K, ...].

    The signed-rank test uses the normal approximation: T+ has mean Σ r / 2 and variance Σ r² / 4 over the ranks r of the
    differences that are not 0, ties included.
    """
    toward = difference if experiment == "textual" else margin - np.abs(difference)
    n = difference.shape[-1]
    ranks = rankdata(np.abs(toward), axis=-1) - (toward == 0).sum(-1, keepdims=True)
    ranks = np.where(toward == 0, 0, ranks)
    z = (np.sign(toward) * ranks).sum(-1) / np.sqrt(np.maximum((ranks * ranks).sum(-1), 1))
    p = norm.sf(z)
    p_sign = binom.sf((toward > 0).sum(-1) - 1, (toward != 0).sum(-1), 0.5)
    error = np.maximum(difference.std(-1, ddof=1) / np.sqrt(n), np.finfo(float).tiny)
    p_equivalent = t.sf((margin - np.abs(difference.mean(-1))) / error, n - 1)
    return {
        "paper": p < alpha,
        "holm": holm_rejects(p, alpha),
        "sign": p_sign < alpha,
        "equivalent": holm_rejects(p_equivalent, alpha),
    }


def holm_rejects(p: np.ndarray, alpha: float) -> np.ndarray:
    """Which p-values [K, ...] Holm's procedure rejects over the family of K tests, for each of the other axes.

    >>> holm_rejects(np.array([0.004, 0.02, 0.001]), 0.01)
    array([ True, False,  True])
    """
    order = p.argsort(0)
    factors = np.arange(len(p), 0, -1).reshape(-1, *[1] * (p.ndim - 1))
    corrected = np.maximum.accumulate(np.take_along_axis(p, order, 0) * factors, axis=0)
    rejected = np.empty(p.shape, dtype=bool)
    np.put_along_axis(rejected, order, corrected < alpha, axis=0)
    return rejected


def count_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """How many tests each rule rejects, for every experiment, model and image set; and the median of the required sizes."""
    groups = table.groupby(GROUP, sort=False)
    counts = groups[RULES].agg(count_true)
    sizes = {"n": groups.n.first(), "minimum_n": groups.minimum_n.first(), "required_n": groups.required_n.median()}
    return counts.assign(**sizes).reset_index()
