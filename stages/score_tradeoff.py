"""Score a fine-tuned model, or a frozen one, for the trade-off: on all image sets and on the panoramas it was tuned on.

    python -m stages.score_tradeoff RUN
    python -m stages.score_tradeoff --frozen MODEL

Writes results/PROFILE/scores/tradeoff/RUN.parquet (or MODEL.parquet).
"""

import sys
from pathlib import Path

from lib.finetune.lora import load_adapter, merge_adapter
from lib.imageset import load_image_set
from lib.shifts import curve
from lib.tradeoff import tradeoff_scores
from lib.views import perspective_view
from stages.inputs import read_model, read_run
from stages.outputs import write_scores
from stages.parameters import read_params, tell


def main(*arguments: str) -> None:
    params, name = read_params(), arguments[-1]
    results, probe, textual = Path("results", params["profile"]), params["visual_probe"], params["textual_probe"]
    if arguments[0] == "--frozen":
        clip = read_model(params, name)
    else:
        base = read_model(params, read_run(params, name)["model"])
        clip = merge_adapter(load_adapter(base, results / "adapters" / name))
    folders = [Path(params["data"], image_set) for image_set in params["image_sets"]]
    scores = [
        tradeoff_scores(
            clip,
            load_image_set(folder),
            shifts=curve(probe["tested"]),
            control=perspective_view(**textual["control"]),
            generic=textual["generic"][0],
            batch=params["compute"]["batch"],
        )
        for folder in (*folders, Path(params["finetune"]["image_set"]))
    ]
    write_scores(scores, params, "tradeoff", name)


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
