"""Render the scenes of the image sets from other viewpoints.

    python -m pipeline.render_viewpoints

Writes results/PROFILE/viewpoints/SET/DISTANCE: an image set for each entry of `crop_or_model.scenes` in params.yaml and each distance
in metres, 0 and those of `capabilities.viewpoints`. The camera of a scene moves in one direction, which is drawn for it.
"""

import argparse
import sys

from clip360.data.image_set import write_image_set
from pipeline.error_messages import report
from pipeline.outputs import folder_written_at_once
from pipeline.parameters import read_params
from pipeline.render_embedded_data import render_panoramas


def main(*arguments: str) -> None:
    argparse.ArgumentParser(
        prog="python -m pipeline.render_viewpoints",
        description="Render the scenes of the image sets from other viewpoints.",
    ).parse_args(arguments)
    params = read_params()
    study, cues = params.capabilities.viewpoints, params.probe_sets.format_cues
    with folder_written_at_once(params.results / "viewpoints") as folder:
        if not params.crop_or_model.scenes:
            (folder / "README.txt").write_text("This profile leaves crop_or_model.scenes empty.\n", encoding="utf-8")
        for name, recipe in params.crop_or_model.scenes.items():
            changed = recipe.model_dump() | {"n_images": study.n_images, "height": study.height, "format_cues": cues}
            for distance in (0.0, *study.distances):
                write_image_set(
                    folder / name / f"{distance:g}", render_panoramas(name, camera_offset=distance, **changed)
                )


if __name__ == "__main__":
    report(main, *sys.argv[1:])
