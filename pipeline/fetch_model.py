"""Fetch a model that is to be probed, from open_clip's list, a hub or a file.

    python -m pipeline.fetch_model MODEL

Writes results/PROFILE/models/MODEL as params.yaml says in its section `weights`.
"""

import sys
from pathlib import Path

from clip360.models.weights import Weights, fetch_clip
from pipeline.parameters import read_params, tell


def main(model: str) -> None:
    params = read_params()
    if model not in params["weights"]:
        raise ValueError(f"there are no weights {model} in params.yaml: choose one of {', '.join(params['weights'])}")
    try:
        weights = Weights(**params["weights"][model])
    except TypeError as error:
        raise ValueError(
            f"weights.{model} in params.yaml: expected architecture, and of pretrained, revision, sha256 what it needs"
        ) from error
    fetch_clip(Path("results", params["profile"], "models", model), weights)


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
