"""Render the panoramas of the crop-or-model study again, with the camera turned by part of a pixel, and measure object visibility.

    python -m pipeline.render_control_views

Writes results/PROFILE/control_views: an image set for each entry of `crop_or_model.scenes` in params.yaml, and
object_visibility.parquet, the directions in which each panorama shows the objects of its scene.
"""

import argparse
import sys

import pandas as pd

from clip360.data.image_set import load_image_set, write_image_set
from clip360.world.object_visibility import COLUMNS, object_visibility
from pipeline.error_messages import report
from pipeline.outputs import folder_written_at_once
from pipeline.parameters import read_params
from pipeline.render_embedded_data import render_panoramas
from pipeline.scenes import draw_scenes


def main(*arguments: str) -> None:
    argparse.ArgumentParser(
        prog="python -m pipeline.render_control_views",
        description="Render the control views of the crop-or-model study.",
    ).parse_args(arguments)
    params = read_params()
    study, cues = params.crop_or_model, params.probe_sets.format_cues
    tables = [pd.DataFrame(columns=[*COLUMNS, "image_set"])]
    with folder_written_at_once(params.results / "control_views") as folder:
        for name, recipe in study.scenes.items():
            panoramas = render_panoramas(
                name, yaw=study.control_yaw, n_images=study.n_images, format_cues=cues, **recipe.model_dump()
            )
            write_image_set(folder / name, panoramas)
            scenes, images = draw_scenes(recipe, study.n_images), load_image_set(folder / name).table.image
            visibility = object_visibility(scenes, images, height=study.visibility_columns // 2)
            tables.append(visibility.assign(image_set=name))
        table = pd.concat(tables[1:] or tables)
        table.to_parquet(folder / "object_visibility.parquet", index=False)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
