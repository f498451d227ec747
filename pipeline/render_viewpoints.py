"""Render panoramas of an image set's scenes again, from cameras that stand elsewhere.

    python -m pipeline.render_viewpoints

Writes results/PROFILE/viewpoints/SET/DISTANCE, an image set for each entry of `crop_or_model.scenes` and each distance (metres)
of `abilities.viewpoints` in params.yaml; a scene's camera moves in one direction, drawn for it.
"""

from pathlib import Path

from clip360.data.image_set import write_image_set
from pipeline.parameters import read_params, tell
from pipeline.render_embedded_data import panoramas


def main() -> None:
    params = read_params()
    study, cues = params["abilities"]["viewpoints"], params["probe_sets"]["cues"]
    folder = Path("results", params["profile"], "viewpoints")
    folder.mkdir(parents=True, exist_ok=True)
    for name, recipe in params["crop_or_model"]["scenes"].items():
        shown = {**recipe, "count": study["images"], "height": study["height"], "cues": cues}
        for distance in (0.0, *study["distances"]):
            write_image_set(folder / name / f"{distance:g}", panoramas(name, moved=distance, **shown))


if __name__ == "__main__":
    tell(main)
