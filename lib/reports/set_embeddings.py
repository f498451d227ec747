"""Embeddings of a set of panoramas by groups of views, for distances between sets (``stats.set_distances``)."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clip360.data.image_set import ImageSet
from clip360.geometry.views import Shift, View, cube_faces, tangent_views
from clip360.models.clip import Clip, brief, usable_device
from clip360.scoring.embedding import embed_images

Features = Callable[[Tensor], Tensor]  # uint8 images [B, 3, H, W] -> features [B, D]
EmbedViews = Callable[[ImageSet, Mapping[Hashable, View]], Mapping[Hashable, Tensor]]
VIEW_GROUPS: dict[str, Callable[[], Mapping[str, Sequence[View]]]] = {
    "whole": lambda: {"whole": [Shift(0.0)]},
    "cube": cube_faces,
    "tangent": tangent_views,
}


def embed_groups(embed: EmbedViews, image_set: ImageSet, views: str) -> dict[str, np.ndarray]:
    """Embeddings [N, D] of every group of ``views`` (a key of ``VIEW_GROUPS``): the mean over the group's views of a panorama.

    The mean over the sides of a cube, and not four samples for each panorama, because a panorama is the unit that was drawn.
    ``embed`` is ``clip_embeds`` or ``feature_embeds`` of a model.
    """
    groups = VIEW_GROUPS[views]()
    embeds = embed(image_set, {view: view for group in groups.values() for view in group})
    return {
        name: torch.stack([embeds[view] for view in group]).double().mean(0).numpy() for name, group in groups.items()
    }


def clip_embeds(clip: Clip, *, batch_size: int = 64) -> EmbedViews:
    """Unit embeddings [N, D] of each view of an image set by a CLIP."""

    def embed(image_set: ImageSet, views: Mapping[Hashable, View]) -> Mapping[Hashable, Tensor]:
        return embed_images(clip, image_set.batches(batch_size), views, total=len(image_set.table))

    return embed


def feature_embeds(features: Features, *, device: str | None = None, batch_size: int = 64) -> EmbedViews:
    """Features [N, D], float32 on the CPU, of each view of an image set by any network, such as that of FID or FAED.

    ``features`` receives uint8 images [B, 3, H, W], of any size, on ``device`` and prepares them itself. Raises ValueError
    where it returns anything but [B, D].
    """
    device = usable_device(device)

    @torch.no_grad()
    def embed(image_set: ImageSet, views: Mapping[Hashable, View]) -> Mapping[Hashable, Tensor]:
        parts: list[dict[Hashable, Tensor]] = []
        for images in image_set.batches(batch_size):
            images = images.to(device)
            parts.append({name: _features_of(features, view(images)) for name, view in views.items()})
        return {name: torch.cat([part[name] for part in parts]) for name in views}

    return embed


def _features_of(features: Features, images: Tensor) -> Tensor:
    try:
        found = features(images)
    except RuntimeError as error:
        raise ValueError(
            f"the features cannot be computed of uint8 images {list(images.shape)}: {brief(error)}"
        ) from error
    if not isinstance(found, Tensor) or found.dim() != 2 or len(found) != len(images):
        shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"the features of {len(images)} images are {shape}: expected a tensor [{len(images)}, D]")
    return found.float().cpu()


def load_features(path: str | Path, *, device: str | None = None) -> Features:
    """A network that torch.jit.save wrote, in evaluation mode: uint8 images [B, 3, H, W] -> features [B, D].

    A TorchScript file is a program: load only one that you trust. Raises FileNotFoundError or ValueError where there is none.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: expected a TorchScript file")
    try:
        return torch.jit.load(path, map_location=usable_device(device)).eval()
    except RuntimeError as error:
        raise ValueError(f"{path} is no TorchScript file ({brief(error)}): write it with torch.jit.save") from error
