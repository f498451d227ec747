"""Fetch a CLIP from open_clip's list, from a hub or from a file.

    python -m pipeline.fetch_model MODEL

Writes results/PROFILE/models/MODEL as `weights.MODEL` in params.yaml says.
"""

import argparse
import sys

from clip360.models.weights import WeightSource, fetch_clip
from pipeline.error_messages import nearest, report
from pipeline.parameters import read_params


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.fetch_model", description="Fetch a CLIP.")
    parser.add_argument("model", metavar="MODEL", help="a key of `weights` in params.yaml")
    model = parser.parse_args(arguments).model
    params = read_params(inputs=True)
    if model not in params.weights:
        names = ", ".join(params.weights) or "none, this profile fetches no model"
        raise ValueError(
            f"weights in params.yaml has no model {model}: choose one of {names}{nearest(model, params.weights)}"
        )
    fetch_clip(params.results / "models" / model, WeightSource(**params.weights[model].model_dump()))


if __name__ == "__main__":
    report(main, *sys.argv[1:])
