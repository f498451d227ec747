"""What a shift does inside an image tower: scores, ranks and patch tokens of inputs rolled along their width."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from clip360.data.image_set import ImageSet
from clip360.evaluation.retrieval import ranks
from clip360.models.clip import Clip
from clip360.models.positional_embeddings import with_positional_embedding
from clip360.scoring.clip_score import CLIP_SCORE, clip_score, measurement_rows
from clip360.scoring.embedding import embed_texts, encoder
from clip360.scoring.views import network_inputs


class TokenAnalysis(NamedTuple):
    """Three tables of one model, image set and view, all with the columns model, image_set and view.

    ``rolls``   measurements ``clip_score`` and ``image_to_text_rank`` under the condition ``roll`` (level: fraction of the
                width), with the columns positional_embedding and whole_patches: is the roll a whole number of patches?
    ``layers``  image, positional_embedding, layer, change: mean of ``token_changes`` over patches
    ``maps``    row, column, change: that of the last layer by patch, with the model's own positional embedding, mean over images
    """

    rolls: pd.DataFrame
    layers: pd.DataFrame
    maps: pd.DataFrame


@torch.no_grad()
def analyse_tokens(clip: Clip, image_set: ImageSet, *, kinds: Sequence[str], batch_size: int) -> TokenAnalysis:
    """Roll the network's inputs along their width, for each of the ``kinds`` of positional embedding, half a patch at a time.

    A rank is that of the image's own text among those of the set. ``rows`` has no rows in ``layers``: without columns in the
    positional embedding no token changes.
    """
    text_embeds, images = embed_texts(clip, image_set.texts), image_set.table.image
    labels = {"model": clip.name, "image_set": image_set.name, "view": clip.view}
    rolls, layers, maps = [], [], []
    inputs = torch.cat([network_inputs(clip, batch) for batch in image_set.batches(batch_size)])
    patch, width = clip.network.visual.patch_size[1], inputs.shape[-1]
    for kind in kinds:
        changed = with_positional_embedding(clip, kind)
        encode = encoder(changed, changed.network.encode_image)
        for pixels in range(0, width, patch // 2):
            image_embeds = torch.cat([encode(batch.roll(pixels, dims=-1)) for batch in inputs.split(batch_size)]).cpu()
            scores = clip_score(image_embeds, text_embeds, clamp_at_zero=clip.protocol.clamp_at_zero)
            values = {CLIP_SCORE: scores, "image_to_text_rank": ranks(image_embeds, text_embeds)}
            rolls += [
                measurement_rows(
                    clip, image_set.name, images, measure, "roll", pixels / width, clip.view, value
                ).assign(positional_embedding=kind, whole_patches=pixels % patch == 0)
                for measure, value in values.items()
            ]
        if kind == "rows":
            continue
        changes = torch.cat([token_changes(changed, batch) for batch in inputs.split(batch_size)], dim=1)
        for layer, change in enumerate(changes.mean((2, 3))):
            columns = {"image": images, "positional_embedding": kind, "layer": layer, "change": change.double().numpy()}
            layers.append(pd.DataFrame(labels | columns))
        if kind == "own":
            maps.append(_map_table(changes[-1].mean(0)).assign(**labels))
    return TokenAnalysis(*(pd.concat(tables, ignore_index=True) for tables in (rolls, layers, maps)))


def token_changes(clip: Clip, inputs: Tensor) -> Tensor:
    """Mean change of patch tokens under rolls by whole patches, each token compared with the one that shows the same patch.

    ``inputs`` float [B, 3, S, W]. Returns 1 - cosine, float [layers, B, rows, columns] on the CPU, the mean over all such rolls.
    It is 0 for an image tower without a positional embedding of columns.
    """
    unrolled = tokens(clip, inputs)
    columns, patch = unrolled[0].shape[-1], clip.network.visual.patch_size[1]
    changes = [torch.zeros_like(layer[:, 0]) for layer in unrolled]
    for column in range(1, columns):
        rolled = tokens(clip, inputs.roll(column * patch, dims=-1))
        for change, before, after in zip(changes, unrolled, rolled, strict=True):
            change += 1 - F.cosine_similarity(before, after.roll(-column, dims=-1), dim=1)
    return torch.stack(changes).cpu() / (columns - 1)


@torch.no_grad()
def tokens(clip: Clip, inputs: Tensor) -> list[Tensor]:
    """Patch tokens float32 [B, D, rows, columns]: the patch embedding without positions, then the residual stream after each block.

    ``inputs`` float [B, 3, S, W].
    """
    tower = clip.network.visual
    with clip.autocast():
        inputs = inputs.to(clip.device)
        after_blocks = tower.forward_intermediates(inputs, intermediates_only=True)["image_intermediates"]
        return [layer.float() for layer in (tower.conv1(inputs), *after_blocks)]


def _map_table(grid: Tensor) -> pd.DataFrame:
    """The values of a grid [rows, columns] with their places: columns row, column, change."""
    index = pd.MultiIndex.from_product([range(grid.shape[0]), range(grid.shape[1])], names=["row", "column"])
    return index.to_frame(index=False).assign(change=grid.flatten().double().numpy())
