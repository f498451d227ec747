"""How far each detail of the protocol moves the scores, and whether it changes a verdict."""

import pandas as pd

from clip360.stats.signed_rank import with_interval
from clip360.stats.textual_probe import textual_tests
from clip360.stats.visual_probe import shift_pivot, visual_tests

BASELINE = "as it is"
# Details of fine-tuning: the key of a run, as released, and as it should be.
TUNING = (("lora_targets", "strategy", "released", "attention"), ("lambda_1", "weight", 1.0, 0.5))


def hazards(scores: pd.DataFrame, *, shifts: list[float], alpha: float, seed: int, draws: int) -> pd.DataFrame:
    """One row for each model, image set and hazard: the protocol with one detail changed, against the protocol as it is.

    ``scores`` are those of both probes with a column hazard, BASELINE among them.
    ``score_change``  mean of how far a score of the visual probe moves, in points: over images, and as they are, shifted
    and mirrored; with its interval over images
    ``beta``, ``instability``  the bound, and the mean of |s - s^δ| over images and shifts
    ``cues``, ``stable``  tests of the two probes that reject; ``verdicts_changed`` those that decide otherwise
    """
    rows = []
    for (model, image_set), part in scores.groupby(["model", "image_set"], sort=False):
        groups = dict(list(part.groupby("hazard", sort=False)))
        measured = {
            name: _measure(group, shifts, alpha=alpha, seed=seed, draws=draws) for name, group in groups.items()
        }
        base, verdicts = measured[BASELINE]
        for name, (table, decided) in measured.items():
            row = {"hazard": name, "model": model, "image_set": image_set}
            rows.append(row | _compare(table, base, decided, verdicts, shifts, seed=seed, draws=draws))
    return pd.DataFrame(rows)


def tuning_hazards(
    tuned: pd.DataFrame, tests: pd.DataFrame, runs: dict[str, dict], *, shifts: list[float], seed: int, draws: int
) -> pd.DataFrame:
    """The same for two details of fine-tuning: the released list of modules, and λ = 1, each against a run without it.

    ``tuned`` are scores of tuned models, ``tests`` those of ``stats.tradeoff.tuned_tests``, ``runs`` by name. Pairs of runs
    that differ in nothing else are compared; without such a pair there is no row.
    """
    rows = []
    for hazard, key, released, careful in TUNING:
        for name, spec in runs.items():
            other = next((run for run, alike in runs.items() if alike == spec | {key: careful}), None)
            if spec.get(key) != released or other is None:
                continue
            for image_set in tuned[tuned.model == name].image_set.unique():
                (table, decided), (base, before) = (
                    _tuned(tuned, tests, model=run, image_set=image_set) for run in (name, other)
                )
                row = {"hazard": f"{hazard} ({name})", "model": spec["model"], "image_set": image_set}
                rows.append(row | _compare(table, base, decided, before, shifts, seed=seed, draws=draws))
    return pd.DataFrame(rows)


def _tuned(tuned: pd.DataFrame, tests: pd.DataFrame, **of: str) -> tuple[pd.DataFrame, pd.Series]:
    part, tested = (table[(table[list(of)] == list(of.values())).all(axis=1)] for table in (tuned, tests))
    table = shift_pivot(part[part.condition.isin(["shift", "mirror"])])
    table.attrs["beta"] = tested.beta.iloc[0]
    return table, pd.concat({"stable": tested.set_index("shift").stable})


def _compare(
    table: pd.DataFrame,
    base: pd.DataFrame,
    decided: pd.Series,
    before: pd.Series,
    shifts: list[float],
    **resampling: int,
) -> dict:
    """How scores [image, condition] and verdicts differ from those of the baseline."""
    change = (table - base).abs().mean(axis=1).to_numpy()
    moved = table["shift"][shifts].sub(table["shift", 0.0], axis=0).abs()
    return {
        "n": len(table),
        **with_interval("score_change", change, lambda x: x.mean(-1), **resampling),
        "beta": table.attrs["beta"],
        "instability": moved.to_numpy().mean(),
        "cues": _share(decided.xs("cue")) if "cue" in decided.index else "",
        "stable": _share(decided.xs("stable")),
        "verdicts_changed": int((decided != before).sum()),
    }


def _measure(scores: pd.DataFrame, shifts: list[float], **test) -> tuple[pd.DataFrame, pd.Series]:
    """Scores by condition, with β; and the verdict of every test, by its kind (cue, stable) and level."""
    shifted = scores[scores.condition.isin(["shift", "mirror"])].astype({"value": float})
    visual = visual_tests(shifted, shifts=shifts, **test)
    textual = textual_tests(scores[scores.condition.isin(["cue", "generic"])], **test)
    table = shift_pivot(shifted)
    table.attrs["beta"] = visual.beta.iloc[0]
    verdicts = {"cue": textual.set_index("generic").reject, "stable": visual.set_index("shift").stable}
    return table, pd.concat(verdicts)


def _share(verdicts: pd.Series) -> str:
    return f"{verdicts.sum()} of {len(verdicts)}"
