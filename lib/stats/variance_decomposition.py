"""The variance of the score over shifts: what the content that comes and goes explains, and what is the model's own."""

import numpy as np
import pandas as pd

from clip360.stats.signed_rank import with_interval
from clip360.stats.visual_probe import KEYS

SAME = 0.05  # shares of every thing that two views may differ by and still show the same things


def split(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance of scores [N, C, P] of every picture over contents C and places P, as (content, own), each [N].

    ``content`` is the variance over C of the mean over P: what differs between contents wherever they are placed. ``own`` is
    the mean over C of the variance over P: what differs though the content is the same. They add up to the whole variance.

    >>> split(np.array([[[1.0, 3.0], [5.0, 7.0]]]))
    (array([4.]), array([1.]))
    """
    return scores.mean(2).var(1), scores.var(2).mean(1)


def contents_and_places(part: pd.DataFrame, *, turns: int) -> np.ndarray:
    """Scores [N, C, P] of one model, image set and view.

    Under the centre crop the windows at ``turns`` shifts, each turned in itself. Any other view shows the same at every shift: one
    content, and the shifts are its places.
    """
    shifted = part[part.condition.isin(["shift", "window"])]
    if not (shifted.condition == "window").any():
        return shifted.pivot(index="image", columns="value", values="score").to_numpy()[:, None]
    shifted = shifted[(shifted.value * turns) % 1 == 0]
    table = shifted.pivot(index="image", columns=["value", "turn"], values="score").sort_index(axis=1)
    return table.to_numpy().reshape(len(table), turns, turns)


def decomposition(scores: pd.DataFrame, *, turns: int, seed: int, draws: int) -> pd.DataFrame:
    """One row for each model, image set and view, of the scores that ``viewing.view_scores`` gives.

    ``sd``       of the score over shifts, root mean square over images, in points
    ``content``, ``own``  the two parts of ``split``, as standard deviations in points
    ``share``    of content in the variance of ``split``
    ``to_crop``  own variance over the whole variance under the centre crop
    Each with its 95 % bootstrap interval over images.
    """
    rows = []
    for (model, image_set), group in scores.groupby(["model", "image_set"], sort=False):
        parts = {view: part for view, part in group.groupby("view", sort=False)}
        if "center_crop" not in parts:
            raise ValueError(f"views are {', '.join(parts)}: expected center_crop among them, to compare with")
        arrays = {view: contents_and_places(part, turns=turns) for view, part in parts.items()}
        crop = split(arrays["center_crop"])
        for view, array in arrays.items():
            content, own = split(array)
            shifts = parts[view][parts[view].condition == "shift"]
            over = shifts.pivot(index="image", columns="value", values="score").to_numpy().var(1)
            row = dict(zip(KEYS, (model, image_set, view), strict=True)) | {"n": len(array)}
            row |= with_interval("sd", over[None], _root_mean, seed=seed, draws=draws)
            for name, variance in (("content", content), ("own", own)):
                row |= with_interval(name, variance[None], _root_mean, seed=seed, draws=draws)
            row |= with_interval("share", np.stack([content, content + own]), _ratio, seed=seed, draws=draws)
            row |= with_interval("to_crop", np.stack([own, sum(crop)]), _ratio, seed=seed, draws=draws)
            rows.append(row)
    return pd.DataFrame(rows)


def turning_control(scores: pd.DataFrame, *, turns: int, seed: int, draws: int) -> pd.DataFrame:
    """Is it the edge in its middle that moves the score of a turned window? One row for each model and image set.

    ``change``  of the mean score, turned windows minus those that are not, in points: what the edge would cost
    ``ratio``   own variance over the turned windows only, all of which have the edge, to that over all (unbiased both)
    """
    rows = []
    for (model, image_set), part in scores[scores["view"] == "center_crop"].groupby(["model", "image_set"], sort=False):
        array = contents_and_places(part, turns=turns)
        turned = array[..., 1:]
        numbers = np.stack(
            [
                (turned.mean(2) - array[..., 0]).mean(1),
                turned.var(2, ddof=1).mean(1),
                array.var(2, ddof=1).mean(1),
            ]
        )
        row = {"model": model, "image_set": image_set, "n": len(array)}
        row |= with_interval("change", numbers[:1], lambda x: x[0].mean(-1), seed=seed, draws=draws)
        row |= with_interval("ratio", numbers[1:], _ratio, seed=seed, draws=draws)
        rows.append(row)
    return pd.DataFrame(rows)


def _root_mean(x: np.ndarray) -> np.ndarray:
    return np.sqrt(x[0].mean(-1))


def _ratio(x: np.ndarray) -> np.ndarray:
    """Sum of the first row over sum of the second, 0 where nothing varies."""
    above, below = x[0].sum(-1), x[1].sum(-1)
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def visible_shares(columns: np.ndarray, shifts: list[float]) -> np.ndarray:
    """Share [S, T] of each thing that the centre crop shows at each shift; ``columns`` [T, W] as of ``thing_columns``."""
    width = columns.shape[1]
    middle = slice(width // 4, width - width // 4)
    return np.stack([np.roll(columns, round(shift * width), axis=1)[:, middle].sum(1) for shift in shifts])


def explained_by_things(scores: np.ndarray, visible: list[np.ndarray], *, seed: int, draws: int) -> dict[str, float]:
    """How much of the difference between two shifts goes with things coming into sight or leaving it, with its interval.

    ``scores`` [N, S] at S shifts in equal steps, ``visible`` for each picture the share [S, T] of every thing that is seen. Pairs of
    shifts equally far apart are compared, those that show the same things with those that do not: half the mean squared
    difference of the scores is γ_same(d) and γ_other(d), and the result 1 - Σ w γ_same / Σ w γ_other, w the number of pairs
    that show the same at distance d. Neighbours differ less whatever they show; equal distance keeps that apart.
    """
    steps = scores.shape[1]
    distances = range(1, steps // 2 + 1)
    sums = np.zeros((4, len(distances), len(scores)))  # same: squares, pairs; other: squares, pairs
    for k, distance in enumerate(distances):
        squares = (scores - np.roll(scores, -distance, axis=1)) ** 2 / 2
        same = np.stack([(np.abs(seen - np.roll(seen, -distance, axis=0)) < SAME).all(1) for seen in visible])
        sums[:, k] = [(squares * same).sum(1), same.sum(1), (squares * ~same).sum(1), (~same).sum(1)]
    flat = sums.reshape(-1, len(scores))

    def explained(x: np.ndarray) -> np.ndarray:
        total = x.sum(-1).reshape(4, len(distances), *x.shape[1:-1])
        both = (total[1] > 0) & (total[3] > 0)
        weight = np.where(both, total[1], 0)
        same, other = (np.divide(total[k], total[k + 1], out=np.zeros_like(weight), where=both) for k in (0, 2))
        below = (weight * other).sum(0)
        return 1 - np.divide((weight * same).sum(0), below, out=np.ones_like(below), where=below > 0)

    pairs = int(sums[1].sum())
    return {"n": len(scores), "pairs": pairs} | with_interval("explained", flat, explained, seed=seed, draws=draws)


def things_table(scores: pd.DataFrame, things: pd.DataFrame, *, width: int, seed: int, draws: int) -> pd.DataFrame:
    """``explained_by_things`` for every model and image set, under the centre crop; ``things`` as of ``thing_columns``."""
    seen = scores[(scores["view"] == "center_crop") & (scores.condition == "shift")]
    rows = []
    for (model, image_set), part in seen.groupby(["model", "image_set"], sort=False):
        table = part.pivot(index="image", columns="value", values="score")
        where = dict(list(things[things.image_set == image_set].groupby("image")))
        visible = [visible_shares(profile(where[image], width=width), list(table.columns)) for image in table.index]
        explained = explained_by_things(table.to_numpy(), visible, seed=seed, draws=draws)
        rows.append({"model": model, "image_set": image_set} | explained)
    return pd.DataFrame(rows)


def profile(things: pd.DataFrame, *, width: int) -> np.ndarray:
    """The rows of one picture in ``thing_columns`` as an array [T, W]."""
    columns = np.zeros((things.thing.max() + 1, width))
    columns[things.thing, things.column] = things.share
    return columns[columns.sum(1) > 0]
