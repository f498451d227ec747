"""Roll what a model's image tower reads, as it is and with other positional embeddings: scores, and how far tokens move.

    python -m pipeline.analyse_tokens MODEL

Writes rolls.parquet, layers.parquet and maps.parquet into results/PROFILE/inside/MODEL.
"""

import sys
from pathlib import Path

import pandas as pd

from clip360.evaluation.token_analysis import look_inside
from clip360.models.positional_embeddings import KINDS
from pipeline.inputs import read_image_set, read_model
from pipeline.parameters import read_params, tell


def main(model: str) -> None:
    params = read_params()
    study, parts = params["crop_or_model"], []
    for view in study["inside"]["views"]:
        clip = read_model(params, model, view=view)
        for name in params["image_sets"]:
            pictures = read_image_set(params, name, clip).head(study["inside"]["images"])
            parts.append(look_inside(clip, pictures, kinds=KINDS, batch=params["compute"]["batch"]))
    folder = Path("results", params["profile"], "inside", model)
    folder.mkdir(parents=True, exist_ok=True)
    for name, tables in zip(("rolls", "layers", "maps"), zip(*parts, strict=True), strict=True):
        pd.concat(tables, ignore_index=True).to_parquet(folder / f"{name}.parquet", index=False)


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
