"""The stability bound β from other controls than the mirrored image, and the verdicts under each."""

from collections.abc import Sequence

import pandas as pd

from clip360.stats.inference import Inference, with_interval
from clip360.stats.measurements import KEYS, by_image, select
from clip360.stats.visual_probe import shift_tests, upper_fence

MIRRORED, ANY_CONTROL = "mirror", "any control"
CONTENT_MATCHED = "center_crop, content-matched"  # a view: the window shifted in itself instead of the panorama


def content_matched(measurements: pd.DataFrame) -> pd.DataFrame:
    """CLIP scores of the unshifted window shifted in itself, as rows of the condition ``shift`` of the view CONTENT_MATCHED.

    Of the centre crop's rows, the controls and the unshifted score stay as they are; the in-window shift becomes the level.
    """
    crop = select(measurements, "clip_score")
    crop = crop[crop["view"] == "center_crop"]
    windows = crop[(crop.condition == "window") & (crop.level == 0)]
    unshifted = crop[((crop.condition == "shift") & (crop.level == 0)) | ~crop.condition.isin(["shift", "window"])]
    shifted = windows.assign(condition="shift", level=windows.in_window_shift)
    return pd.concat([unshifted, shifted]).assign(view=CONTENT_MATCHED)


def beta_by_control(measurements: pd.DataFrame, controls: Sequence[str], *, inference: Inference) -> pd.DataFrame:
    """β for every model, image set and view by each control alone and by ANY_CONTROL, with its bootstrap interval.

    ``controls`` are conditions of the CLIP score that leave the content of a panorama as it is. By ANY_CONTROL the change
    of an image is the largest that any control makes: β then bounds what every control does.
    """
    rows = []
    for keys, part in select(measurements, "clip_score", "shift", *controls).groupby(KEYS, sort=False):
        table = by_image(part, ["condition", "level"])
        changes = table.sub(table["shift", 0.0], axis=0).abs()
        by_control = {control: changes[control].max(axis=1) for control in controls if control in changes}
        by_control[ANY_CONTROL] = pd.concat(by_control, axis=1).max(axis=1)
        for control, change in by_control.items():
            row = dict(zip(KEYS, keys, strict=True)) | {"control": control, "n": len(change)}
            row |= with_interval("beta", change.to_numpy(), upper_fence, inference=inference)
            rows.append(row)
    return pd.DataFrame(rows)


def verdicts_by_control(
    measurements: pd.DataFrame,
    bounds: pd.DataFrame,
    *,
    shifts: Sequence[float],
    inference: Inference,
) -> pd.DataFrame:
    """The table ``bounds`` of ``beta_by_control`` with the stability tests under each control, Holm-corrected for each.

    Adds ``tests`` and ``stable`` (numbers of tested and of stable ``shifts``), ``worst`` (the median change in points at
    the worst shift) and ``of_beta`` (the same over β), both with the interval of the median.
    """
    shifted = select(measurements, "clip_score", "shift")
    parts = []
    for _, bound in bounds.groupby("control", sort=False):
        betas = bound.set_index(KEYS).beta
        tested = shifted[shifted.set_index(KEYS).index.isin(betas.index)]
        tests = shift_tests(tested, shifts=shifts, inference=inference, bounds=betas)
        groups = tests.groupby(KEYS, sort=False)
        worst = tests.loc[groups.median_abs_diff.idxmax()].set_index(KEYS)
        columns = {"tests": groups.size(), "stable": groups.stable.sum(), "worst": worst.median_abs_diff}
        columns |= {"worst_low": worst.median_abs_diff_low, "worst_high": worst.median_abs_diff_high}
        parts.append(bound.merge(pd.DataFrame(columns).reset_index(), on=KEYS, validate="1:1"))
    verdicts = pd.concat(parts, ignore_index=True)
    ratios = {f"of_beta{end}": verdicts[f"worst{end}"] / verdicts.beta for end in ("", "_low", "_high")}
    return verdicts.assign(**ratios)


def bound_comparison(verdicts: pd.DataFrame) -> pd.DataFrame:
    """One row for each model, image set and view, in words: β and stable shifts by the mirror, and by ANY_CONTROL."""
    by_control = {
        name: verdicts[verdicts.control == control].set_index(KEYS)
        for name, control in (("mirror", MIRRORED), ("any control", ANY_CONTROL))
    }
    columns = {}
    for name, rows in by_control.items():
        columns[f"beta, {name}"] = _intervals(rows, "beta")
        columns[f"stable, {name}"] = [f"{stable} of {tests}" for stable, tests in rows[["stable", "tests"]].to_numpy()]
    mirrored = by_control["mirror"]
    columns["worst shift"] = _intervals(mirrored, "worst")
    return pd.DataFrame(columns, index=mirrored.index).reset_index()


def _intervals(rows: pd.DataFrame, name: str) -> list[str]:
    values = rows[[name, f"{name}_low", f"{name}_high"]].to_numpy()
    return [f"{value:.1f} [{low:.1f}, {high:.1f}]" for value, low, high in values]
