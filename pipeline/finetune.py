"""Fine-tune a model to see shifted panoramas alike, by the strategy of a run; killed and started again, it goes on.

    python -m pipeline.finetune RUN
    torchrun --nproc_per_node N -m pipeline.finetune RUN    on N devices, or N processes of a CPU

Writes results/PROFILE/adapters/RUN: what was trained, how (strategy.json), a model card, and log/ as dvclive writes it; and
the seconds of training to results/PROFILE/seconds/RUN.txt, which is no output, since no two runs take the same time.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from accelerate import PartialState
from dvclive import Live

from clip360.data.image_set import load_image_set
from clip360.data.prompts import prompt
from clip360.finetune.data import ShiftedPanoramas
from clip360.finetune.loop import fine_tune
from clip360.finetune.methods import find_strategy, save_tuned
from clip360.finetune.model_card import model_card
from clip360.finetune.objectives import Objective
from clip360.models.clip import Clip
from pipeline.inputs import read_model
from pipeline.parameters import read_params, tell
from pipeline.tuning import read_protocol_of, read_run, read_training


def main(name: str) -> None:
    params = read_params()
    run = read_run(params, name)
    optimisation = params["finetune"]["optimisation"] | {key: run[key] for key in ("rate",) if key in run}
    finetune, strategy = params["finetune"] | {"optimisation": optimisation}, find_strategy(run["strategy"])
    clip = read_model(params, run["model"], **read_protocol_of(run))
    if clip.view == "multi_view":
        where = f"view of the run {name}" if "view" in run else "protocol.view"
        raise ValueError(f"{where} is multi_view: fine-tuning needs one picture for each panorama, choose another")
    objective = read_objective(params, run, clip)
    clip = strategy.attach(clip, **finetune["adapter"])

    results = Path("results", params["profile"])
    folder = results / "adapters" / name
    writes = PartialState(cpu=clip.device.type == "cpu").is_main_process  # of several processes one
    partial = folder.with_name(f"{name}.partial") if writes else Path(tempfile.mkdtemp())
    shutil.rmtree(partial, ignore_errors=True)
    os.environ["DVCLIVE_LOG_LEVEL"] = "ERROR"
    start = time.perf_counter()
    with Live(partial / "log", save_dvc_exp=False, dvcyaml=None, report=None) as live:

        def log(row: dict[str, float]) -> None:
            for key, value in row.items():
                live.log_metric(key, value)
            live.next_step()

        fine_tune(clip, objective, checkpoints=results / "checkpoints", log=log, **optimisation)
        metrics = dict(live.summary)
    if not writes:
        return shutil.rmtree(partial)
    seconds = results / "seconds" / f"{name}.txt"
    seconds.parent.mkdir(exist_ok=True)
    seconds.write_text(f"{time.perf_counter() - start:.1f}\n", encoding="utf-8")

    images = len(objective.panoramas)
    passes = {"with gradient": 2 * images * optimisation["epochs"], "without": objective.looks}
    save_tuned(clip, partial, run["strategy"], adapter=finetune["adapter"], passes=passes)
    card = model_card(name, run=run, finetune=finetune, images=images, metrics=metrics)
    (partial / "README.md").write_text(card, encoding="utf-8", newline="\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def read_objective(params: dict, run: dict, clip: Clip) -> Objective:
    """The objective of a run on its panoramas, with all that the frozen model says of them."""
    finetune, strategy = params["finetune"], find_strategy(run["strategy"])
    training, _ = read_training(params)
    viewpoints = [training]
    if strategy.moved:
        moved = load_image_set(finetune["moved"])
        if len(moved.table) < len(training.table):
            raise ValueError(
                f"{moved.folder} has {len(moved.table)} panoramas, expected one for each of {training.folder}"
            )
        viewpoints.append(moved.head(len(training.table)))
    batches = [pictures.batches(params["compute"]["batch"]) for pictures in viewpoints]
    panoramas, texts = ShiftedPanoramas(batches, len(training.table), clip.preprocess), training.texts
    if strategy.photographs:
        panoramas.take_photographs(finetune["views"], fov=finetune["photographs"]["fov"])
        texts = texts + [prompt(finetune["photographs"]["cue"], caption) for caption in training.table.caption]
    settings = {key: run[key] for key in ("weight", "shifts")} | {key: finetune[key] for key in ("views", "worst")}
    return strategy.objective(clip, panoramas, texts, reads=strategy.reads, **settings)


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
