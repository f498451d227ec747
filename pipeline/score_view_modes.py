"""Score all image sets by one model under every view of a panorama, with the controls that shifts are compared with.

Reads results/PROFILE/models/MODEL, the image sets and results/PROFILE/control_views. Writes
results/PROFILE/measurements/view_modes/MODEL.parquet.
"""

import argparse
import sys

from clip360.data.image_set import load_image_set
from clip360.evaluation.view_modes import control_views, rerendered_measurements, view_measurements
from pipeline.error_messages import report
from pipeline.inputs import read_image_set, read_model
from pipeline.outputs import write_measurements
from pipeline.parameters import read_params


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.score_view_modes", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="one of `models` in params.yaml")
    model = parser.parse_args(arguments).model
    params = read_params()
    study, batch_size = params.crop_or_model, params.compute.batch_size
    controls = control_views(**study.controls.model_dump())
    parts = []
    for view in study.views:
        clip = read_model(params, model, view=view)
        for name in params.image_sets:
            image_set = read_image_set(params, name, clip).head(study.n_images)
            parts.append(
                view_measurements(
                    clip,
                    image_set,
                    n_shifts=study.n_shifts,
                    n_windows=study.n_windows,
                    controls=controls,
                    batch_size=batch_size,
                )
            )
            if name in study.scenes:
                rerendered = load_image_set(params.results / "control_views" / name)
                parts.append(
                    rerendered_measurements(
                        clip, rerendered, image_set.texts, control_yaw=study.control_yaw, batch_size=batch_size
                    )
                )
    write_measurements(parts, params, "view_modes", model)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
