"""Does a format cue raise the CLIP score, and does it do so because of the format?"""

import numpy as np
import pandas as pd
import pingouin as pg

from clip360.stats.signed_rank import bootstrap, differences, holm, median, positive, require_size, signed_rank

KEYS = ["view", "model", "image_set", "generic"]


def keyword_test(s: np.ndarray, s_u: np.ndarray, *, alpha: float, seed: int, draws: int) -> dict[str, float]:
    """One-sided signed-rank test of H0: s - s_u <= 0 on paired scores [N] (arXiv 2604.24642, textual probe).

    The columns of ``ranks.signed_rank``, and the median of s - s_u with its 95 % bootstrap interval. Raises ValueError
    for unusable scores.
    """
    difference = differences(s, s_u)
    low, high = bootstrap(difference, median, seed=seed, draws=draws)
    means = {"n": len(difference), "mean_s": float(np.mean(s)), "mean_su": float(np.mean(s_u))}
    medians = {"median": float(np.median(difference)), "median_low": low, "median_high": high}
    return means | signed_rank(difference, "greater", alpha=alpha, seed=seed, draws=draws) | medians


def textual_tests(scores: pd.DataFrame, *, alpha: float, seed: int, draws: int) -> pd.DataFrame:
    """``keyword_test`` for every view, model, image set and generic cue of a score table.

    ``p_holm`` is corrected over all tests of the same view; ``reject`` means p_holm < alpha.
    """
    tests = pd.DataFrame(
        [keys | keyword_test(pair.s, pair.s_u, alpha=alpha, seed=seed, draws=draws) for keys, pair in cue_pairs(scores)]
    )
    require_size(tests.n.min(), alpha, int(tests["view"].value_counts().max()))
    tests["p_holm"] = tests.groupby("view", sort=False).p.transform(holm)
    tests["reject"] = tests.p_holm < alpha
    columns = ["model", "image_set", "view", "generic", "n", "mean_s", "mean_su", "W", "p", "p_holm", "effect"]
    medians = ["median", "median_low", "median_high"]
    return tests[[*columns, "ci_low", "ci_high", "reject", *medians, "p_sign", "n_needed"]]


def control_contrast(scores: pd.DataFrame, *, alpha: float, seed: int, draws: int) -> pd.DataFrame:
    """Difference in differences: the gain s - s_u on panoramas minus the gain on perspective views of the same images.

    A model can prefer a cue's words for any picture, even one that it never saw a panorama with. What understanding of
    the format adds is the gain that only panoramas have. Two-sided signed-rank test, Holm-corrected over all rows; the
    interval is the 95 % percentile bootstrap of the median, in points of the CLIP score.
    """
    gains = {(*list(keys.values())[1:], keys["view"]): pair.s - pair.s_u for keys, pair in cue_pairs(scores)}
    rows = []
    for model, image_set, generic in dict.fromkeys(key[:3] for key in gains):
        wide, flat = gains[model, image_set, generic, "panorama"], gains[model, image_set, generic, "perspective"]
        excess = differences(wide, flat.reindex(wide.index))
        test = pg.wilcoxon(excess, alternative="two-sided", correction=False).iloc[0]
        low, high = bootstrap(excess, median, seed=seed, draws=draws)
        row = {
            "model": model,
            "image_set": image_set,
            "generic": generic,
            "n": len(excess),
            "median": np.median(excess),
        }
        rows.append(row | {"ci_low": low, "ci_high": high, "p": positive(test.p_val), "effect": float(test.RBC)})
    contrasts = pd.DataFrame(rows)
    require_size(contrasts.n.min(), alpha, len(contrasts))
    contrasts.insert(8, "p_holm", holm(contrasts.p))
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


def cue_pairs(scores: pd.DataFrame):
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
