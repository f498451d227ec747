"""Render an image set that the pipeline makes for itself.

    python -m stages.render_set NAME

Writes results/PROFILE/sets/NAME as params.yaml says in its section `rendered_sets`.
"""

import sys
from pathlib import Path

from lib.imageset import write_image_set
from stages.make_data import panoramas
from stages.parameters import read_params, tell


def main(name: str) -> None:
    params = read_params()
    pictures = panoramas(name, cues=params["probe_sets"]["cues"], **params["rendered_sets"][name])
    write_image_set(Path("results", params["profile"], "sets", name), pictures)


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
