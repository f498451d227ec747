"""Positional embeddings of an image tower that say less about the column in which a patch lies, or close at the seam."""

import copy
import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

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


class PeriodicColumns(nn.Module):
    """Positional embeddings [1 + R · C, D] that are smooth and periodic along the width, as a parametrisation of them.

    Each row of the grid [R, C, D] is a Fourier series in the column: its mean and its first ``n_harmonics`` waves around the turn.
    With no harmonics, patches know their row only. Entry 0, of the class token, stays free. ValueError where the grid has too few
    columns for so many harmonics.
    """

    def __init__(self, grid: tuple[int, int], n_harmonics: int, like: Tensor):
        super().__init__()
        self.grid, columns = grid, grid[1]
        if not 0 <= 2 * n_harmonics < columns:
            raise ValueError(
                f"a patch grid of {columns} columns has no {n_harmonics} harmonics: expected fewer than half its columns"
            )
        basis = [[1 / math.sqrt(columns)] * columns]
        for harmonic in range(1, n_harmonics + 1):
            angles = [2 * math.pi * harmonic * (column + 0.5) / columns for column in range(columns)]
            basis += [[math.sqrt(2 / columns) * wave(angle) for angle in angles] for wave in (math.cos, math.sin)]
        self.register_buffer("basis", like.new_tensor(basis), persistent=False)  # [1 + 2 n_harmonics, C], orthonormal

    def forward(self, class_token: Tensor, series: Tensor) -> Tensor:
        """The embeddings of an entry [1, D] of the class token and coefficients [1 + 2 n_harmonics, R, D]."""
        return torch.cat([class_token, torch.einsum("kc,krd->rcd", self.basis, series).flatten(0, 1)])

    def right_inverse(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """The entry of the class token, and the coefficients of the series that is nearest to the embeddings."""
        return embedding[:1], torch.einsum("kc,rcd->krd", self.basis, embedding[1:].unflatten(0, self.grid))


def make_periodic(tower: nn.Module, n_harmonics: int) -> list[nn.Parameter]:
    """Parametrise the positional embedding of one of open_clip's ViTs by ``PeriodicColumns``, in place; its new parameters."""
    learned = tower.positional_embedding
    periodic = PeriodicColumns(tower.grid_size, n_harmonics, learned.detach())
    # torch checks that values do not change, but these do: the learned embedding is replaced by its nearest periodic one.
    parametrize.register_parametrization(tower, "positional_embedding", periodic, unsafe=True)
    return list(tower.parametrizations["positional_embedding"].parameters())


def make_plain(tower: nn.Module) -> None:
    """Reverse ``make_periodic``, in place: the positional embedding keeps its values and is an ordinary parameter again."""
    if parametrize.is_parametrized(tower, "positional_embedding"):
        parametrize.remove_parametrizations(tower, "positional_embedding")
