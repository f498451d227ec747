"""Score one image set by one model for both probes, each panorama decoded once: under cues, and shifted and mirrored.

    python -m pipeline.score_probes MODEL IMAGE_SET

Writes results/PROFILE/scores/textual/MODEL__IMAGE_SET.parquet and scores/visual/MODEL__IMAGE_SET.parquet.
"""

import sys

from clip360.scoring.clip_score import textual_scores
from clip360.scoring.embedding import embed_images, embed_texts
from clip360.scoring.shifts import curve, shift_scores, shift_views
from clip360.scoring.views import perspective_view
from pipeline.inputs import read_image_set, read_model
from pipeline.outputs import write_scores
from pipeline.parameters import read_params, tell


def main(model: str, image_set: str) -> None:
    params = read_params()
    cues, shifts = params["textual_probe"], params["visual_probe"]
    clip = read_model(params, model)
    pictures = read_image_set(params, image_set, clip)
    views = shift_views(curve(shifts["curve"]), copies=clip.protocol.copies)
    views |= {"perspective": perspective_view(**cues["control"])}
    seen = embed_images(clip, pictures.batches(params["compute"]["batch"]), views, total=len(pictures.table))
    flat = {"panorama": seen["shift", 0.0], "perspective": seen.pop("perspective")}
    textual = textual_scores(clip, pictures.table, flat, cues["generic"], image_set=image_set)
    visual = shift_scores(clip, pictures.table, seen, embed_texts(clip, pictures.texts), image_set=image_set)
    write_scores([textual], params, "textual", f"{model}__{image_set}")
    write_scores([visual], params, "visual", f"{model}__{image_set}")


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
