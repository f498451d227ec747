"""What the scoring stages share: the model and the image set that a stage's name points to."""

import sys
from pathlib import Path

from clip360.data.image_set import ImageSet, load_image_set, printable
from clip360.models.clip import Clip, load_clip
from clip360.models.protocol import read_protocol
from clip360.scoring.embedding import truncated


def read_model(params: dict, model: str, **changes) -> Clip:
    """The model that params.yaml calls ``model``, used as `protocol`, with ``changes``, and `compute` there say."""
    if model not in params["models"]:
        raise ValueError(f"there is no model {model} in params.yaml: choose one of {', '.join(params['models'])}")
    folder = Path("results", params["profile"], "models", model)
    return load_clip(folder, protocol=read_protocol(params["protocol"] | changes), device=params["compute"]["device"])


def read_image_set(params: dict, image_set: str, clip: Clip) -> ImageSet:
    """An image set with format cues; says on stderr which of its texts are too long for the model."""
    pictures = load_image_set(Path(params["data"], image_set), pairing=clip.protocol.pairing)
    if "cue" not in pictures.table:
        raise ValueError(f"{pictures.folder / 'captions.csv'} has no column cue: name each picture's format there")
    if clip.protocol.long_texts == "report" and (cut := truncated(clip, pictures.texts)):
        print(
            f"{clip.name} reads only the beginning of {len(cut)} texts of {image_set}, such as: {printable(cut[0])}",
            file=sys.stderr,
        )
    return pictures
