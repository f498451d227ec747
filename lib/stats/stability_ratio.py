"""How large the change under a shift is beside the bound β: the criterion of stability, and what it consists of."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from clip360.stats.inference import (
    Inference,
    largest,
    median,
    percentiles,
    resampled_images,
    resampled_medians,
    with_interval,
)
from clip360.stats.measurements import KEYS, select
from clip360.stats.signed_rank import paired_differences
from clip360.stats.visual_probe import shift_pivot, upper_fence


def shift_ratios(measurements: pd.DataFrame, *, shifts: Sequence[float], inference: Inference) -> pd.DataFrame:
    """The median over images of |s - s^δ| over β, by model, image set, view and shift: ``of_beta``, with its joint interval.

    Resampled images give the median and β anew, together.
    """
    rows = []
    for keys, changes, control in _changes(measurements, shifts, None):
        ratios, resampled = ratios_to_bound(changes, control, inference=inference)
        low, high = percentiles(resampled, inference.alpha)
        columns = {
            "shift": list(shifts),
            "n": len(control),
            "of_beta": ratios,
            "of_beta_low": low,
            "of_beta_high": high,
        }
        rows.append(pd.DataFrame(dict(zip(KEYS, keys, strict=True)) | columns))
    return pd.concat(rows, ignore_index=True)


def worst_ratios(
    measurements: pd.DataFrame,
    *,
    shifts: Sequence[float],
    inference: Inference,
    controls: Mapping[tuple[str, str, str], pd.Series] | None = None,
) -> pd.DataFrame:
    """The criterion of stability: the ratio of ``shift_ratios`` at the worst of ``shifts``, by model, image set and view.

    Stable means that the interval lies below 1. ``controls`` gives the changes whose upper fence is β, by image, for each (model,
    image_set, view); by default |s - s_flip| of the same rows. Columns: model, image_set, view, n, ``beta`` with its interval, ``worst_shift``, ``of_beta`` with the
    interval of ``largest``, and ``of_beta_mean``, the mean over the shifts, with its percentile interval. The first is too
    large on average, because the data choose the shift; the second is not, so that claims of instability rest on it.
    """
    rows = []
    for keys, changes, control in _changes(measurements, shifts, controls):
        ratios, resampled = ratios_to_bound(changes, control, inference=inference)
        row = {"n": len(control)} | with_interval("beta", control, upper_fence, inference=inference)
        row["worst_shift"] = shifts[ratios.argmax()]
        row |= largest("of_beta", ratios, resampled, alpha=inference.alpha)
        low, high = percentiles(resampled.mean(0), inference.alpha)
        row |= {"of_beta_mean": ratios.mean(), "of_beta_mean_low": low, "of_beta_mean_high": high}
        rows.append(dict(zip(KEYS, keys, strict=True)) | row)
    return pd.DataFrame(rows)


def _changes(
    measurements: pd.DataFrame, shifts: Sequence[float], controls: Mapping[tuple[str, str, str], pd.Series] | None
) -> Iterator[tuple[tuple[str, str, str], np.ndarray, np.ndarray]]:
    """For each model, image set and view: these keys, |s - s^δ| [S, N] and the control's changes [N]."""
    for keys, part in select(measurements, "clip_score", "shift", "mirror").groupby(KEYS, sort=False):
        table = shift_pivot(part)
        s = table["shift", 0.0]
        control = (table["mirror", 0.0] - s).abs() if controls is None else controls[keys].reindex(s.index)
        yield (
            keys,
            np.stack([np.abs(paired_differences(s, table["shift", shift])) for shift in shifts]),
            control.to_numpy(),
        )


def worst_ratio(name: str, changes: np.ndarray, control: np.ndarray, *, inference: Inference) -> dict[str, float]:
    """The largest of ``ratios_to_bound`` with its interval: NAME, NAME_low, NAME_high."""
    return largest(name, *ratios_to_bound(changes, control, inference=inference), alpha=inference.alpha)


def ratios_to_bound(changes: np.ndarray, control: np.ndarray, *, inference: Inference) -> tuple[np.ndarray, np.ndarray]:
    """Medians of changes [S, N] over the upper fence of a control's changes [N] of the same images: [S], and resampled [S, n_bootstrap].

    Raises ValueError where the control changes no score.
    """
    if not control.any():
        raise ValueError("the control changes no score: β would be 0, check the control")
    images = resampled_images(len(control), inference)
    smallest = np.finfo(float).tiny  # of a resample without any change
    medians = np.stack([resampled_medians(of_shift, inference) for of_shift in changes])
    resampled = medians / np.maximum(upper_fence(control[images]), smallest)
    return median(changes) / max(float(upper_fence(control)), smallest), resampled


def shift_profile(measurements: pd.DataFrame, *, shifts: Sequence[float], inference: Inference) -> pd.DataFrame:
    """How the median of |s - s^δ| depends on the shift, by model, image set and view, without a bound.

    ``half_to_smallest``  that at half a turn over that at the smallest shift
    ``between_to_quarters``  mean over the shifts that are no quarter turns over the mean over quarter turns

    Each has its bootstrap interval over images. ``shifts`` are fractions of the width in equal steps, half a turn among them.
    """
    quarters = np.array([(4 * shift) % 1 == 0 for shift in shifts])
    half_turn = list(shifts).index(0.5)
    statistics = {
        "half_to_smallest": lambda x: median(x[half_turn]) / median(x[0]),
        "between_to_quarters": lambda x: median(x[~quarters]).mean(0) / median(x[quarters]).mean(0),
    }
    rows = []
    for keys, changes, _ in _changes(measurements, shifts, None):
        row = dict(zip(KEYS, keys, strict=True)) | {"n": changes.shape[1]}
        for name, statistic in statistics.items():
            row |= with_interval(name, changes, statistic, inference=inference)
        rows.append(row)
    return pd.DataFrame(rows)


def changes_by_control(measurements: pd.DataFrame, shift: float) -> pd.DataFrame:
    """|s - s_flip| and |s - s^δ| at one shift of every image: columns model, image_set, view, image, compared, change.

    ``compared`` is "mirror" or "shift".
    """
    parts = []
    for keys, part in select(measurements, "clip_score", "shift", "mirror").groupby(KEYS, sort=False):
        table = shift_pivot(part)
        columns = {"mirror": table["mirror", 0.0], "shift": table["shift", shift]}
        changes = pd.DataFrame(columns).sub(table["shift", 0.0], axis=0).abs()
        long = changes.melt(var_name="compared", value_name="change", ignore_index=False).reset_index()
        parts.append(long.assign(**dict(zip(KEYS, keys, strict=True))))
    return pd.concat(parts, ignore_index=True)[[*KEYS, "image", "compared", "change"]]
