"""Evaluate what all embedded CLIPs learned, on images of scenes that no training image shows.

Reads results/PROFILE/models/MODEL of every MODEL in pretraining.models of params.yaml, and the held-out images of
results/PROFILE/training_pictures. Writes results/PROFILE/pretraining_evaluation.parquet: model, task, image, hit, chance; a
table without rows where the profile trains no model.
"""

import argparse
import sys

import pandas as pd
from safetensors.torch import load_file

from clip360.data.prompts import prompt
from clip360.evaluation.pretraining_evaluation import COLUMNS, evaluate_pretraining
from clip360.models.clip import load_clip
from pipeline.error_messages import report
from pipeline.outputs import write_parquet
from pipeline.parameters import Parameters, read_params


def main(*arguments: str) -> None:
    argparse.ArgumentParser(prog="python -m pipeline.evaluate_pretraining", description=__doc__).parse_args(arguments)
    params = read_params()
    write_parquet(evaluate_all(params), params.results / "pretraining_evaluation.parquet")


def evaluate_all(params: Parameters) -> pd.DataFrame:
    """The evaluation of every trained model, in the order of params.yaml: columns model, task, image, hit, chance."""
    models = params.pretraining.models
    if not models:
        return pd.DataFrame(columns=["model", *COLUMNS])
    folder = params.results / "training_pictures" / "held_out"
    images = load_file(folder / "images.safetensors")["images"]
    captions = pd.read_csv(folder / "captions.csv", keep_default_na=False).drop_duplicates("image")
    texts = list(map(prompt, captions.cue, captions.caption))
    labels = pd.read_csv(folder / "labels.csv", keep_default_na=False)
    tables = []
    for model in models:
        clip = load_clip(params.results / "models" / model, device=params.compute.device)
        tables.append(evaluate_pretraining(clip, images, texts, labels))
        tables[-1].insert(0, "model", model)
    return pd.concat(tables, ignore_index=True)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
