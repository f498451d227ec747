"""What tuning gained and cost on held-out panoramas, by the measures of notebooks 05 and 07."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from torch import Tensor

from clip360.data.image_set import ImageSet
from clip360.evaluation.tradeoff import inter_image_cosine, tradeoff_measurements, tradeoff_views
from clip360.geometry.views import Camera, between_fractions, shift_fractions
from clip360.models.clip import Clip
from clip360.scoring.embedding import embed_images
from clip360.stats.inference import Inference, mean, with_interval
from clip360.stats.tradeoff import outcomes, relative_sd, relative_sd_ratio

N_SHIFTS = 8  # of the paper; instability is measured at as many between them
GENERIC_CUE = "photo"  # of the texts of perspective views
CONTROL = Camera(yaw=0.0, pitch=0.0, fov=75.0)  # the perspective view of a panorama
INSTABILITY, EMBEDDING_INSTABILITY = "instability", "embedding_instability"
MEASURES = {  # by name, in words; the first two are compared as ratios, the others as differences
    INSTABILITY: "instability of the score",
    EMBEDDING_INSTABILITY: "instability of the embedding",
    "recall": "R@1 of panoramas",
    "recall_perspective": "R@1 of perspective views",
}


@dataclass(frozen=True)
class Measured:
    """The measurements of one model, by panorama: float [N] by name.

    ``variance``, ``level``     of the score, as ``stats.tradeoff.outcomes`` has them; without captions there are none
    ``recall``, ``recall_perspective``  likewise
    ``change``, ``difference``  1 - cos of the embedding with itself shifted, mean over shifts, and with those of other panoramas
    """

    values: Mapping[str, np.ndarray]

    def of(self, measure: str) -> np.ndarray:
        """What the statistic of a measure is computed from."""
        if measure == INSTABILITY:
            return np.stack([self.values["variance"], self.values["level"]])
        if measure == EMBEDDING_INSTABILITY:
            return np.stack([self.values["change"], self.values["difference"]])
        return self.values[measure]


def measure(clip: Clip, image_set: ImageSet, *, batch_size: int) -> Measured:
    """Measure a model on panoramas, which may lack captions. ValueError where an embedding is NaN."""
    shifts = shift_fractions(N_SHIFTS)
    between = between_fractions(N_SHIFTS)
    views = tradeoff_views(clip, sorted([*shifts, *between]), control_view=CONTROL)
    clip = replace(clip, text_cache={})
    embeds = embed_images(clip, image_set.batches(batch_size), views, total=len(image_set.table))
    values = {"change": _change(embeds, between), "difference": 1 - inter_image_cosine(embeds["shift", 0.0]).double()}
    values = {name: value.numpy() for name, value in values.items()}
    if "caption" in image_set.table:
        measurements = tradeoff_measurements(clip, image_set, embeds, generic_cue=GENERIC_CUE)
        found = outcomes(measurements, shifts)
        values |= {name: found[name] for name in ("variance", "level", "recall", "recall_perspective")}
    return Measured(values)


def _change(embeds: Mapping, fractions: list[float]) -> Tensor:
    unshifted = embeds["shift", 0.0].double()
    return sum(1 - (embeds["shift", x].double() * unshifted).sum(-1) for x in fractions) / len(fractions)


def compare(before: Measured, after: Measured, *, inference: Inference) -> pd.DataFrame:
    """One row for each measure: columns measure, before, after, change, each with its interval (``_low``, ``_high``).

    ``instability``            standard deviation of the score over shifts, over that between panoramas
    ``embedding_instability``  the same of the embedding: root of the mean of 1 - cos over shifts, over that between panoramas
    ``recall``, ``recall_perspective``  R@1, mean of both directions, of panoramas over all shifts and of perspective views

    The change of an instability is a ratio, that of R@1 a difference. Without captions there is ``embedding_instability`` alone.
    """
    rows = []
    for name in MEASURES:
        if name != EMBEDDING_INSTABILITY and "level" not in before.values:
            continue
        old, new = before.of(name), after.of(name)
        if name == INSTABILITY:
            one, both, values = relative_sd, relative_sd_ratio, np.concatenate([new, old])
        elif name == EMBEDDING_INSTABILITY:
            one, both, values = _root_ratio, _ratio_of_root_ratios, np.concatenate([new, old])
        else:
            one, both, values = mean, mean, new - old
        row: dict[str, str | float] = {"measure": name}
        row |= with_interval("before", old, one, inference=inference)
        row |= with_interval("after", new, one, inference=inference)
        rows.append(row | with_interval("change", values, both, inference=inference))
    return pd.DataFrame(rows)


def _root_ratio(x: np.ndarray) -> np.ndarray:
    """Root of the mean of x[0] over that of x[1], images last."""
    return np.sqrt(x[0].mean(-1) / x[1].mean(-1))


def _ratio_of_root_ratios(x: np.ndarray) -> np.ndarray:
    return _root_ratio(x[:2]) / _root_ratio(x[2:])
