"""Train one of the embedded CLIPs from scratch.

Reads results/PROFILE/training_pictures and the section `pretraining` of params.yaml. Writes results/PROFILE/models/MODEL, a folder
that open_clip reads, and results/PROFILE/pretraining/MODEL_history.csv, the loss and the logit scale of every step.
"""

import argparse
import sys

from clip360.models.clip import new_clip, save_weights, write_configuration
from clip360.models.pretraining import train_clip, training_set
from pipeline.error_messages import report
from pipeline.outputs import folder_written_at_once, write_csv
from pipeline.parameters import read_params


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.train_clip", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="a key of pretraining.models in params.yaml")
    model = parser.parse_args(arguments).model
    params = read_params()
    study, models = params.pretraining, params.pretraining.models
    if model not in models:
        choice = f"choose one of {', '.join(models)}" if models else "this profile trains no model"
        raise ValueError(f"pretraining.models in params.yaml has no model {model}: {choice}")
    images, texts = training_set(
        params.results / "training_pictures",
        panorama_fraction=models[model].panorama_fraction,
        n_images=models[model].n_images or study.n_images,
        cue_reliability=models[model].cue_reliability,
        seed=study.optimisation.seed,
    )
    with folder_written_at_once(params.results / "models" / model) as folder:
        write_configuration(folder, study.architecture.model_dump())
        clip = new_clip(folder, seed=study.optimisation.seed, device=params.compute.device)
        history = train_clip(clip, images, texts, **study.optimisation.model_dump())
        save_weights(clip, folder)
        write_csv(history, params.results / "pretraining" / f"{model}_history.csv")


if __name__ == "__main__":
    report(main, *sys.argv[1:])
