"""The positional embedding of an image tower, made to know less of where in the width a patch lies."""

import copy
from dataclasses import replace

import torch
from torch import Tensor

from clip360.models.clip import Clip

KINDS = ("own", "circular", "rows")


def with_positions(clip: Clip, kind: str) -> Clip:
    """A copy of the model, one of open_clip's ViTs, with another positional embedding.

    ``own``       as it was learned
    ``circular``  over the learned columns to the far side and back: the last column is a neighbour of the first
    ``rows``      the mean over columns: patches know their height only, so that a shift by whole patches changes nothing
    """
    if kind not in KINDS:
        raise ValueError(f"positions are {kind!r}: expected one of {', '.join(KINDS)}")
    changed = replace(clip, network=copy.deepcopy(clip.network))
    tower = changed.network.visual
    if not hasattr(tower, "positional_embedding"):
        raise ValueError(f"{clip.name} has no positional embedding: only open_clip's own ViTs can be changed so")
    change = {"own": lambda grid: grid, "circular": to_and_fro, "rows": by_row}[kind]
    rows, columns = tower.grid_size
    learned = tower.positional_embedding.data
    grid = change(learned[1:].view(rows, columns, -1))
    learned[1:] = grid.reshape(rows * columns, -1)
    return changed


def by_row(grid: Tensor) -> Tensor:
    """Each row's mean in all its columns, [R, C, D]."""
    return grid.mean(1, keepdim=True).expand_as(grid)


def to_and_fro(grid: Tensor) -> Tensor:
    """Columns read at twice the pace from the first to the last and back, linearly interpolated, [R, C, D].

    >>> to_and_fro(torch.tensor([[[0.0], [3.0], [6.0], [9.0]]])).flatten()
    tensor([2.2500, 6.7500, 6.7500, 2.2500])
    """
    columns = grid.shape[1]
    centre = (torch.arange(columns, device=grid.device) + 0.5) / columns
    place = (columns - 1) * (1 - (1 - 2 * centre).abs())
    left = place.floor().long().clamp(max=max(columns - 2, 0))
    right = (left + 1).clamp(max=columns - 1)
    return torch.lerp(grid[:, left], grid[:, right], (place - left)[:, None].to(grid.dtype))
