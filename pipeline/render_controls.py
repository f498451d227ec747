"""Render the panoramas of the study of views again, the camera turned by a part of a pixel, and note where their things are.

    python -m pipeline.render_controls

Writes results/PROFILE/controls: an image set for each entry of `crop_or_model.scenes` in params.yaml, and things.parquet.
"""

from pathlib import Path

import pandas as pd

from clip360.data.image_set import load_image_set, write_image_set
from clip360.world.object_visibility import thing_columns
from pipeline.parameters import read_params, tell
from pipeline.render_embedded_data import panoramas
from pipeline.scenes import draw_scenes


def main() -> None:
    params = read_params()
    study, folder = params["crop_or_model"], Path("results", params["profile"], "controls")
    folder.mkdir(parents=True, exist_ok=True)
    things = []
    for name, recipe in study["scenes"].items():
        cues = params["probe_sets"]["cues"]
        turned = panoramas(name, yaw=study["yaw"], count=study["images"], cues=cues, **recipe)
        write_image_set(folder / name, turned)
        scenes = draw_scenes(recipe, study["images"])
        images = load_image_set(folder / name).table.image
        things.append(thing_columns(scenes, images, height=study["columns"] // 2).assign(image_set=name))
    table = pd.concat(things) if things else pd.DataFrame(columns=["image_set", "image", "thing", "column", "share"])
    table.to_parquet(folder / "things.parquet", index=False)


if __name__ == "__main__":
    tell(main)
