"""Positional embeddings of an image tower that say less about the column in which a patch lies."""

import copy
from dataclasses import replace

import torch
from torch import Tensor

from clip360.models.clip import Clip

KINDS = ("own", "circular", "rows")


def with_positional_embedding(clip: Clip, kind: str) -> Clip:
    """A copy of the model, one of open_clip's ViTs, with another positional embedding.

    ``own``       the learned one
    ``circular``  runs through the learned columns to the last and back, so that the last column continues the first
    ``rows``      the mean over columns: patches know their height only, and a shift by whole patches changes nothing

    Raises ValueError for another kind or a network without a positional embedding.
    """
    if kind not in KINDS:
        raise ValueError(f"positional_embedding is {kind!r}: expected one of {', '.join(KINDS)}")
    changed = replace(clip, network=copy.deepcopy(clip.network))
    tower = changed.network.visual
    if not hasattr(tower, "positional_embedding"):
        raise ValueError(f"{clip.name} has no positional embedding to replace: choose one of open_clip's own ViTs")
    replacement = {"own": lambda grid: grid, "circular": forth_and_back, "rows": row_means}[kind]
    rows, columns = tower.grid_size
    learned = tower.positional_embedding.data
    grid = replacement(learned[1:].view(rows, columns, -1))  # entry 0 belongs to the class token
    learned[1:] = grid.reshape(rows * columns, -1)
    return changed


def row_means(grid: Tensor) -> Tensor:
    """The mean over each row of a grid [R, C, D], repeated in all its columns."""
    return grid.mean(1, keepdim=True).expand_as(grid)


def forth_and_back(grid: Tensor) -> Tensor:
    """The columns of a grid [R, C, D] at twice the pace from the first to the last and back, linearly interpolated.

    >>> forth_and_back(torch.tensor([[[0.0], [3.0], [6.0], [9.0]]])).flatten()
    tensor([2.2500, 6.7500, 6.7500, 2.2500])
    """
    columns = grid.shape[1]
    centre = (torch.arange(columns, device=grid.device) + 0.5) / columns
    position = (columns - 1) * (1 - (1 - 2 * centre).abs())
    left = position.floor().long().clamp(max=max(columns - 2, 0))
    right = (left + 1).clamp(max=columns - 1)
    return torch.lerp(grid[:, left], grid[:, right], (position - left)[:, None].to(grid.dtype))
