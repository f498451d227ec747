"""How far each detail of the protocol moves the scores, and whether it changes a verdict."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from clip360.names import BASELINE
from clip360.stats.inference import Inference, mean, with_interval
from clip360.stats.measurements import select
from clip360.stats.textual_probe import cue_tests
from clip360.stats.visual_probe import shift_pivot, shift_tests, upper_fence

# Details of fine-tuning: (ablation, key of a run's specification, released value, other value).
FINETUNING = (
    ("lora_targets", "method", "lora_as_released", "lora_attention"),
    ("lambda_1", "lam", 1.0, 0.5),
)
CONSEQUENCES = ("trainable_parameters", "images")  # keys of a specification that follow from the others


class Outcome(NamedTuple):
    """What one protocol gives on one image set.

    ``scores``  CLIP scores of the visual probe, as by ``shift_pivot``
    ``mirrored``  |s - s_flip| [N] of the scores that its bound β comes from, in points
    ``verdicts``  by (kind, level): kind cue with the generic cue, kind stable with the shift; bool columns holm, and paper without correction
    """

    scores: pd.DataFrame
    mirrored: np.ndarray
    verdicts: pd.DataFrame


def ablation_table(measurements: pd.DataFrame, *, shifts: Sequence[float], inference: Inference) -> pd.DataFrame:
    """One row for each model, image set and ablation: the protocol with one detail changed, against the baseline.

    ``measurements`` are those of both probes with a column ablation, BASELINE among its values. Columns in points have intervals over images;
    ratios have those of a joint bootstrap, which resamples the images of both sides together.

    ``score_change``  mean absolute change of a score of the visual probe (unshifted, shifted and mirrored), in points
    ``score_change_of_beta``  the same over the baseline's bound β
    ``beta``, ``instability``  the bound, and the mean of |s - s^δ| over images and shifts, in points
    ``instability_of_beta``  the mean of |s - s^δ| over the ablation's own β
    ``cue_tests_rejected``, ``shifts_stable``  tests of the two probes that reject
    ``verdicts_changed``, ``verdicts_changed_paper``  number of tests of both probes that decide otherwise than the baseline: with Holm's correction, and by
    the paper's rule without it
    """
    rows = []
    for (model, image_set), part in measurements.groupby(["model", "image_set"], sort=False):
        outcomes = {name: _probe(group, shifts, inference) for name, group in part.groupby("ablation", sort=False)}
        for name, outcome in outcomes.items():
            row = {"ablation": name, "model": model, "image_set": image_set}
            rows.append(row | _compare(outcome, outcomes[BASELINE], shifts, inference))
    return pd.DataFrame(rows)


def finetuning_ablations(
    frozen: pd.DataFrame,
    finetuned: pd.DataFrame,
    tests: pd.DataFrame,
    runs: Mapping[str, Mapping],
    *,
    shifts: Sequence[float],
    inference: Inference,
) -> pd.DataFrame:
    """``ablation_table`` for two details of fine-tuning: the released list of modules, and λ = 1.

    ``frozen`` and ``finetuned`` are measurements of the trade-off, ``tests`` those of ``tradeoff.finetuned_shift_tests``, ``runs`` the
    specifications by name. A run with the released value is compared with the run that differs in nothing else; without
    such a pair there is no row. β is the frozen model's.
    """
    settings = {name: {key: spec[key] for key in spec if key not in CONSEQUENCES} for name, spec in runs.items()}
    rows = []
    for ablation, key, released, other in FINETUNING:
        for name, spec in settings.items():
            partner = next((run for run, candidate in settings.items() if candidate == spec | {key: other}), None)
            if spec.get(key) != released or partner is None:
                continue
            for image_set in finetuned[finetuned.model == name].image_set.unique():
                mirrored = _mirrored(_scores(frozen, spec["model"], image_set))
                outcome, reference = (
                    Outcome(
                        _scores(finetuned, run, image_set), mirrored, _stable(tests, run, image_set, inference.alpha)
                    )
                    for run in (name, partner)
                )
                row = {"ablation": f"{ablation} ({name})", "model": spec["model"], "image_set": image_set}
                rows.append(row | _compare(outcome, reference, shifts, inference))
    return pd.DataFrame(rows)


def _scores(measurements: pd.DataFrame, model: str, image_set: str) -> pd.DataFrame:
    return shift_pivot(measurements[(measurements.model == model) & (measurements.image_set == image_set)])


def _mirrored(scores: pd.DataFrame) -> np.ndarray:
    return (scores["shift", 0.0] - scores["mirror", 0.0]).abs().to_numpy()


def _stable(tests: pd.DataFrame, model: str, image_set: str, alpha: float) -> pd.DataFrame:
    tested = tests[(tests.model == model) & (tests.image_set == image_set)].set_index("shift")
    return pd.concat({"stable": pd.DataFrame({"holm": tested.stable, "paper": tested.p < alpha})})


def _probe(measurements: pd.DataFrame, shifts: Sequence[float], inference: Inference) -> Outcome:
    """Both probes on the measurements of one model, image set and ablation."""
    shift_rows = select(measurements, "clip_score", "shift", "mirror")
    visual = shift_tests(shift_rows, shifts=shifts, inference=inference).set_index("shift")
    textual = cue_tests(measurements, inference=inference).set_index("generic_cue")
    verdicts = {
        "cue": pd.DataFrame({"holm": textual.reject, "paper": textual.p < inference.alpha}),
        "stable": pd.DataFrame({"holm": visual.stable, "paper": visual.p < inference.alpha}),
    }
    scores = shift_pivot(shift_rows)
    return Outcome(scores, _mirrored(scores), pd.concat(verdicts))


def _compare(outcome: Outcome, baseline: Outcome, shifts: Sequence[float], inference: Inference) -> dict:
    """How the scores and verdicts of an outcome differ from those of the baseline."""
    scores, verdicts = outcome.scores, outcome.verdicts
    change = (scores - baseline.scores).abs().mean(axis=1).to_numpy()
    under_shifts = scores["shift"][list(shifts)].sub(scores["shift", 0.0], axis=0).abs().mean(axis=1).to_numpy()
    measures = {
        "score_change": (change, mean),
        "score_change_of_beta": (np.stack([change, baseline.mirrored]), _mean_over_fence),
        "beta": (outcome.mirrored, upper_fence),
        "instability": (under_shifts, mean),
        "instability_of_beta": (np.stack([under_shifts, outcome.mirrored]), _mean_over_fence),
    }
    row = {"n": len(scores)}
    for name, (values, statistic) in measures.items():
        row |= with_interval(name, values, statistic, inference=inference)
    changed = verdicts != baseline.verdicts
    return row | {
        "cue_tests_rejected": _count(verdicts.holm.xs("cue")) if "cue" in verdicts.index else "",
        "shifts_stable": _count(verdicts.holm.xs("stable")),
        "verdicts_changed": int(changed.holm.sum()),
        "verdicts_changed_paper": int(changed.paper.sum()),
    }


def _mean_over_fence(values: np.ndarray) -> np.ndarray:
    """Mean of the first row over the upper Tukey fence of the second, of [2, ..., N]."""
    return mean(values[0]) / upper_fence(values[1])


def _count(verdicts: pd.Series) -> str:
    return f"{verdicts.sum()} of {len(verdicts)}"
