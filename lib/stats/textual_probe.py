"""Does a format cue raise the CLIP score, and does it do so because of the format? (arXiv 2604.24642, textual probe)"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pingouin as pg

from clip360.names import PANORAMA, PERSPECTIVE
from clip360.stats.inference import Inference, median, positive, with_interval
from clip360.stats.measurements import select
from clip360.stats.signed_rank import correct_families, differences, signed_rank

KEYS = ["view", "model", "image_set", "generic_cue"]
FORMAT, PARAPHRASE = "format", "paraphrase"
# Kinds of cues: the conditions under which their texts and those of the generic cues that they are compared with are measured.
KINDS = {
    FORMAT: ("format_cue", "generic_cue"),
    "parts": ("parts", "generic_cue"),
    PARAPHRASE: (PARAPHRASE, f"{PARAPHRASE}_generic"),
    "unseen": ("unseen", "generic_cue"),
}
SAME_SCORES = (
    "every score with the format cue equals that with the generic cue: check the cues and the model's text tower"
)
SAME_GAIN = (
    "a cue gains as much on the panoramas as on their perspective views, for every image: check the control's views"
)


def cue_test(s: np.ndarray, s_u: np.ndarray, *, inference: Inference) -> dict[str, float]:
    """One-sided signed-rank test of H0: s - s_u <= 0 (arXiv 2604.24642, textual probe).

    ``s`` and ``s_u`` are paired scores [N] of the same images with the format cue and with a generic cue. Returns n, both
    means, the columns of ``signed_rank``, and the median of s - s_u with its bootstrap interval. Raises ValueError
    for scores that are not finite, or equal in all pairs.
    """
    difference = differences(s, s_u, if_equal=SAME_SCORES)
    means = {"n": len(difference), "mean_s": float(np.mean(s)), "mean_su": float(np.mean(s_u))}
    medians = with_interval("median", difference, median, inference=inference)
    return means | signed_rank(difference, "greater", alpha=inference.alpha) | medians


def cue_tests(measurements: pd.DataFrame, *, inference: Inference) -> pd.DataFrame:
    """``cue_test`` for every view, model, image set and generic cue of the textual probe's measurements.

    ``p_holm`` is corrected over the generic cues of one view, model and image set; ``reject`` means p_holm < α, ``reject_paper``
    p < α, as the paper has it. Raises
    ValueError where a set has too few images for any test to reject.
    """
    tests = pd.DataFrame(
        [keys | cue_test(pair.s, pair.s_u, inference=inference) for keys, pair in cue_pairs(measurements)]
    )
    tests["p_holm"] = correct_families(tests, ["view", "model", "image_set"], alpha=inference.alpha)
    tests["reject"], tests["reject_paper"] = tests.p_holm < inference.alpha, tests.p < inference.alpha
    columns = ["model", "image_set", "view", "generic_cue", "n", "mean_s", "mean_su", "W", "p", "p_holm", "effect"]
    medians = ["median", "median_low", "median_high"]
    return tests[[*columns, "effect_low", "effect_high", "reject", "reject_paper", *medians, "p_sign", "required_n"]]


def cue_contrasts(measurements: pd.DataFrame, *, inference: Inference) -> pd.DataFrame:
    """Difference in differences: the gain s - s_u on panoramas minus the gain on perspective views of the same images.

    A model can prefer a cue's words for any image, even if it never saw a panorama with them. Only the gain that
    panoramas have and perspective views lack can come from the format. Two-sided signed-rank test, Holm-corrected over
    the generic cues of one model and image set; ``contrast`` is the median of the excess gain in points of the CLIP score,
    with its bootstrap interval, ``effect`` the rank-biserial correlation.
    """
    gains = {(*list(keys.values())[1:], keys["view"]): pair.s - pair.s_u for keys, pair in cue_pairs(measurements)}
    rows = []
    for model, image_set, cue in dict.fromkeys(key[:3] for key in gains):
        on_panoramas, on_control = gains[model, image_set, cue, PANORAMA], gains[model, image_set, cue, PERSPECTIVE]
        excess = differences(on_panoramas, on_control.reindex(on_panoramas.index), if_equal=SAME_GAIN)
        test = pg.wilcoxon(excess, alternative="two-sided", correction=False).iloc[0]
        row = {"model": model, "image_set": image_set, "generic_cue": cue, "n": len(excess)}
        row |= with_interval("contrast", excess, median, inference=inference)
        rows.append(row | {"p": positive(test.p_val), "effect": float(test.RBC)})
    contrasts = pd.DataFrame(rows)
    p_holm = correct_families(contrasts, ["model", "image_set"], alpha=inference.alpha)
    contrasts.insert(contrasts.columns.get_loc("p") + 1, "p_holm", p_holm)
    contrasts["reject"] = contrasts.p_holm < inference.alpha
    return contrasts


def cue_gains(measurements: pd.DataFrame) -> pd.DataFrame:
    """Gain of every image by each cue over the mean of the generic cues, on its panorama and on its perspective view.

    Columns model, image_set, ``kind`` (one of KINDS, where measured), ``cue`` (its words, or the template of a paraphrase), image,
    ``panorama`` and ``perspective`` (the gains, in points of the CLIP score), and ``excess``, their difference. Generic cues stand in the
    same template as the cue. Raises ValueError where a view of an image is missing.
    """
    scores = measurements[measurements.measure == "clip_score"]
    parts = []
    for kind, (condition, generic) in KINDS.items():
        keys = ["model", "image_set", "view", "image"] + (["template"] if kind == PARAPHRASE else [])
        s = scores[scores.condition == condition]
        s_u = scores[scores.condition == generic].groupby(keys, observed=True).value.mean().rename("generic")
        gains = s.merge(s_u, left_on=keys, right_index=True, how="left", validate="many_to_one")
        words = gains.template if kind == PARAPHRASE else gains.cue
        parts.append(gains.assign(kind=kind, cue=words, gain=gains.value - gains.generic))
    gains = pd.concat(parts, ignore_index=True)
    keys = ["model", "image_set", "kind", "cue", "image"]
    wide = gains.pivot(index=keys, columns="view", values="gain").reset_index().rename_axis(columns=None)
    for row in wide[wide[[PANORAMA, PERSPECTIVE]].isna().any(axis=1)].itertuples():
        raise ValueError(f"{row.model}, {row.image_set}: {row.image} lacks a score under {row.cue}: score the set anew")
    order = [dict.fromkeys(gains[name]) for name in ("model", "image_set", "kind", "cue")]
    for name, names in zip(("model", "image_set", "kind", "cue"), order, strict=True):
        wide[name] = pd.Categorical(wide[name], list(names))
    wide = wide.sort_values(keys, ignore_index=True).astype(dict.fromkeys(keys[:4], str))
    return wide.assign(excess=wide[PANORAMA] - wide[PERSPECTIVE])


def contrast_table(gains: pd.DataFrame, keys: Sequence[str], *, inference: Inference) -> pd.DataFrame:
    """Gain and contrast as medians over images, for each combination of ``keys`` among the columns of ``cue_gains``.

    An image's gains by several cues are averaged first. ``gain`` is that on panoramas, ``control_gain`` that on perspective
    views, ``contrast`` the median of the excess gain of an image, each in points with its bootstrap interval. ``relative`` is the contrast
    over that of the format cues for the same images, NaN where theirs is not above 0; ``p`` is that of the two-sided signed-rank
    test of the excess, and each row is a family of its own.
    """
    rows = []
    with_format_cue = gains[gains.kind == FORMAT].set_index(["model", "image_set", "image"]).excess.sort_index()
    for values, part in gains.groupby(list(keys), sort=False):
        images = part.groupby("image", sort=True)[[PANORAMA, PERSPECTIVE, "excess"]].mean()
        row = dict(zip(keys, values, strict=True)) | {"n": len(images)}
        for name, column in (("gain", PANORAMA), ("control_gain", PERSPECTIVE), ("contrast", "excess")):
            row |= with_interval(name, images[column].to_numpy(), median, inference=inference)
        own = with_format_cue[part.model.iloc[0], part.image_set.iloc[0]].reindex(images.index).to_numpy()
        row |= _relative(images.excess.to_numpy(), own, inference=inference)
        test = pg.wilcoxon(images.excess, alternative="two-sided", correction=False).iloc[0]
        rows.append(row | {"p": positive(test.p_val), "effect": float(test.RBC)})
    return pd.DataFrame(rows)


def _relative(excess: np.ndarray, own: np.ndarray, *, inference: Inference) -> dict[str, float]:
    """Ratio of two medians over the same images [N], with its interval; NaN where the second is not above 0."""
    if with_interval("own", own, median, inference=inference)["own_low"] <= 0:
        return dict.fromkeys(("relative", "relative_low", "relative_high"), np.nan)
    pair = np.stack([excess, own])
    return with_interval("relative", pair, lambda x: median(x[0]) / median(x[1]), inference=inference)


def extreme_images(gains: pd.DataFrame, model: str, image_set: str, *, count: int) -> pd.DataFrame:
    """The ``count`` images whose panorama gains most by its own format cue, and least: columns image, cue, panorama, perspective."""
    own = gains[(gains.kind == FORMAT) & (gains.model == model) & (gains.image_set == image_set)]
    ordered = own.sort_values([PANORAMA, "image"], ascending=False, ignore_index=True)
    shown = pd.concat([ordered.head(count), ordered.tail(count)])
    return shown[["image", "cue", PANORAMA, PERSPECTIVE]].reset_index(drop=True)


def summarise_cues(tests: pd.DataFrame, contrasts: pd.DataFrame, kinds: pd.DataFrame) -> pd.DataFrame:
    """One row for each model and image set, from the tables of the cues of the image set (the paper's format cues).

    ``contrast``      points by which a panorama gains more than its perspective view (``contrast_table``): it decides
    ``above_control`` generic cues over which the contrast is above 0, corrected by Holm (``cue_contrasts``)
    ``gain``, ``control_gain``  the two gains in points
    ``rejected``, ``rejected_paper``  the paper's tests, which have no control, with Holm's correction and without
    ``effect``, ``effect_on_control``  their rank-biserial correlations, medians over the generic cues
    """
    keys = ["model", "image_set"]
    on_panoramas, on_control = (tests[tests["view"] == view] for view in (PANORAMA, PERSPECTIVE))
    above = contrasts.assign(above=contrasts.reject & (contrasts.contrast > 0)).groupby(keys, sort=False).above
    columns = {"above_control": above.agg(_count)}
    columns |= {"rejected": on_panoramas.groupby(keys, sort=False).reject.agg(_count)}
    columns |= {"rejected_paper": on_panoramas.groupby(keys, sort=False).reject_paper.agg(_count)}
    columns |= {"effect": on_panoramas.groupby(keys, sort=False).effect.median()}
    columns |= {"effect_on_control": on_control.groupby(keys, sort=False).effect.median()}
    numbers = [f"{name}{end}" for name in ("contrast", "gain", "control_gain") for end in ("", "_low", "_high")]
    probed = kinds[kinds.kind == FORMAT].set_index(keys)[numbers]
    return probed.join(pd.DataFrame(columns)).reset_index()


def _count(reject: pd.Series) -> str:
    return f"{reject.sum()} of {len(reject)}"


def cue_pairs(measurements: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """For each view, model, image set and generic cue: these keys, and the scores s and s_u by image.

    Pairs are made by the image's name. Raises ValueError where an image has two scores under one condition, or a score
    under one cue but not under the other.
    """
    format_rows = select(measurements, "clip_score", "format_cue")
    generic_rows = select(measurements, "clip_score", "generic_cue")
    for keys, with_generic in generic_rows.groupby(["view", "model", "image_set", "cue"], sort=False, observed=True):
        view, model, image_set, _ = keys
        same = (format_rows.view == view) & (format_rows.model == model) & (format_rows.image_set == image_set)
        with_format = format_rows[same]
        place = f"{model}, {image_set}, {view}"
        for table in (with_format, with_generic):
            for image in table.image[table.image.duplicated()]:
                raise ValueError(f"{place}: {image} has two scores under one condition: expected one")
        for image in sorted(set(with_format.image) ^ set(with_generic.image)):
            raise ValueError(f"{place}: {image} has a score under one cue but not under the other: score the set anew")
        s, s_u = with_format.set_index("image").value, with_generic.set_index("image").value
        yield dict(zip(KEYS, keys, strict=True)), pd.DataFrame({"s": s, "s_u": s_u.reindex(s.index)})
