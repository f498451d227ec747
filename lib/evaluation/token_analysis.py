"""What a shift does inside an image tower: scores and patch tokens of inputs rolled along their width."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from clip360.data.image_set import ImageSet
from clip360.evaluation.retrieval import ranks
from clip360.models.clip import Clip
from clip360.models.positional_embeddings import with_positions
from clip360.scoring.clip_score import clip_score
from clip360.scoring.embedding import embed_texts, encoder


def network_inputs(clip: Clip, pictures: Tensor) -> Tensor:
    """What the network reads of panoramas uint8 [B, 3, H, 2H] under its view: float [B, 3, S, S or 2S]."""
    return torch.stack([clip.preprocess(to_pil_image(picture)) for picture in pictures])


@torch.no_grad()
def tokens(clip: Clip, inputs: Tensor) -> list[Tensor]:
    """Patch tokens [B, D, rows, columns] as they enter, before positions, and in the residual stream after every block."""
    tower = clip.network.visual
    with clip.autocast():
        inputs = inputs.to(clip.device)
        inner = tower.forward_intermediates(inputs, intermediates_only=True)["image_intermediates"]
        return [layer.float() for layer in (tower.conv1(inputs), *inner)]


def token_changes(clip: Clip, inputs: Tensor) -> Tensor:
    """How far a shift by whole patches moves the tokens, these put back in place: 1 - cos, [layers, B, rows, columns].

    The mean over all such shifts. An image tower that knew no positions would leave every token as it is: 0.
    """
    still = tokens(clip, inputs)
    columns, patch = still[0].shape[-1], clip.network.visual.patch_size[1]
    changes = [torch.zeros_like(layer[:, 0]) for layer in still]
    for column in range(1, columns):
        moved = tokens(clip, inputs.roll(column * patch, dims=-1))
        for change, before, after in zip(changes, still, moved, strict=True):
            change += 1 - F.cosine_similarity(before, after.roll(-column, dims=-1), dim=1)
    return torch.stack(changes).cpu() / (columns - 1)


class Findings(NamedTuple):
    """``rolls``  scores: image, positions, share, whole, score, rank;  ``layers``  image, positions, layer, change;
    ``maps``  of the last layer: row, column, change, mean over images; all with model, image_set, view."""

    rolls: pd.DataFrame
    layers: pd.DataFrame
    maps: pd.DataFrame


@torch.no_grad()
def look_inside(clip: Clip, pictures: ImageSet, *, kinds: Sequence[str], batch: int) -> Findings:
    """What rolls of the input do to scores and tokens, for every kind of positional embedding, in batches.

    ``rank`` is that of the picture's own text among those of the set.
    """
    read, images = embed_texts(clip, pictures.texts), pictures.table.image
    labels = {"model": clip.name, "image_set": pictures.name, "view": clip.view}
    rolls, layers, maps = [], [], []
    inputs = torch.cat([network_inputs(clip, part) for part in pictures.batches(batch)])
    patch, width = clip.network.visual.patch_size[1], inputs.shape[-1]
    for kind in kinds:
        changed = with_positions(clip, kind)
        encode = encoder(changed, changed.network.encode_image)
        for pixels in range(0, width, patch // 2):
            seen = torch.cat([encode(part.roll(pixels, dims=-1)) for part in inputs.split(batch)])
            scores = clip_score(seen, read, floor=clip.protocol.floor)
            columns = {"image": images, "positions": kind, "share": pixels / width, "whole": pixels % patch == 0}
            rolls.append(
                pd.DataFrame(labels | columns | {"score": scores.double().numpy(), "rank": ranks(seen, read).numpy()})
            )
        if kind == "rows":  # no token changes then
            continue
        changes = torch.cat([token_changes(changed, part) for part in inputs.split(batch)], dim=1)
        for layer, change in enumerate(changes.mean((2, 3))):
            columns = {"image": images, "positions": kind, "layer": layer, "change": change.double().numpy()}
            layers.append(pd.DataFrame(labels | columns))
        if kind == "own":
            grid = changes[-1].mean(0)
            place = {"row": range(grid.shape[0]), "column": range(grid.shape[1])}
            index = pd.MultiIndex.from_product(place.values(), names=list(place)).to_frame(index=False)
            maps.append(index.assign(change=grid.flatten().double().numpy(), **labels))
    return Findings(*(pd.concat(tables, ignore_index=True) for tables in (rolls, layers, maps)))
