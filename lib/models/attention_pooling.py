"""Pooling by a class token that favours no column: its last attention, redistributed over the columns of the patch grid."""

import copy
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip360.models.clip import Clip

KINDS = ("own", "even_columns", "row_means")


def even_columns(weights: Tensor) -> Tensor:
    """Attention weights [..., R, C], scaled so that every column has the same sum; each keeps its distribution over rows.

    >>> even_columns(torch.tensor([[0.1, 0.2], [0.3, 0.0]]))
    tensor([[0.0750, 0.3000],
            [0.2250, 0.0000]])
    """
    of_column = weights.sum(-2, keepdim=True)
    return weights * of_column.mean(-1, keepdim=True) / of_column.clamp_min(torch.finfo(weights.dtype).tiny)


def row_means(weights: Tensor) -> Tensor:
    """Attention weights [..., R, C], each replaced by the mean of its row: rows keep their sums, and all columns are alike.

    >>> row_means(torch.tensor([[0.1, 0.3], [0.5, 0.1]]))
    tensor([[0.2000, 0.2000],
            [0.3000, 0.3000]])
    """
    return weights.mean(-1, keepdim=True).expand_as(weights)


REDISTRIBUTIONS = {"even_columns": even_columns, "row_means": row_means}


class ColumnPooling(nn.Module):
    """Self-attention of the tokens [B, 1 + R · C, D], class token first, whose attention to the patches is redistributed.

    ``attention`` computes all other tokens. The class token's weight on itself, and the sum of those on patches, stay as they are.
    """

    def __init__(self, attention: nn.MultiheadAttention, grid: tuple[int, int], kind: str):
        super().__init__()
        self.attention, self.grid, self.kind = attention, grid, kind

    def forward(self, query: Tensor, key: Tensor, value: Tensor, **options) -> tuple[Tensor, None]:
        """As nn.MultiheadAttention returns it, for self-attention without a mask."""
        others, _ = self.attention(query, key, value, **options)
        return torch.cat([self._class_token(query), others[:, 1:]], dim=1), None

    def _class_token(self, tokens: Tensor) -> Tensor:
        """The class token after attention, [B, 1, D]."""
        heads, projected = (
            self.attention.num_heads,
            F.linear(tokens, self.attention.in_proj_weight, self.attention.in_proj_bias),
        )
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in projected.chunk(3, dim=-1))
        weights = (q[:, :, :1] @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        patches = REDISTRIBUTIONS[self.kind](weights[..., 1:].unflatten(-1, self.grid)).flatten(-2)
        attended = torch.cat([weights[..., :1], patches], dim=-1) @ v
        return self.attention.out_proj(attended.transpose(1, 2).flatten(2))


def with_pooling(clip: Clip, kind: str) -> Clip:
    """A copy of the model, one of open_clip's ViTs, whose class token attends to all columns alike in the last block.

    ``own``           the learned attention
    ``even_columns``  each column gets the same sum of attention, distributed over its rows as before
    ``row_means``     the attention of each row, spread evenly over the columns

    After the idea of Chew et al. (arXiv 2604.05971), who find that CLIP's pooling loses what lies off the centre, and redirect
    its attention without training; how attention is redistributed is ours, since in a panorama only columns have no centre.
    Raises ValueError for another kind or a network that pools otherwise.
    """
    if kind not in KINDS:
        raise ValueError(f"pooling is {kind!r}: expected one of {', '.join(KINDS)}")
    if kind == "own":
        return clip
    changed = replace(clip, network=copy.deepcopy(clip.network))
    tower = changed.network.visual
    pools_class_token = getattr(tower, "pool_type", None) == "tok" and tower.attn_pool is None
    if not pools_class_token or not isinstance(tower.transformer.resblocks[-1].attn, nn.MultiheadAttention):
        raise ValueError(
            f"{clip.name} does not pool by a class token whose attention can be redistributed: choose one of open_clip's own"
            " ViTs"
        )
    block = tower.transformer.resblocks[-1]
    block.attn = ColumnPooling(block.attn, tower.grid_size, kind)
    return changed
