"""Render the images, and write the captions, that the embedded CLIPs are trained and tested on.

    python -m pipeline.render_training_pictures

Writes results/PROFILE/training_pictures as `training_pictures` in params.yaml says. PART.safetensors holds `images` (uint8
[N, 3, H, W]) and PART.csv their captions (columns image, caption_number, cue, caption; one row per caption), where PART is `views` and
`panoramas`, for training, and `held_out`, views of other scenes; labels.csv holds the classes of the held-out images.
"""

import argparse
import sys
from pathlib import Path

from safetensors.torch import save_file

from clip360.world.training_images import caption_images, label_images, render_training_images
from pipeline.error_messages import report
from pipeline.outputs import folder_written_at_once, write_csv
from pipeline.parameters import TrainingPictures, read_params


def write_part(folder: Path, part: str, study: TrainingPictures, *, split: str, n_images: int) -> None:
    """Render the images of one part and write them with their captions; of held-out images also the labels."""
    panoramas = part == "panoramas"
    images = render_training_images(
        part, split=split, seed=study.seed, n_images=n_images, size=study.size, panoramas=panoramas
    )
    save_file({"images": images.images}, folder / f"{part}.safetensors")
    cues = study.format_cues if panoramas else study.generic_cues
    captions = caption_images(part, images, cues=cues, captions_per_image=study.captions_per_image, seed=study.seed)
    write_csv(captions, folder / f"{part}.csv")
    if part == "held_out":
        write_csv(label_images(images), folder / "labels.csv")


def main(*arguments: str) -> None:
    argparse.ArgumentParser(
        prog="python -m pipeline.render_training_pictures", description="Render the images that CLIPs are trained on."
    ).parse_args(arguments)
    params = read_params(inputs=True)
    study = params.training_pictures
    with folder_written_at_once(params.results / "training_pictures") as folder:
        if study is None:
            (folder / "README.txt").write_text("This profile leaves training_pictures empty.\n", encoding="utf-8")
            return
        write_part(folder, "views", study, split="train", n_images=study.n_views)
        write_part(folder, "panoramas", study, split="train", n_images=study.n_panoramas)
        write_part(folder, "held_out", study, split="validation", n_images=study.n_held_out)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
