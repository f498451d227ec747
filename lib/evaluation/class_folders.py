"""Zero-shot classification of ordinary images on disk in the common layout: one folder for each class."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from tqdm import tqdm

from clip360.data.image_set import read_image
from clip360.evaluation.classification import answers, class_scores, embed_classes
from clip360.models.clip import Clip
from clip360.scoring.embedding import encoder


def class_folders(folder: str | Path, clip: Clip) -> ImageFolder:
    """A data set of ordinary images from disk, one subfolder for each class and named after it, with the model's own transform.

    FileNotFoundError where the folder does not exist or a class has no images. An unreadable image raises ``DataError`` when
    the data set reaches it.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder}: not a directory, expected one with a folder of images for each class")
    try:
        return ImageFolder(str(folder), transform=clip.preprocess, loader=lambda path: read_image(Path(path)))
    except FileNotFoundError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise FileNotFoundError(f"{folder}: {reason}, expected a folder of images for each class") from error


@torch.no_grad()
def classify_folders(
    clip: Clip, images: ImageFolder, templates: Sequence[Callable[[str], str]], *, batch_size: int
) -> pd.DataFrame:
    """The class that the model predicts for each image of ``class_folders``: columns image, and those of ``answers``.

    The name of a folder, with spaces for underscores, names its class in the ``templates``.
    """
    names = [name.replace("_", " ") for name in images.classes]
    class_embeds = embed_classes(clip, names, templates)
    encode, parts = encoder(clip, clip.network.encode_image), []
    for inputs, labels in tqdm(DataLoader(images, batch_size=batch_size), desc=f"{clip.name}: images"):
        scores = class_scores(encode(inputs).cpu(), class_embeds)
        parts.append(answers(scores, labels, names, scale=clip.network.logit_scale.exp().item()))
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "image", [Path(path).relative_to(images.root).as_posix() for path, _ in images.samples])
    return table
