"""Zero-shot classification of ordinary pictures from disk, a folder for each class: the common layout."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from tqdm import tqdm

from clip360.data.image_set import read_picture
from clip360.evaluation.classification import answers, class_scores, embed_classes
from clip360.models.clip import Clip
from clip360.scoring.embedding import encoder


def class_folders(folder: str | Path, clip: Clip) -> ImageFolder:
    """Ordinary pictures from disk, a folder for each class, named after it; read by the model's own transform.

    FileNotFoundError where a folder is missing or holds none; a picture that cannot be read raises ``Fault`` when its turn comes.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder} is no folder: expected one with a folder of pictures for each class")

    try:
        return ImageFolder(str(folder), transform=clip.preprocess, loader=lambda path: read_picture(Path(path)))
    except FileNotFoundError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise FileNotFoundError(f"{folder}: {reason}, expected a folder of pictures for each class") from error


@torch.no_grad()
def classify_folders(
    clip: Clip, pictures: ImageFolder, templates: Sequence[Callable[[str], str]], *, batch: int
) -> pd.DataFrame:
    """What the model takes every picture of ``class_folders`` for: columns image, and those of ``answers``.

    An underscore in a folder's name stands for a space.
    """
    names = [name.replace("_", " ") for name in pictures.classes]
    classes = embed_classes(clip, names, templates)
    encode, parts = encoder(clip, clip.network.encode_image), []
    for inputs, labels in tqdm(DataLoader(pictures, batch_size=batch), desc=f"{clip.name}: pictures"):
        scores = class_scores(encode(inputs), classes)
        parts.append(answers(scores, labels, names, scale=clip.network.logit_scale.exp().item()))
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "image", [Path(path).relative_to(pictures.root).as_posix() for path, _ in pictures.samples])
    return table
