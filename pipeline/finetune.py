"""Fine-tune a CLIP so that a panorama and its shifts score alike, as a run of `finetune.runs` or `adaptation.runs` in params.yaml says.

    python -m pipeline.finetune RUN
    torchrun --nproc_per_node N -m pipeline.finetune RUN    N processes share each batch

A run that was stopped continues after its last whole epoch.

Reads results/PROFILE/models/MODEL and the panoramas of `finetune`. Writes results/PROFILE/finetuned/STUDY/RUN, STUDY being `tradeoff` or,
for runs of `adaptation.runs`, `adaptation`: the trained weights, method.json, a model card (README.md) and log/, as dvclive writes it; and
the seconds of training to results/PROFILE/seconds/RUN.txt, which DVC does not track, since they differ from run to run.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from accelerate import PartialState
from dvclive import Live

from clip360.finetune.loop import fine_tune
from clip360.finetune.methods import find_method
from clip360.finetune.objectives import Objective
from clip360.finetune.run import make_objective, write_run
from clip360.models.clip import Clip
from pipeline.error_messages import report
from pipeline.finetuned import (
    finetuned_folder,
    protocol_changes,
    read_offset_panoramas,
    read_run,
    read_training_panoramas,
    recipe_of,
)
from pipeline.inputs import read_model
from pipeline.outputs import folder_written_at_once, written_at_once
from pipeline.parameters import Parameters, Run, read_params


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.finetune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="a key of finetune.runs or adaptation.runs in params.yaml")
    finetune(read_params(), parser.parse_args(arguments).run)


def finetune(params: Parameters, name: str) -> None:
    """Train the run ``name`` and write its folder, in place of the last one once it is complete."""
    run = read_run(params, name)
    clip = read_model(params, run.model, **protocol_changes(run.view))
    if clip.view == "multi_view":
        parameter = "protocol.view" if run.view is None else f"adaptation.runs.{name}.view"
        raise ValueError(
            f"{parameter} is multi_view: fine-tuning needs one image for each panorama, choose another view"
        )
    recipe = recipe_of(params, run)
    objective = read_objective(params, run, clip)
    clip = find_method(run.method).attach(clip, **recipe.lora)

    writes = PartialState(cpu=clip.device.type == "cpu").is_main_process  # of several processes, one
    output = folder_written_at_once(finetuned_folder(params, name)) if writes else tempfile.TemporaryDirectory()
    with output as folder:
        start = time.perf_counter()
        metrics = train(clip, objective, params, log_folder=Path(folder, "log"), optimisation=recipe.optimisation)
        seconds = time.perf_counter() - start
        if not writes:
            return
        write_run(clip, objective, recipe, folder, name=name, image_set=params.finetune.image_set, metrics=metrics)
        with written_at_once(params.results / "seconds" / f"{name}.txt") as path:
            path.write_text(f"{seconds:.1f}\n", encoding="utf-8")


def read_objective(params: Parameters, run: Run, clip: Clip) -> Objective:
    """The objective of a run on its panoramas; the frozen model ``clip`` gives the reference."""
    training, _ = read_training_panoramas(params)
    viewpoints = [training]
    if find_method(run.method).uses_offset:
        viewpoints.append(read_offset_panoramas(params, training))
    return make_objective(clip, recipe_of(params, run), viewpoints, batch_size=params.compute.batch_size)


def train(clip: Clip, objective: Objective, params: Parameters, *, log_folder: Path, optimisation: dict) -> dict:
    """Fine-tune ``clip`` in place and log each step by dvclive to ``log_folder``; the numbers of the last step."""
    os.environ["DVCLIVE_LOG_LEVEL"] = "ERROR"
    with Live(log_folder, save_dvc_exp=False, dvcyaml=None, report=None) as live:

        def log(row: dict[str, float]) -> None:
            for key, value in row.items():
                live.log_metric(key, value)
            live.next_step()

        fine_tune(clip, objective, checkpoints=params.results / "checkpoints", log=log, **optimisation)
        return dict(live.summary)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
