"""Self-attention with a module for each projection, so that adapters on them take effect.

nn.MultiheadAttention keeps query, key and value in one parameter, which is no module and cannot get an adapter, and reads
``out_proj.weight`` directly, which bypasses any adapter on ``out_proj``. ``separate_attention`` replaces it by an
equivalent module; ``fuse_attention`` reverses this, so that the weights fit a plain open_clip model again.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SeparateAttention(nn.Module):
    """Multi-head self-attention of tokens [B, T, D], equal to nn.MultiheadAttention with ``batch_first``."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    @classmethod
    def from_fused(cls, fused: nn.MultiheadAttention) -> "SeparateAttention":
        """The module with the weights of an nn.MultiheadAttention; ValueError for one without ``batch_first`` or bias."""
        if not fused.batch_first or fused.in_proj_weight is None or fused.in_proj_bias is None:
            raise ValueError(
                "the attention is not batch-first with one input projection and a bias: it cannot be separated"
            )
        module = cls(fused.embed_dim, fused.num_heads)
        weights = (*fused.in_proj_weight.chunk(3), fused.out_proj.weight)
        biases = (*fused.in_proj_bias.chunk(3), fused.out_proj.bias)
        projections = (module.query, module.key, module.value, module.out)
        for projection, weight, bias in zip(projections, weights, biases, strict=True):
            projection.weight = nn.Parameter(weight.detach().clone())
            projection.bias = nn.Parameter(bias.detach().clone())
        return module

    def forward(self, query: Tensor, key: Tensor, value: Tensor, *, need_weights: bool = False, attn_mask=None):
        """Attended tokens [B, T, D], and None in place of attention weights, as nn.MultiheadAttention returns them."""
        if query is not key or query is not value or need_weights:
            raise ValueError("SeparateAttention computes self-attention alone and returns no attention weights")
        heads = (
            projection(query).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        attended = F.scaled_dot_product_attention(*heads, attn_mask=attn_mask)
        return self.out(attended.transpose(1, 2).flatten(2)), None

    def fused(self) -> nn.MultiheadAttention:
        """The nn.MultiheadAttention with the same weights."""
        module = nn.MultiheadAttention(self.out.in_features, self.heads, batch_first=True)
        module = module.to(self.out.weight.device, self.out.weight.dtype)
        projections = (self.query, self.key, self.value)
        with torch.no_grad():
            module.in_proj_weight.copy_(torch.cat([projection.weight for projection in projections]))
            module.in_proj_bias.copy_(torch.cat([projection.bias for projection in projections]))
            module.out_proj.weight.copy_(self.out.weight)
            module.out_proj.bias.copy_(self.out.bias)
        return module.train(self.training)


def separate_attention(tower: nn.Module) -> None:
    """Replace every nn.MultiheadAttention of an open_clip image tower by a SeparateAttention; ValueError if it has none."""
    names = [name for name, module in tower.named_modules() if isinstance(module, nn.MultiheadAttention)]
    if not names:
        raise ValueError(f"{type(tower).__name__} has no nn.MultiheadAttention to adapt: use one of open_clip's ViTs")
    for name in names:
        tower.set_submodule(name, SeparateAttention.from_fused(tower.get_submodule(name)))


def fuse_attention(tower: nn.Module) -> None:
    """Reverse ``separate_attention``; adapters must have been merged."""
    for name in [name for name, module in tower.named_modules() if isinstance(module, SeparateAttention)]:
        tower.set_submodule(name, tower.get_submodule(name).fused())
