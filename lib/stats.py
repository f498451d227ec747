"""Tests on score tables: does a format cue raise the CLIP score, and does it do so because of the format?"""

import numpy as np
import pandas as pd
import pingouin as pg
from scipy.stats import rankdata

KEYS = ["view", "model", "image_set", "generic"]


def keyword_test(s: np.ndarray, s_u: np.ndarray, *, seed: int, draws: int) -> dict[str, float]:
    """One-sided Wilcoxon signed-rank test of H0: s - s_u <= 0 on paired scores [N] (arXiv 2604.24642, textual probe).

    Zeros are dropped and no continuity correction is made. ``effect`` is the matched-pairs rank-biserial correlation
    (-1 ... 1), with a 95 % percentile-bootstrap interval over images. Raises ValueError for unusable scores.
    """
    difference = _difference(s, s_u)
    test = pg.wilcoxon(difference, alternative="greater", correction=False).iloc[0]
    low, high = _bootstrap(difference, _rank_biserial, seed=seed, draws=draws)
    return {
        "n": len(difference),
        "mean_s": float(np.mean(s)),
        "mean_su": float(np.mean(s_u)),
        "W": float(test.W_val),
        "p": _positive(test.p_val),
        "effect": float(test.RBC),
        "ci_low": low,
        "ci_high": high,
    }


def textual_tests(scores: pd.DataFrame, *, alpha: float, seed: int, draws: int) -> pd.DataFrame:
    """``keyword_test`` for every view, model, image set and generic cue of a score table.

    ``p_holm`` is corrected over all tests of the same view; ``reject`` means p_holm < alpha.
    """
    rows = []
    for keys, pair in _pairs(scores):
        rows.append(keys | keyword_test(pair.s, pair.s_u, seed=seed, draws=draws))
    tests = pd.DataFrame(rows)
    _require_size(tests.n.min(), alpha)
    tests["p_holm"] = tests.groupby("view", sort=False).p.transform(_holm)
    tests["reject"] = tests.p_holm < alpha
    columns = ["model", "image_set", "view", "generic", "n", "mean_s", "mean_su", "W", "p", "p_holm", "effect"]
    return tests[[*columns, "ci_low", "ci_high", "reject"]]


def control_contrast(scores: pd.DataFrame, *, alpha: float, seed: int, draws: int) -> pd.DataFrame:
    """Difference in differences: the gain s - s_u on panoramas minus the gain on perspective views of the same images.

    A model can prefer a cue's words for any picture, even one that it never saw a panorama with. What understanding of
    the format adds is the gain that only panoramas have. Two-sided signed-rank test, Holm-corrected over all rows; the
    interval is the 95 % percentile bootstrap of the median, in points of the CLIP score.
    """
    gains = {(*list(keys.values())[1:], keys["view"]): pair.s - pair.s_u for keys, pair in _pairs(scores)}
    rows = []
    for model, image_set, generic in dict.fromkeys(key[:3] for key in gains):
        wide, flat = gains[model, image_set, generic, "panorama"], gains[model, image_set, generic, "perspective"]
        excess = _difference(wide, flat.reindex(wide.index))
        test = pg.wilcoxon(excess, alternative="two-sided", correction=False).iloc[0]
        low, high = _bootstrap(excess, lambda sample: np.median(sample, axis=-1), seed=seed, draws=draws)
        row = {
            "model": model,
            "image_set": image_set,
            "generic": generic,
            "n": len(excess),
            "median": np.median(excess),
        }
        rows.append(row | {"ci_low": low, "ci_high": high, "p": _positive(test.p_val), "effect": float(test.RBC)})
    contrasts = pd.DataFrame(rows)
    _require_size(contrasts.n.min(), alpha)
    contrasts.insert(8, "p_holm", _holm(contrasts.p))
    contrasts["reject"] = contrasts.p_holm < alpha
    return contrasts


def summarise_cues(tests: pd.DataFrame, contrasts: pd.DataFrame) -> pd.DataFrame:
    """One row for each model and image set: tests rejected, and effects and contrast as medians over the generic cues."""
    keys = ["model", "image_set"]

    def over_generics(frame: pd.DataFrame, column: str) -> pd.Series:
        return frame.groupby(keys, sort=False)[column].median()

    wide, flat = (tests[tests["view"] == view] for view in ("panorama", "perspective"))
    rejected = wide.groupby(keys, sort=False).reject.agg(lambda reject: f"{reject.sum()} of {len(reject)}")
    columns = {
        "rejected": rejected,
        "effect": over_generics(wide, "effect"),
        "effect_on_control": over_generics(flat, "effect"),
        "contrast": over_generics(contrasts, "median"),
        "contrast_low": over_generics(contrasts, "ci_low"),
        "contrast_high": over_generics(contrasts, "ci_high"),
    }
    return pd.DataFrame(columns).reset_index()


def _pairs(scores: pd.DataFrame):
    """For each view, model, image set and generic cue: the scores s and s_u, one row for each image."""
    own = scores[scores.condition == "cue"]
    for keys, part in scores[scores.condition == "generic"].groupby(
        ["view", "model", "image_set", "value"], sort=False, observed=True
    ):
        view, model, image_set, _ = keys
        cued = own[(own.view == view) & (own.model == model) & (own.image_set == image_set)]
        where = f"{model}, {image_set}, {view}"
        for table in (cued, part):
            for image in table.image[table.image.duplicated()]:
                raise ValueError(f"{where}: {image} has two scores under one condition: expected one")
        for image in set(cued.image) ^ set(part.image):
            raise ValueError(f"{where}: {image} has a score under one cue but not under the other: score the set anew")
        s, s_u = cued.set_index("image").score, part.set_index("image").score
        yield dict(zip(KEYS, keys, strict=True)), pd.DataFrame({"s": s, "s_u": s_u.reindex(s.index)})


def _difference(x, y) -> np.ndarray:
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape:
        raise ValueError(f"{len(x)} and {len(y)} scores: expected pairs")
    difference = x - y
    if bad := int((~np.isfinite(difference)).sum()):
        raise ValueError(f"{bad} of {len(x)} pairs of scores are not numbers: check the weights and the pictures")
    if not difference.any():
        raise ValueError("all pairs of scores are equal: the two conditions do not differ, check the cues")
    return difference


def _require_size(n: int, alpha: float) -> None:
    """Fewer pairs than this cannot reject, however they fall: the least p is 2^-n."""
    if 0.5**n >= alpha:
        raise ValueError(f"{n} images are too few for a signed-rank test at alpha = {alpha}: add images")


def _rank_biserial(differences: np.ndarray) -> np.ndarray:
    """Matched-pairs rank-biserial correlation along the last axis: signed ranks of |d|, zeros dropped, over their sum."""
    magnitude = np.abs(differences)
    ranks = rankdata(magnitude, axis=-1) - (magnitude == 0).sum(-1, keepdims=True)
    ranks = np.where(magnitude > 0, ranks, 0)
    return (np.sign(differences) * ranks).sum(-1) / ranks.sum(-1)


def _bootstrap(x: np.ndarray, statistic, *, seed: int, draws: int) -> tuple[float, float]:
    """95 % percentile interval of a statistic over resampled images."""
    sample = np.random.default_rng(seed).integers(len(x), size=(draws, len(x)))
    low, high = np.percentile(statistic(x[sample]), [2.5, 97.5])
    return float(low), float(high)


def _holm(p: pd.Series) -> np.ndarray:
    return pg.multicomp(p.to_numpy(), method="holm")[1]


def _positive(p: float) -> float:
    """A p-value too small for a float is at most the smallest one."""
    return max(float(p), np.finfo(float).tiny)
