"""Patch embeddings that respect the turn of a camera: a panorama is a circle along its width, and a shift is not only by patches."""

import copy
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip360.models.clip import Clip

KINDS = ("own", "anti_aliased", "adaptive")
WHOLE_TURN = ("squash", "letterbox", "wide")  # views whose left edge continues their right edge
BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)  # the low-pass filter, of sum 16


class AntiAliasedPatches(nn.Conv2d):
    """A patch embedding that blurs images [B, 3, H, W] along their width, across the seam, before it samples them.

    With a strided convolution, Zhang (arXiv 1904.11486) filters the dense output before it is sampled. Nothing nonlinear lies
    between the convolution and the samples here, so that to filter the image is the same. Only the width is filtered, since a
    turn of the camera moves nothing else.
    """

    def forward(self, images: Tensor) -> Tensor:
        channels, radius = images.shape[1], len(BINOMIAL) // 2
        kernel = images.new_tensor(BINOMIAL) / sum(BINOMIAL)
        padded = F.pad(images, (radius, radius, 0, 0), mode="circular")
        return super().forward(F.conv2d(padded, kernel.expand(channels, 1, 1, -1), groups=channels))


class AdaptivePatches(nn.Conv2d):
    """A patch embedding of images [B, 3, H, W] whose grid begins, along the width, where the tokens have most energy.

    Adaptive tokenisation (Rojas-Gomez et al., arXiv 2305.16316; polyphase anchoring, Ding et al., arXiv 2306.07470): of
    the grids at all offsets within a patch, the one whose tokens have the largest sum of squares. A circular shift by any
    number of pixels then only rotates the columns of tokens. Only offsets along the width are compared.
    """

    def forward(self, images: Tensor) -> Tensor:
        width, step = images.shape[-1], self.stride[1]
        with torch.no_grad():
            grids = (super(AdaptivePatches, self).forward(images.roll(-k, dims=-1)) for k in range(step))
            energy = torch.stack([tokens.float().square().sum((1, 2, 3)) for tokens in grids])
        columns = (torch.arange(width, device=images.device) + energy.argmax(0)[:, None]) % width
        return super().forward(images.gather(-1, columns[:, None, None].expand_as(images)))


PATCHES = {"anti_aliased": AntiAliasedPatches, "adaptive": AdaptivePatches}


def with_tokenisation(clip: Clip, kind: str) -> Clip:
    """A copy of the model, one of open_clip's ViTs, with another patch embedding of the same weights.

    ``own``           the model's
    ``anti_aliased``  blurred along the width before it is sampled (``AntiAliasedPatches``)
    ``adaptive``      on the grid whose tokens have most energy (``AdaptivePatches``)

    Raises ValueError for another kind, a network without such a patch embedding, and a view that does not show the whole turn.
    """
    if kind not in KINDS:
        raise ValueError(f"tokenisation is {kind!r}: expected one of {', '.join(KINDS)}")
    if kind == "own":
        return clip
    changed = replace(clip, network=copy.deepcopy(clip.network))
    replace_patches(changed, kind)
    return changed


def replace_patches(clip: Clip, kind: str) -> None:
    """Give the image tower the patch embedding ``kind``, in place; it keeps its weights and their names. Raises as above."""
    conv = getattr(clip.network.visual, "conv1", None)
    if not isinstance(conv, nn.Conv2d) or conv.kernel_size != conv.stride:
        raise ValueError(f"{clip.name} has no patch embedding to replace: choose one of open_clip's own ViTs")
    if clip.view not in WHOLE_TURN:
        raise ValueError(
            f"the {kind} tokenisation joins the left edge to the right one, but the view {clip.view} shows no whole turn:"
            f" choose {', '.join(WHOLE_TURN)}"
        )
    patches = PATCHES[kind](
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, bias=conv.bias is not None
    )
    patches.weight, patches.bias = conv.weight, conv.bias
    clip.network.visual.conv1 = patches.train(conv.training)
