"""The variance of the score over shifts, split into content (what a shift brings into view) and position (all the rest)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clip360.stats.inference import Inference, with_interval
from clip360.stats.measurements import KEYS, by_image, select

SAME = 0.05  # difference in the visible fraction of every object up to which two shifts show the same objects


def split(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance of scores [N, C, P] of every image over contents C and positions P, as (content, position), each [N].

    ``content`` is the variance over C of what a content scores wherever it lies; ``position`` the mean over C of the
    variance over P, the variation of the score at the same content.

    The scores of an image are a two-way layout without replication: s(c, p) = μ + a(c) + b(p) + g(c, p), with variances
    σ_a², σ_b² and σ_g² of the effects. The mean over P positions still varies by g / P, so that its variance over C is
    σ_a² + σ_g² / P, more than σ_a². The mean square of the interaction, Σ (s - s_c - s_p + s_cp)² / ((C - 1)(P - 1)) with the
    means s_c over P, s_p over C and s_cp over both, has the expectation σ_g², and is subtracted (expected mean squares:
    Searle, Casella and McCulloch, Variance Components, 1992, chapter 4). The result is the mean covariance over C
    between the scores at two different positions. It can be negative for a single image; sums over images are cut at 0.

    Variances are over a whole turn in equal steps and divide by C and P, not by C - 1 and P - 1. With C = P this leaves
    content / (content + position) unbiased: σ_a² / (σ_a² + σ_b² + σ_g²). Without the subtraction it is 1 / (P + 1) where
    σ_a = σ_b = 0. An interaction whose mean over the P positions is 0, as a smooth one's over a whole turn, adds nothing to
    be subtracted: then ``content`` is too small by at most ``position`` / (P - 1).

    >>> split(np.array([[[1.0, 3.0], [5.0, 7.0]]]))
    (array([4.]), array([1.]))
    >>> split(np.array([[[1.0, 3.0], [3.0, 1.0]], [[1.0, 3.0], [5.0, 3.0]]]))
    (array([-1.,  0.]), array([1., 1.]))
    """
    n_contents, n_positions = scores.shape[1:]
    by_content, position = scores.mean(2), scores.var(2).mean(1)
    content = by_content.var(1)
    if min(n_contents, n_positions) > 1:
        deviation = scores - by_content[:, :, None] - scores.mean(1)[:, None] + scores.mean((1, 2))[:, None, None]
        content = content - (deviation**2).sum((1, 2)) / (n_contents * n_positions * (n_positions - 1))
    return content, position


def contents_and_positions(scores: pd.DataFrame, *, n_windows: int) -> np.ndarray:
    """CLIP scores [N, C, P] of one model, image set and view over contents C and positions P.

    Under the centre crop the windows at ``n_windows`` shifts are the contents, and the in-window shifts the positions.
    Every other view shows the same content at every shift: C is 1, and the shifts are the positions.
    """
    shifted = select(scores, "clip_score", "shift", "window")
    if not (shifted.condition == "window").any():
        return by_image(shifted).to_numpy()[:, None]
    shifted = shifted[(shifted.level * n_windows) % 1 == 0]
    table = by_image(shifted, ["level", "in_window_shift"]).sort_index(axis=1)
    return table.to_numpy().reshape(len(table), n_windows, n_windows)


def decompose(measurements: pd.DataFrame, *, n_windows: int, inference: Inference) -> pd.DataFrame:
    """One row for each model, image set and view, of the measurements of the view modes.

    ``sd``                root mean square over images of the standard deviation of the score over shifts, in points
    ``content_sd``, ``position_sd``  the two parts of ``split``, as standard deviations in points
    ``content_fraction``  content over content + position
    ``relative_to_crop``  position variance over content + position under the centre crop

    Each has its bootstrap interval over images. Raises ValueError where the view center_crop is not measured.
    """
    rows = []
    scores = select(measurements, "clip_score")
    for (model, image_set), group in scores.groupby(["model", "image_set"], sort=False):
        parts = {view: part for view, part in group.groupby("view", sort=False)}
        if "center_crop" not in parts:
            raise ValueError(f"views are {', '.join(parts)}: expected center_crop among them, to compare with")
        arrays = {view: contents_and_positions(part, n_windows=n_windows) for view, part in parts.items()}
        crop = split(arrays["center_crop"])
        for view, array in arrays.items():
            content, position = split(array)
            over_shifts = by_image(select(parts[view], "clip_score", "shift")).to_numpy().var(1)
            row = dict(zip(KEYS, (model, image_set, view), strict=True)) | {"n": len(array)}
            row |= with_interval("sd", over_shifts[None], _root_mean, inference=inference)
            for name, variance in (("content_sd", content), ("position_sd", position)):
                row |= with_interval(name, variance[None], _root_mean, inference=inference)
            row |= with_interval(
                "content_fraction", np.stack([content, content + position]), _ratio, inference=inference
            )
            row |= with_interval("relative_to_crop", np.stack([position, sum(crop)]), _ratio, inference=inference)
            rows.append(row)
    return pd.DataFrame(rows)


def in_window_control(measurements: pd.DataFrame, *, n_windows: int, inference: Inference) -> pd.DataFrame:
    """Does the edge in the middle of a window shifted in itself change its score? One row for each model and image set.

    ``change``  mean score of the windows shifted in themselves minus that of the unshifted windows, in points
    ``ratio``   position variance over the shifted windows, all of which have the edge, over that of all windows (unbiased)
    """
    rows = []
    crop = measurements[measurements["view"] == "center_crop"]
    for (model, image_set), part in crop.groupby(["model", "image_set"], sort=False):
        array = contents_and_positions(part, n_windows=n_windows)
        shifted = array[..., 1:]
        numbers = np.stack(
            [
                (shifted.mean(2) - array[..., 0]).mean(1),
                shifted.var(2, ddof=1).mean(1),
                array.var(2, ddof=1).mean(1),
            ]
        )
        row = {"model": model, "image_set": image_set, "n": len(array)}
        row |= with_interval("change", numbers[:1], lambda x: x[0].mean(-1), inference=inference)
        row |= with_interval("ratio", numbers[1:], _ratio, inference=inference)
        rows.append(row)
    return pd.DataFrame(rows)


def _root_mean(x: np.ndarray) -> np.ndarray:
    """Root of the mean of the only row, 0 where the mean is negative, as an estimated variance can be."""
    return np.sqrt(np.maximum(x[0].mean(-1), 0))


def _ratio(x: np.ndarray) -> np.ndarray:
    """Sum of the first row over sum of the second, 0 where nothing varies, and where the first sum is negative."""
    above, below = np.maximum(x[0].sum(-1), 0), x[1].sum(-1)
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def visible_fractions(columns: np.ndarray, shifts: Sequence[float]) -> np.ndarray:
    """Fraction [S, O] of each object that the centre crop shows at each shift.

    ``columns`` [O, W] says how the pixels of each object lie over the panorama's columns (as by ``column_profile``),
    ``shifts`` are S fractions of the width.
    """
    width = columns.shape[1]
    middle = slice(width // 4, width - width // 4)
    return np.stack([np.roll(columns, round(shift * width), axis=1)[:, middle].sum(1) for shift in shifts])


def explained_by_objects(
    scores: np.ndarray, visible: Sequence[np.ndarray], *, inference: Inference
) -> dict[str, float]:
    """Fraction of the squared difference between two shifts that goes with objects entering or leaving the view.

    ``scores`` [N, S] are those at S shifts in equal steps; ``visible`` gives for each image the visible fraction [S, O] of
    every object. Only pairs of shifts at equal distance d are compared: those that show the same objects with those that
    do not. With γ half the mean squared difference of the scores (a semivariogram), and w the number of pairs that show
    the same objects at distance d, the result is

        explained = 1 - Σ_d w γ_same(d) / Σ_d w γ_other(d).

    Neighbouring shifts differ less whatever they show; equal distances keep this apart. Returns n, ``pairs`` (that show
    the same objects) and ``explained`` with its bootstrap interval over images.
    """
    n_shifts = scores.shape[1]
    distances = range(1, n_shifts // 2 + 1)
    sums = np.zeros((4, len(distances), len(scores)))  # same: squares, pairs; other: squares, pairs
    for k, distance in enumerate(distances):
        squares = (scores - np.roll(scores, -distance, axis=1)) ** 2 / 2
        same = np.stack([(np.abs(image - np.roll(image, -distance, axis=0)) < SAME).all(1) for image in visible])
        sums[:, k] = [(squares * same).sum(1), same.sum(1), (squares * ~same).sum(1), (~same).sum(1)]
    flat = sums.reshape(-1, len(scores))

    def explained(x: np.ndarray) -> np.ndarray:
        total = x.sum(-1).reshape(4, len(distances), *x.shape[1:-1])
        both = (total[1] > 0) & (total[3] > 0)
        weight = np.where(both, total[1], 0)
        same, other = (np.divide(total[k], total[k + 1], out=np.zeros_like(weight), where=both) for k in (0, 2))
        below = (weight * other).sum(0)
        return 1 - np.divide((weight * same).sum(0), below, out=np.ones_like(below), where=below > 0)

    counts = {"n": len(scores), "pairs": int(sums[1].sum())}
    return counts | with_interval("explained", flat, explained, inference=inference)


def object_table(
    measurements: pd.DataFrame, visibility: pd.DataFrame, *, width: int, inference: Inference
) -> pd.DataFrame:
    """``explained_by_objects`` for every model and image set, under the centre crop.

    ``visibility`` has one row for each column (of ``width``) in which an object is visible: image_set, image, object,
    column, fraction (of the object's pixels).
    """
    crop = select(measurements, "clip_score", "shift")
    crop = crop[crop["view"] == "center_crop"]
    rows = []
    for (model, image_set), part in crop.groupby(["model", "image_set"], sort=False):
        table = by_image(part)
        by_name = dict(list(visibility[visibility.image_set == image_set].groupby("image")))
        visible = [
            visible_fractions(column_profile(by_name[image], width=width), list(table.columns)) for image in table.index
        ]
        explained = explained_by_objects(table.to_numpy(), visible, inference=inference)
        rows.append({"model": model, "image_set": image_set} | explained)
    return pd.DataFrame(rows)


def column_profile(visibility: pd.DataFrame, *, width: int) -> np.ndarray:
    """The visibility rows of one image as an array [O, W] of fractions, one row for each visible object."""
    columns = np.zeros((visibility.object.max() + 1, width))
    columns[visibility.object, visibility.column] = visibility.fraction
    return columns[columns.sum(1) > 0]
