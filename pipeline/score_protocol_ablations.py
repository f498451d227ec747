"""Score all image sets by one model for both probes, with one detail of the protocol changed at a time.

Reads results/PROFILE/models/MODEL and the image sets. Writes results/PROFILE/measurements/protocol_ablations/MODEL.parquet, the
rows of both probes with the column ablation: `baseline` for the unchanged protocol, or a key of protocol_ablations.variants.
"""

import argparse
import sys

import pandas as pd

from clip360.data.image_set import ImageSet
from clip360.geometry.views import shift_fractions
from clip360.models.clip import Clip
from clip360.names import BASELINE, PANORAMA
from clip360.scoring.clip_score import cue_measurements
from clip360.scoring.embedding import embed_images, embed_texts
from clip360.scoring.shifts import shift_measurements, shift_views
from pipeline.error_messages import report
from pipeline.inputs import read_image_set, read_model
from pipeline.outputs import write_measurements
from pipeline.parameters import Parameters, read_params


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.score_protocol_ablations", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="one of `models` in params.yaml")
    model = parser.parse_args(arguments).model
    params = read_params()
    variants = {name: x.model_dump(exclude_unset=True) for name, x in params.protocol_ablations.variants.items()}
    parts = []
    for ablation, changes in {BASELINE: {}, **variants}.items():
        clip = read_model(params, model, **changes)
        for name in params.image_sets:
            image_set = read_image_set(params, name, clip).head(params.protocol_ablations.n_images)
            parts.append(probe_measurements(params, clip, image_set, ablation=ablation))
    write_measurements(parts, params, "protocol_ablations", model)


def probe_measurements(params: Parameters, clip: Clip, image_set: ImageSet, *, ablation: str) -> pd.DataFrame:
    """Scores with all cues, under the tested shifts and mirrored; columns ablation and, "" for shifts, cue come last."""
    views = shift_views(shift_fractions(params.visual_probe.n_shifts), jpeg_quality=clip.protocol.jpeg_quality)
    batches = image_set.batches(params.compute.batch_size)
    image_embeds = embed_images(clip, batches, views, total=len(image_set.table))
    text_embeds = embed_texts(clip, image_set.texts)
    unshifted, generic_cues = {PANORAMA: image_embeds["shift", 0.0]}, params.textual_probe.generic_cues
    textual = cue_measurements(clip, image_set.table, unshifted, generic_cues, image_set=image_set.name)
    visual = shift_measurements(clip, image_set.table, image_embeds, text_embeds, image_set=image_set.name)
    table = pd.concat([textual, visual.assign(cue="")], ignore_index=True)
    table.insert(table.columns.get_loc("cue"), "ablation", ablation)
    return table


if __name__ == "__main__":
    report(main, *sys.argv[1:])
