"""Render an image set that the pipeline makes for itself.

    python -m pipeline.render_image_set NAME

Writes results/PROFILE/sets/NAME as params.yaml says in its section `rendered_sets`.
"""

import sys
from pathlib import Path

from clip360.data.image_set import write_image_set
from pipeline.parameters import read_params, tell
from pipeline.render_embedded_data import panoramas


def main(name: str) -> None:
    params = read_params()
    pictures = panoramas(name, cues=params["probe_sets"]["cues"], **params["rendered_sets"][name])
    write_image_set(Path("results", params["profile"], "sets", name), pictures)


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
