"""The stability bound β from other controls than the mirrored image, and the verdicts under each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from clip360.stats.inference import Inference, with_interval
from clip360.stats.measurements import KEYS, by_image, select
from clip360.stats.stability_ratio import worst_ratios
from clip360.stats.visual_probe import shift_tests, upper_fence

MIRROR = "mirror"
CROP_MIRROR = "mirror under the centre crop"
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


def control_changes(
    measurements: pd.DataFrame, controls: Sequence[str]
) -> dict[str, dict[tuple[str, str, str], pd.Series]]:
    """|s - s_control| by image for each control and each (model, image_set, view).

    ``controls`` are conditions of the CLIP score that leave the content of a panorama as it is; of a control with several levels the
    largest change counts. A control without scores is left out. CROP_MIRROR is added: the mirror's change under the centre crop, for every
    view, because β estimated anew for each view hides that a view changes β too.
    """
    changes: dict[str, dict[tuple[str, str, str], pd.Series]] = {control: {} for control in (*controls, CROP_MIRROR)}
    for keys, part in select(measurements, "clip_score", "shift", *controls).groupby(KEYS, sort=False):
        table = by_image(part, ["condition", "level"])
        change = table.sub(table["shift", 0.0], axis=0).abs()
        for control in controls:
            if control in change:
                changes[control][keys] = change[control].max(axis=1)
    mirrored = changes.get(MIRROR, {})
    for model, image_set, view in mirrored:
        if (crop := (model, image_set, "center_crop")) in mirrored:
            changes[CROP_MIRROR][model, image_set, view] = mirrored[crop]
    return {control: by_keys for control, by_keys in changes.items() if by_keys}


def verdicts_by_control(
    measurements: pd.DataFrame,
    changes: Mapping[str, Mapping[tuple[str, str, str], pd.Series]],
    *,
    shifts: Sequence[float],
    inference: Inference,
) -> pd.DataFrame:
    """One row for each control of ``control_changes`` and each model, image set and view: β and the stability tests under it.

    Columns: control, model, image_set, view, n, ``beta`` with its bootstrap interval, ``tests`` (number of tested ``shifts``), ``stable`` and
    ``stable_uncorrected`` (how many are stable by Holm's correction over them, and by the paper's rule), those of ``worst_ratios``, and
    ``beta_to_mirror``, β over the mirror's β of the same view, resampled together.
    """
    shifted = select(measurements, "clip_score", "shift", "mirror")
    counted = replace(inference, n_bootstrap=1)  # verdicts are counted, their effects' intervals are not used
    parts = []
    for control, by_keys in changes.items():
        bounds = pd.Series({keys: float(upper_fence(change)) for keys, change in by_keys.items()})
        tested = shifted[shifted.set_index(KEYS).index.isin(bounds.index)]
        groups = shift_tests(tested, shifts=shifts, inference=counted, bounds=bounds).groupby(KEYS, sort=False)
        counts = {"tests": groups.size(), "stable": groups.stable.sum()}
        counts |= {"stable_uncorrected": groups.stable_uncorrected.sum()}
        ratios = worst_ratios(tested, shifts=shifts, inference=inference, controls=by_keys)
        relative = _to_mirror(by_keys, changes[MIRROR], inference)
        ratios = ratios.merge(relative, on=KEYS, validate="1:1")
        parts.append(pd.DataFrame(counts).reset_index().merge(ratios, on=KEYS, validate="1:1").assign(control=control))
    verdicts = pd.concat(parts, ignore_index=True)
    first = [*KEYS, "control", "n", "beta", "beta_low", "beta_high"]
    return verdicts[[*first, *verdicts.columns.drop(first)]]


def _to_mirror(
    by_keys: Mapping[tuple[str, str, str], pd.Series],
    mirrored: Mapping[tuple[str, str, str], pd.Series],
    inference: Inference,
) -> pd.DataFrame:
    rows = []
    for keys, change in by_keys.items():
        both = np.stack([change, mirrored[keys].reindex(change.index)])
        ratio = with_interval(
            "beta_to_mirror", both, lambda x: upper_fence(x[0]) / upper_fence(x[1]), inference=inference
        )
        rows.append(dict(zip(KEYS, keys, strict=True)) | ratio)
    return pd.DataFrame(rows)


def bound_comparison(verdicts: pd.DataFrame) -> pd.DataFrame:
    """In words, one row for each control, model and image set of a view's verdicts: β, stable shifts by both rules, and the worst shift over β."""
    columns = {
        "control": verdicts.control,
        "model": verdicts.model,
        "image_set": verdicts.image_set,
        "beta": _intervals(verdicts, "beta"),
        "stable, uncorrected": _counts(verdicts, "stable_uncorrected"),
        "stable, Holm": _counts(verdicts, "stable"),
        "worst shift / beta": _intervals(verdicts, "of_beta"),
        "mean shift / beta": _intervals(verdicts, "of_beta_mean"),
    }
    return pd.DataFrame(columns).reset_index(drop=True)


def _counts(rows: pd.DataFrame, name: str) -> list[str]:
    return [f"{stable} of {tests}" for stable, tests in rows[[name, "tests"]].to_numpy()]


def _intervals(rows: pd.DataFrame, name: str) -> list[str]:
    values = rows[[name, f"{name}_low", f"{name}_high"]].to_numpy()
    return [f"{value:.2g} [{low:.2g}, {high:.2g}]" for value, low, high in values]
