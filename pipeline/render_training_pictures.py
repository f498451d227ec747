"""Render the pictures, and write the texts, that the embedded CLIPs are trained and tested on.

    python -m pipeline.render_training_pictures NAME

Writes results/PROFILE/NAME as params.yaml says in its section `pools`: PART.safetensors (uint8 images [N, 3, H, W]) and PART.csv (texts) for the training views, the
training panoramas and the held-out views, and labels.csv (what can be asked of the held-out views).
"""

import sys
from pathlib import Path

from safetensors.torch import save_file

from clip360.data.prompts import prompt
from clip360.world.training_pictures import describe, label, photograph
from pipeline.parameters import read_params, tell


def main(name: str) -> None:
    params = read_params()
    pool, folder = params["pools"][name], Path("results", params["profile"], name)
    folder.mkdir(parents=True, exist_ok=True)
    for part, split, cues in (
        ("views", "train", pool["generic_cues"]),
        ("panoramas", "train", pool["format_cues"]),
        ("held_out", "validation", pool["generic_cues"]),
    ):
        pictures = photograph(
            part, split=split, seed=pool["seed"], count=pool[part], size=pool["size"], wide=part == "panoramas"
        )
        save_file({"images": pictures.images}, folder / f"{part}.safetensors")
        captions = describe(part, pictures, cues=cues, wordings=pool["wordings"], seed=pool["seed"])
        captions["text"] = [prompt(cue, caption) for cue, caption in zip(captions.cue, captions.caption, strict=True)]
        captions[["picture", "wording", "text"]].to_csv(folder / f"{part}.csv", index=False, lineterminator="\n")
        if part == "held_out":
            label(pictures).to_csv(folder / "labels.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
