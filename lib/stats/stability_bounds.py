"""The stability bound β from other controls than the mirrored image, and what becomes of the verdicts."""

import pandas as pd

from clip360.stats.signed_rank import with_interval
from clip360.stats.visual_probe import KEYS, upper_fence, visual_tests

MIRRORED, FAIR = "mirror", "any harmless change"
HELD = "center_crop, content held"  # the window turned in itself instead of the panorama


def hold_content(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of the unshifted window turned in itself, as if they were those of shifts, under the view ``HELD``."""
    crop = scores[scores["view"] == "center_crop"]
    turned = crop[(crop.condition == "window") & (crop.value == 0)]
    still = crop[((crop.condition == "shift") & (crop.value == 0)) | ~crop.condition.isin(["shift", "window"])]
    return pd.concat([still, turned.assign(condition="shift", value=turned.turn)]).assign(view=HELD)


def bounds(scores: pd.DataFrame, controls: list[str], *, seed: int, draws: int) -> pd.DataFrame:
    """β for every model, image set and view by each control alone and by FAIR, with its interval.

    By FAIR a picture's change is the largest that any control makes to it: β is then what harmless changes stay below.
    """
    rows = []
    for keys, part in scores.groupby(KEYS, sort=False):
        table = part[part.condition.isin(["shift", *controls])].pivot(
            index="image", columns=["condition", "value"], values="score"
        )
        changes = table.sub(table["shift", 0.0], axis=0).abs()
        kinds = {control: changes[control].max(axis=1) for control in controls if control in changes}
        kinds[FAIR] = pd.concat(kinds, axis=1).max(axis=1)
        for control, change in kinds.items():
            row = dict(zip(KEYS, keys, strict=True)) | {"control": control, "n": len(change)}
            rows.append(row | with_interval("beta", change.to_numpy(), upper_fence, seed=seed, draws=draws))
    return pd.DataFrame(rows)


def verdicts_by_bound(
    scores: pd.DataFrame, table: pd.DataFrame, *, shifts: list[float], alpha: float, seed: int, draws: int
) -> pd.DataFrame:
    """``bounds`` with the stability test under each: how many of the ``shifts`` are stable, after Holm's correction.

    ``worst`` is the median change at the worst shift and ``of_beta`` the same over β, both with the interval of the median.
    """
    shifted = scores[scores.condition == "shift"]
    parts = []
    for _, bound in table.groupby("control", sort=False):
        known = bound.set_index(KEYS).beta
        among = shifted[shifted.set_index(KEYS).index.isin(known.index)]
        tests = visual_tests(among, shifts=shifts, alpha=alpha, seed=seed, draws=draws, bounds=known)
        groups = tests.groupby(KEYS, sort=False)
        worst = tests.loc[groups.median_abs_diff.idxmax()].set_index(KEYS)
        columns = {"tests": groups.size(), "stable": groups.stable.sum(), "worst": worst.median_abs_diff}
        columns |= {"worst_low": worst.median_low, "worst_high": worst.median_high}
        parts.append(bound.merge(pd.DataFrame(columns).reset_index(), on=KEYS, validate="1:1"))
    verdicts = pd.concat(parts, ignore_index=True)
    ratios = {f"of_beta{end}": verdicts[f"worst{end}"] / verdicts.beta for end in ("", "_low", "_high")}
    return verdicts.assign(**ratios)


def released_against_fair(verdicts: pd.DataFrame) -> pd.DataFrame:
    """One row for each model, image set and view: β and stable shifts by the mirror, and by any harmless change."""
    sides = [verdicts[verdicts.control == control].set_index(KEYS) for control in (MIRRORED, FAIR)]
    columns = {}
    for name, side in zip(("released", "fair"), sides, strict=True):
        columns[f"beta, {name}"] = [
            f"{b:.1f} [{low:.1f}, {high:.1f}]" for b, low, high in side[["beta", "beta_low", "beta_high"]].to_numpy()
        ]
        columns[f"stable, {name}"] = [f"{stable} of {tests}" for stable, tests in side[["stable", "tests"]].to_numpy()]
    first = sides[0]
    columns["worst shift"] = [
        f"{w:.1f} [{low:.1f}, {high:.1f}]" for w, low, high in first[["worst", "worst_low", "worst_high"]].to_numpy()
    ]
    return pd.DataFrame(columns, index=first.index).reset_index()
