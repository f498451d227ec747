"""Score all image sets by one model under every view of a panorama, with the controls that shifts are compared with.

    python -m pipeline.score_view_modes MODEL

Writes results/PROFILE/scores/views/MODEL.parquet.
"""

import sys
from pathlib import Path

from clip360.data.image_set import load_image_set
from clip360.evaluation.view_modes import harmless_changes, view_again, view_scores
from pipeline.inputs import read_image_set, read_model
from pipeline.outputs import write_scores
from pipeline.parameters import read_params, tell


def main(model: str) -> None:
    params = read_params()
    study, batch = params["crop_or_model"], params["compute"]["batch"]
    parts = []
    for view in study["views"]:
        clip = read_model(params, model, view=view)
        for name in params["image_sets"]:
            pictures = read_image_set(params, name, clip).head(study["images"])
            controls = harmless_changes(**study["controls"])
            parts.append(
                view_scores(clip, pictures, steps=study["steps"], turns=study["turns"], controls=controls, batch=batch)
            )
            if name in study["scenes"]:
                again = load_image_set(Path("results", params["profile"], "controls", name))
                turned = {"condition": "rendered_again", "value": study["yaw"]}
                parts.append(view_again(clip, again, pictures.texts, batch=batch, **turned))
    write_scores(parts, params, "views", model)


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
