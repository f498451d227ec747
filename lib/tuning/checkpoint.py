"""A tuned model as a folder that open_clip loads, and that a hub takes as it is."""

import shutil
from pathlib import Path

from clip360.models.clip import (
    CONFIGURATION,
    PICKLED,
    WEIGHTS,
    Clip,
    read_configuration,
    save_weights,
    write_configuration,
)
from clip360.models.protocol import RESIZE_MODES
from clip360.models.weights import SOURCE

NO_TOKENIZER = {CONFIGURATION, WEIGHTS, PICKLED, SOURCE, "README.md"}
TOKENIZER_SUFFIXES = {".json", ".txt", ".model"}


def write_checkpoint(clip: Clip, source: Path, folder: Path) -> None:
    """Write a model whose network is one of open_clip: its configuration, its weights, and the tokenizer of ``source``.

    ``source`` is the folder of the model that was tuned. The configuration names the view under which ``clip`` receives panoramas
    as the model's own transform, so that open_clip alone shows them so.
    """
    configuration = read_configuration(source)
    model, preprocess = configuration["model_cfg"], configuration["preprocess_cfg"]
    if clip.view == "wide":
        size = list(clip.network.visual.image_size)
        model = model | {"vision_cfg": model["vision_cfg"] | {"image_size": size}}
        preprocess = preprocess | {"size": size}
    mode = RESIZE_MODES.get(clip.view, "longest")  # a panorama fills an input of its shape, a square image gets bars
    write_configuration(folder, model, preprocess | {"resize_mode": mode})
    save_weights(clip, folder)
    for file in source.iterdir():
        if file.is_file() and file.suffix in TOKENIZER_SUFFIXES and file.name not in NO_TOKENIZER:
            shutil.copy(file, folder / file.name)
