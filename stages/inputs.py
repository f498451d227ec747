"""What the scoring stages share: the model and the image set that a stage's name points to, and how it tells a fault."""

import sys
from collections.abc import Callable
from pathlib import Path

from lib.embedding import truncated
from lib.imageset import ImageSet, load_image_set
from lib.models import Clip, load_clip


def read_model(params: dict, model: str) -> Clip:
    """The model that params.yaml calls ``model``."""
    if model not in params["models"]:
        raise ValueError(f"there is no model {model} in params.yaml: choose one of {', '.join(params['models'])}")
    return load_clip(model, **params["models"][model])


def read_image_set(params: dict, image_set: str, clip: Clip) -> ImageSet:
    """An image set with format cues; says on stderr which of its texts are too long for the model."""
    pictures = load_image_set(Path(params["data"], image_set))
    if "cue" not in pictures.table:
        raise ValueError(f"{pictures.folder / 'captions.csv'} has no column cue: name each picture's format there")
    if cut := truncated(clip, pictures.texts):
        print(
            f"{clip.name} reads only the beginning of {len(cut)} texts of {image_set}, such as: {cut[0]}",
            file=sys.stderr,
        )
    return pictures


def read_run(params: dict, name: str) -> dict:
    """The fine-tuning run that params.yaml calls ``name``."""
    runs = params["finetune"]["runs"]
    if name not in runs:
        raise ValueError(f"there is no run {name} in params.yaml: choose one of {', '.join(runs)}")
    return runs[name]


def tell(main: Callable[..., None], *arguments: str) -> None:
    """Call ``main``; a fault ends the process with its one sentence."""
    try:
        main(*arguments)
    except (ValueError, RuntimeError, FileNotFoundError) as error:
        sys.exit(str(error))
