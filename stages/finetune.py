"""Fine-tune a model by LoRA to give shifted panoramas the same score; killed and started again, it goes on.

    python -m stages.finetune RUN

Writes results/PROFILE/adapters/RUN: the adapter in PEFT's format, its model card, and log/ as dvclive writes it.
"""

import os
import shutil
import sys
from pathlib import Path

from dvclive import Live

from lib.embedding import embed_texts
from lib.finetune.card import model_card
from lib.finetune.data import ShiftedPanoramas
from lib.finetune.loop import fine_tune, frozen_scores
from lib.finetune.lora import attach_lora, save_adapter
from lib.imageset import load_image_set
from stages.inputs import read_model, read_run
from stages.parameters import read_params, tell


def main(name: str) -> None:
    params = read_params()
    finetune, run = params["finetune"], read_run(params, name)
    pictures = load_image_set(finetune["image_set"])
    clip = read_model(params, run["model"])
    if clip.view == "multi_view":
        raise ValueError("protocol.view is multi_view: fine-tuning needs a view with one picture for each panorama")
    panoramas = ShiftedPanoramas(pictures.batches(params["compute"]["batch"]), len(pictures.table), clip.preprocess)
    texts = embed_texts(clip, pictures.texts)
    frozen = frozen_scores(clip, panoramas, texts)
    clip = attach_lora(clip, targets=run["targets"], **finetune["adapter"])

    results = Path("results", params["profile"])
    folder = results / "adapters" / name
    partial = folder.with_name(f"{name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    os.environ["DVCLIVE_LOG_LEVEL"] = "ERROR"
    with Live(partial / "log", save_dvc_exp=False, dvcyaml=None, report=None) as live:

        def log(row: dict[str, float]) -> None:
            for key, value in row.items():
                live.log_metric(key, value)
            live.next_step()

        fine_tune(
            clip,
            panoramas,
            texts,
            frozen,
            weight=run["weight"],
            shifts=run["shifts"],
            checkpoints=results / "checkpoints",
            log=log,
            **finetune["optimisation"],
        )
        metrics = dict(live.summary)
    save_adapter(clip, partial)
    card = model_card(name, run=run, finetune=finetune, images=len(panoramas), metrics=metrics)
    (partial / "README.md").write_text(card, encoding="utf-8", newline="\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
