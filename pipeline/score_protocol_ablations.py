"""Score one model on all image sets under both probes, with one detail of the protocol changed at a time.

    python -m pipeline.score_protocol_ablations MODEL

Writes results/PROFILE/scores/hazards/MODEL.parquet.
"""

import sys

import pandas as pd

from clip360.data.image_set import ImageSet
from clip360.models.clip import Clip
from clip360.scoring.clip_score import textual_scores
from clip360.scoring.embedding import embed_images, embed_texts
from clip360.scoring.shifts import curve, shift_scores, shift_views
from clip360.stats.protocol_ablations import BASELINE
from pipeline.inputs import read_image_set, read_model
from pipeline.outputs import write_scores
from pipeline.parameters import read_params, tell


def main(model: str) -> None:
    params = read_params()
    parts = []
    for hazard, changes in {BASELINE: {}, **params["hazards"]["variants"]}.items():
        clip = read_model(params, model, **changes)
        for name in params["image_sets"]:
            pictures = read_image_set(params, name, clip).head(params["hazards"]["images"])
            parts.append(both_probes(clip, pictures, params).assign(hazard=hazard))
    write_scores(parts, params, "hazards", model)


def both_probes(clip: Clip, pictures: ImageSet, params: dict) -> pd.DataFrame:
    """Scores under the tested shifts, mirrored, and with generic cues."""
    views = shift_views(curve(params["visual_probe"]["tested"]), copies=clip.protocol.copies)
    batches = pictures.batches(params["compute"]["batch"])
    seen = embed_images(clip, batches, views, total=len(pictures.table))
    read = embed_texts(clip, pictures.texts)
    generic = params["textual_probe"]["generic"]
    textual = textual_scores(clip, pictures.table, {"panorama": seen["shift", 0.0]}, generic, image_set=pictures.name)
    visual = shift_scores(clip, pictures.table, seen, read, image_set=pictures.name)
    return pd.concat([textual.astype({"value": str}), visual.astype({"value": str})])


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
