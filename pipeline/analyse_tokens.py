"""Roll the inputs of a model's image tower, with its own and with other positional embeddings, and measure scores and tokens.

Reads results/PROFILE/models/MODEL and the image sets. Writes rolls.parquet (scores and ranks), layers.parquet and maps.parquet
(how much patch tokens change) into results/PROFILE/token_analysis/MODEL.
"""

import argparse
import sys

import pandas as pd

from clip360.evaluation.token_analysis import TokenAnalysis, analyse_tokens
from clip360.models.positional_embeddings import KINDS
from pipeline.error_messages import report
from pipeline.inputs import read_image_set, read_model
from pipeline.outputs import folder_written_at_once
from pipeline.parameters import read_params


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.analyse_tokens", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="one of `models` in params.yaml, a ViT of open_clip")
    model = parser.parse_args(arguments).model
    params = read_params()
    study, parts = params.crop_or_model.token_analysis, []
    for view in study.views:
        clip = read_model(params, model, view=view)
        for name in params.image_sets:
            image_set = read_image_set(params, name, clip).head(study.n_images)
            parts.append(analyse_tokens(clip, image_set, kinds=KINDS, batch_size=params.compute.batch_size))
    with folder_written_at_once(params.results / "token_analysis" / model) as folder:
        for name, tables in zip(TokenAnalysis._fields, zip(*parts, strict=True), strict=True):
            pd.concat(tables, ignore_index=True).to_parquet(folder / f"{name}.parquet", index=False)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
