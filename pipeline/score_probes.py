"""Score one image set by one model for both probes: with cues in the text, and with shifted and mirrored panoramas.

Reads results/PROFILE/models/MODEL and the image set. Writes results/PROFILE/measurements/textual_probe/MODEL__IMAGE_SET.parquet
and results/PROFILE/measurements/visual_probe/MODEL__IMAGE_SET.parquet. Each panorama is decoded once for both.
"""

import argparse
import sys

from clip360.geometry.views import perspective_view, shift_fractions
from clip360.names import PANORAMA, PERSPECTIVE
from clip360.scoring.clip_score import cue_measurements
from clip360.scoring.embedding import embed_images, embed_texts
from clip360.scoring.shifts import shift_measurements, shift_views
from pipeline.error_messages import report
from pipeline.inputs import read_image_set, read_model
from pipeline.outputs import write_measurements
from pipeline.parameters import read_params


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.score_probes", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="one of `models` in params.yaml")
    parser.add_argument("image_set", metavar="IMAGE_SET", help="one of `image_sets` in params.yaml")
    options = parser.parse_args(arguments)
    params = read_params(inputs=True)
    clip = read_model(params, options.model)
    image_set = read_image_set(params, options.image_set, clip)

    views = shift_views(shift_fractions(params.visual_probe.n_curve_shifts), jpeg_quality=clip.protocol.jpeg_quality)
    views |= {PERSPECTIVE: perspective_view(**params.textual_probe.control_view.model_dump())}
    batches = image_set.batches(params.compute.batch_size)
    image_embeds = embed_images(clip, batches, views, total=len(image_set.table))
    by_view = {PANORAMA: image_embeds["shift", 0.0], PERSPECTIVE: image_embeds.pop(PERSPECTIVE)}

    study = params.textual_probe
    held_out = study.held_out_cues.model_dump()
    textual = cue_measurements(
        clip, image_set.table, by_view, study.generic_cues, image_set=image_set.name, held_out=held_out
    )
    text_embeds = embed_texts(clip, image_set.texts)
    visual = shift_measurements(clip, image_set.table, image_embeds, text_embeds, image_set=image_set.name)
    name = f"{options.model}__{options.image_set}"
    write_measurements([textual], params, "textual_probe", name)
    write_measurements([visual], params, "visual_probe", name)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
