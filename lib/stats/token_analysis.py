"""Which part of an image tower a shift disturbs: the variance over rolls of its input, with one cause removed at a time."""

import numpy as np
import pandas as pd

from clip360.stats.inference import Inference, mean, with_interval
from clip360.stats.measurements import KEYS, by_image, select

# Each ablation: (positional embedding, rolls by whole patches only).
ABLATIONS = {
    "baseline": ("own", False),
    "shifts by whole patches": ("own", True),
    "circular positions": ("circular", False),
    "positions by row": ("rows", False),
    "positions by row, whole patches": ("rows", True),
}
STATISTICS = {  # of the rows built in ``positional_ablations``
    "sd": lambda x: np.sqrt(x[0].mean(-1)),
    "variance_left": lambda x: x[0].sum(-1) / x[1].sum(-1),
    "between_images": lambda x: x[2].std(-1) / x[3].std(-1),
    "recall": lambda x: x[4].mean(-1),
}

SEAM_STATISTICS = {  # of the rows built in ``seam_effect``
    "drop": lambda x: x[0].mean(-1),
    "drop_of_sd": lambda x: x[0].mean(-1) / np.sqrt(x[2].mean(-1)),
    "variance_left": lambda x: x[1].sum(-1) / x[2].sum(-1),
}


def positional_ablations(rolls: pd.DataFrame, *, inference: Inference) -> pd.DataFrame:
    """One row for each model, image set, view and ablation, of measurements under rolls of the network's input.

    ``rolls`` holds the measures ``clip_score`` and ``image_to_text_rank`` under the condition ``roll`` (level = fraction
    of the width), with the columns positional_embedding (own, circular, rows) and whole_patches (bool).

    ``sd``              root mean square over images of the standard deviation of the score over rolls, in points
    ``variance_left``   its variance over that of the network as it is
    ``between_images``  standard deviation between images of their mean score, over that of the network as it is: an
                        ablation that makes all images alike lowers it
    ``recall``          fraction of the unrolled images whose own text is ranked first

    Each has its bootstrap interval over images.
    """
    rows = []
    scores, ranks = select(rolls, "clip_score"), select(rolls, "image_to_text_rank")
    for keys, part in scores.groupby(KEYS, sort=False):
        tables = {name: _scores(part, *ablation) for name, ablation in ABLATIONS.items()}
        base = tables["baseline"]
        unrolled = ranks[(ranks[KEYS] == list(keys)).all(axis=1) & (ranks.level == 0)]
        for name, table in tables.items():
            kind, _ = ABLATIONS[name]
            own_ranks = unrolled[unrolled.positional_embedding == kind].value.to_numpy()
            numbers = np.stack([table.var(1), base.var(1), table.mean(1), base.mean(1), own_ranks == 1])
            row = dict(zip(KEYS, keys, strict=True)) | {"ablation": name, "n": len(table)}
            for column, statistic in STATISTICS.items():
                row |= with_interval(column, numbers, statistic, inference=inference)
            rows.append(row)
    return pd.DataFrame(rows)


def _scores(part: pd.DataFrame, positional_embedding: str, whole_patches_only: bool) -> np.ndarray:
    """Scores [N, R] over rolls, images in the order of names."""
    allowed = part.whole_patches | (not whole_patches_only)
    return by_image(part[(part.positional_embedding == positional_embedding) & allowed]).to_numpy()


def seam_effect(rolls: pd.DataFrame, visibility: pd.DataFrame, *, width: int, inference: Inference) -> pd.DataFrame:
    """Does a seam that cuts an object change the score? Seam through an object minus seam in an empty direction.

    One row for each model, image set and view that shows the whole panorama: ``drop``, the mean difference in points; ``drop_of_sd``,
    the same over the root mean variance over all rolls, which says how large it is beside what a roll changes anyway; and
    ``variance_left``, the variance over rolls with the seam in an empty direction over that of all rolls (both unbiased).
    Each has its bootstrap interval over the images that have at least two rolls of each kind.

    ``rolls`` as in ``positional_ablations``; ``visibility`` has one row for each of the ``width`` columns in which an
    object is visible: image_set, image, object, column, fraction.
    """
    rows = []
    own = select(rolls, "clip_score")
    own = own[(own.positional_embedding == "own") & (own["view"] != "center_crop")]
    for keys, part in own.groupby(KEYS, sort=False):
        by_name = dict(list(visibility[visibility.image_set == keys[1]].groupby("image")))
        numbers = []
        for image, scores in by_image(part).iterrows():
            # The column that a roll brings to the left edge: the seam lies between it and the one before.
            edges = np.round((1 - scores.index.to_numpy()) * width).astype(int)
            spans = [set(columns) for _, columns in by_name[image].groupby("object").column]
            cuts = np.array([any({edge % width, (edge - 1) % width} <= span for span in spans) for edge in edges])
            if min(cuts.sum(), (~cuts).sum()) >= 2:
                s = scores.to_numpy()
                numbers.append([s[cuts].mean() - s[~cuts].mean(), s[~cuts].var(ddof=1), s.var(ddof=1)])
        numbers = np.array(numbers).T
        row = dict(zip(KEYS, keys, strict=True)) | {"n": numbers.shape[1]}
        for name, statistic in SEAM_STATISTICS.items():
            row |= with_interval(name, numbers, statistic, inference=inference)
        rows.append(row)
    return pd.DataFrame(rows)


def token_changes_by_layer(layers: pd.DataFrame, *, inference: Inference) -> pd.DataFrame:
    """Mean over images of the change of the patch tokens, with its bootstrap interval.

    ``layers`` has one row for each image: model, image_set, view, image, positional_embedding, layer, change (1 - cosine).
    One row for each of these keys but the image.
    """
    keys = [*KEYS, "positional_embedding", "layer"]
    rows = []
    for labels, part in layers.groupby(keys, sort=False):
        interval = with_interval("change", part.change.to_numpy(), mean, inference=inference)
        rows.append(dict(zip(keys, labels, strict=True)) | interval)
    return pd.DataFrame(rows)
