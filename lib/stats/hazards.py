"""How far each detail of the protocol moves the scores, and whether it changes a verdict."""

import pandas as pd

from lib.stats.ranks import bootstrap
from lib.stats.textual import textual_tests
from lib.stats.visual import shift_pivot, visual_tests

BASELINE = "as it is"


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
            change = (table - base).abs().mean(axis=1).to_numpy()
            low, high = bootstrap(change, lambda x: x.mean(-1), seed=seed, draws=draws)
            moved = table["shift"][shifts].sub(table["shift", 0.0], axis=0).abs()
            stable = decided.xs("stable")
            rows.append(
                {
                    "hazard": name,
                    "model": model,
                    "image_set": image_set,
                    "n": len(table),
                    "score_change": change.mean(),
                    "score_change_low": low,
                    "score_change_high": high,
                    "beta": table.attrs["beta"],
                    "instability": moved.to_numpy().mean(),
                    "cues": _share(decided.xs("cue")),
                    "stable": _share(stable),
                    "verdicts_changed": int((decided != verdicts).sum()),
                }
            )
    return pd.DataFrame(rows)


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
