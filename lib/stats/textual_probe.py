"""Does a format cue raise the CLIP score, and does it do so because of the format? (arXiv 2604.24642, textual probe)"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pingouin as pg

from clip360.names import PANORAMA, PERSPECTIVE
from clip360.stats.inference import Inference, holm, median, positive, with_interval
from clip360.stats.measurements import select
from clip360.stats.signed_rank import differences, require_size, signed_rank

KEYS = ["view", "model", "image_set", "generic_cue"]
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

    ``p_holm`` is corrected over the generic cues of one view, model and image set; ``reject`` means p_holm < α. Raises
    ValueError where a set has too few images for any test to reject.
    """
    tests = pd.DataFrame(
        [keys | cue_test(pair.s, pair.s_u, inference=inference) for keys, pair in cue_pairs(measurements)]
    )
    families = tests.groupby(["view", "model", "image_set"], sort=False)
    require_size(tests.n.min(), inference.alpha, int(families.size().max()))
    tests["p_holm"] = families.p.transform(holm)
    tests["reject"] = tests.p_holm < inference.alpha
    columns = ["model", "image_set", "view", "generic_cue", "n", "mean_s", "mean_su", "W", "p", "p_holm", "effect"]
    medians = ["median", "median_low", "median_high"]
    return tests[[*columns, "effect_low", "effect_high", "reject", *medians, "p_sign", "required_n"]]


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
    families = contrasts.groupby(["model", "image_set"], sort=False)
    require_size(contrasts.n.min(), inference.alpha, int(families.size().max()))
    contrasts.insert(contrasts.columns.get_loc("p") + 1, "p_holm", families.p.transform(holm))
    contrasts["reject"] = contrasts.p_holm < inference.alpha
    return contrasts


def summarise_cues(tests: pd.DataFrame, contrasts: pd.DataFrame) -> pd.DataFrame:
    """One row for each model and image set: tests rejected, and effects and contrast as medians over the generic cues."""
    keys = ["model", "image_set"]

    def over_generic_cues(frame: pd.DataFrame, column: str) -> pd.Series:
        return frame.groupby(keys, sort=False)[column].median()

    on_panoramas, on_control = (tests[tests["view"] == view] for view in (PANORAMA, PERSPECTIVE))
    rejected = on_panoramas.groupby(keys, sort=False).reject.agg(lambda reject: f"{reject.sum()} of {len(reject)}")
    columns = {
        "rejected": rejected,
        "effect": over_generic_cues(on_panoramas, "effect"),
        "effect_on_control": over_generic_cues(on_control, "effect"),
        "contrast": over_generic_cues(contrasts, "contrast"),
        "contrast_low": over_generic_cues(contrasts, "contrast_low"),
        "contrast_high": over_generic_cues(contrasts, "contrast_high"),
    }
    return pd.DataFrame(columns).reset_index()


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
