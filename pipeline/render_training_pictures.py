"""Render a part of the images, and write the captions, that the embedded CLIPs are trained and tested on.

    python -m pipeline.render_training_pictures PART

PART is `views` or `panoramas`, for training, or `held_out`, views of other scenes. Writes results/PROFILE/training_pictures/PART as
`training_pictures` in params.yaml says: images.safetensors holds `images` (uint8 [N, 3, H, W]), captions.csv their captions (columns
image, caption_number, cue, caption; one row per caption); of held-out images, labels.csv holds the classes.
"""

import argparse
import sys
from pathlib import Path

from safetensors.torch import save_file

from clip360.world.training_images import caption_images, label_images, render_training_images
from pipeline.error_messages import report
from pipeline.outputs import folder_written_at_once, write_csv
from pipeline.parameters import TrainingPictures, read_params

PARTS = ("views", "panoramas", "held_out")


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.render_training_pictures", description="Render the images that CLIPs are trained on."
    )
    parser.add_argument("part", metavar="PART", choices=PARTS, help=f"one of {', '.join(PARTS)}")
    part, params = parser.parse_args(arguments).part, read_params(inputs=True)
    with folder_written_at_once(params.results / "training_pictures" / part) as folder:
        if params.training_pictures is None:
            (folder / "README.txt").write_text("This profile leaves training_pictures empty.\n", encoding="utf-8")
        else:
            write_part(folder, part, params.training_pictures)


def write_part(folder: Path, part: str, study: TrainingPictures) -> None:
    """Render the images of one part and write them with their captions; of held-out images also the labels."""
    panoramas = part == "panoramas"
    images = render_training_images(
        part,
        split="validation" if part == "held_out" else "train",
        seed=study.seed,
        n_images=getattr(study, f"n_{part}"),
        size=study.size,
        panoramas=panoramas,
    )
    save_file({"images": images.images}, folder / "images.safetensors")
    cues = study.format_cues if panoramas else study.generic_cues
    captions = caption_images(part, images, cues=cues, captions_per_image=study.captions_per_image, seed=study.seed)
    write_csv(captions, folder / "captions.csv")
    if part == "held_out":
        write_csv(label_images(images), folder / "labels.csv")


if __name__ == "__main__":
    report(main, *sys.argv[1:])
