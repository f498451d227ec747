"""How far each detail of the protocol moves the scores, and whether it changes a verdict."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from clip360.names import BASELINE
from clip360.stats.inference import Inference, mean, with_interval
from clip360.stats.measurements import select
from clip360.stats.textual_probe import cue_tests
from clip360.stats.visual_probe import shift_pivot, shift_tests

# Details of fine-tuning: (ablation, key of a run's specification, released value, other value).
FINETUNING = (
    ("lora_targets", "method", "lora_as_released", "lora_attention"),
    ("lambda_1", "lam", 1.0, 0.5),
)
CONSEQUENCES = ("trainable_parameters", "images")  # keys of a specification that follow from the others


class Outcome(NamedTuple):
    """What one protocol gives on one image set.

    ``scores``  CLIP scores of the visual probe, as by ``shift_pivot``
    ``beta``  the stability bound, in points
    ``verdicts``  bool by (kind, level): kind cue with the generic cue, kind stable with the shift
    """

    scores: pd.DataFrame
    beta: float
    verdicts: pd.Series


def ablation_table(measurements: pd.DataFrame, *, shifts: Sequence[float], inference: Inference) -> pd.DataFrame:
    """One row for each model, image set and ablation: the protocol with one detail changed, against the baseline.

    ``measurements`` are those of both probes with a column ablation, BASELINE among its values.

    ``score_change``  mean absolute change of a score of the visual probe (unshifted, shifted and mirrored), in points, with
    its bootstrap interval over images
    ``beta``, ``instability``  the bound, and the mean of |s - s^δ| over images and shifts, in points
    ``cue_tests_rejected``, ``shifts_stable``  tests of the two probes that reject
    ``verdicts_changed``  number of tests of both probes that decide otherwise than the baseline
    """
    rows = []
    for (model, image_set), part in measurements.groupby(["model", "image_set"], sort=False):
        outcomes = {name: _probe(group, shifts, inference) for name, group in part.groupby("ablation", sort=False)}
        for name, outcome in outcomes.items():
            row = {"ablation": name, "model": model, "image_set": image_set}
            rows.append(row | _compare(outcome, outcomes[BASELINE], shifts, inference))
    return pd.DataFrame(rows)


def finetuning_ablations(
    finetuned: pd.DataFrame,
    tests: pd.DataFrame,
    runs: Mapping[str, Mapping],
    *,
    shifts: Sequence[float],
    inference: Inference,
) -> pd.DataFrame:
    """``ablation_table`` for two details of fine-tuning: the released list of modules, and λ = 1.

    ``finetuned`` are measurements of the trade-off, ``tests`` those of ``tradeoff.finetuned_shift_tests``, ``runs`` the
    specifications by name. A run with the released value is compared with the run that differs in nothing else; without
    such a pair there is no row.
    """
    settings = {name: {key: spec[key] for key in spec if key not in CONSEQUENCES} for name, spec in runs.items()}
    rows = []
    for ablation, key, released, other in FINETUNING:
        for name, spec in settings.items():
            partner = next((run for run, candidate in settings.items() if candidate == spec | {key: other}), None)
            if spec.get(key) != released or partner is None:
                continue
            for image_set in finetuned[finetuned.model == name].image_set.unique():
                outcome, reference = (
                    _finetuned_outcome(finetuned, tests, model=run, image_set=image_set) for run in (name, partner)
                )
                row = {"ablation": f"{ablation} ({name})", "model": spec["model"], "image_set": image_set}
                rows.append(row | _compare(outcome, reference, shifts, inference))
    return pd.DataFrame(rows)


def _finetuned_outcome(finetuned: pd.DataFrame, tests: pd.DataFrame, *, model: str, image_set: str) -> Outcome:
    scores, tested = (table[(table.model == model) & (table.image_set == image_set)] for table in (finetuned, tests))
    verdicts = pd.concat({"stable": tested.set_index("shift").stable})
    return Outcome(shift_pivot(scores), tested.beta.iloc[0], verdicts)


def _probe(measurements: pd.DataFrame, shifts: Sequence[float], inference: Inference) -> Outcome:
    """Both probes on the measurements of one model, image set and ablation."""
    shift_rows = select(measurements, "clip_score", "shift", "mirror")
    visual = shift_tests(shift_rows, shifts=shifts, inference=inference)
    textual = cue_tests(measurements, inference=inference)
    verdicts = {"cue": textual.set_index("generic_cue").reject, "stable": visual.set_index("shift").stable}
    return Outcome(shift_pivot(shift_rows), visual.beta.iloc[0], pd.concat(verdicts))


def _compare(outcome: Outcome, baseline: Outcome, shifts: Sequence[float], inference: Inference) -> dict:
    """How the scores and verdicts of an outcome differ from those of the baseline."""
    scores, verdicts = outcome.scores, outcome.verdicts
    change = (scores - baseline.scores).abs().mean(axis=1).to_numpy()
    under_shifts = scores["shift"][list(shifts)].sub(scores["shift", 0.0], axis=0).abs()
    return {
        "n": len(scores),
        **with_interval("score_change", change, mean, inference=inference),
        "beta": outcome.beta,
        "instability": under_shifts.to_numpy().mean(),
        "cue_tests_rejected": _count(verdicts.xs("cue")) if "cue" in verdicts.index else "",
        "shifts_stable": _count(verdicts.xs("stable")),
        "verdicts_changed": int((verdicts != baseline.verdicts).sum()),
    }


def _count(verdicts: pd.Series) -> str:
    return f"{verdicts.sum()} of {len(verdicts)}"
