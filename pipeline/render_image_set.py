"""Render an image set that is not embedded in data/.

    python -m pipeline.render_image_set NAME

Writes results/PROFILE/image_sets/NAME as `rendered_sets.NAME` in params.yaml says.
"""

import argparse
import sys

from clip360.data.image_set import write_image_set
from pipeline.error_messages import nearest, report
from pipeline.parameters import read_params
from pipeline.render_embedded_data import render_panoramas


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.render_image_set", description="Render an image set.")
    parser.add_argument("name", metavar="NAME", help="a key of `rendered_sets` in params.yaml")
    name = parser.parse_args(arguments).name
    params = read_params(inputs=True)
    recipes = params.rendered_sets
    if name not in recipes:
        names = ", ".join(recipes) or "none, this profile renders no image set"
        raise ValueError(
            f"rendered_sets in params.yaml has no set {name}: choose one of {names}{nearest(name, recipes)}"
        )
    panoramas = render_panoramas(name, format_cues=params.probe_sets.format_cues, **recipes[name].model_dump())
    write_image_set(params.results / "image_sets" / name, panoramas)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
