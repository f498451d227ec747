"""The parts of a CLIP that methods train: each function freezes all other weights, in place, and returns the model.

All take the parameters of LoRA as keywords, since methods are called alike; those without adapters use ``seed`` at most.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from clip360.finetune.lora import attach_lora
from clip360.models.clip import Clip
from clip360.models.heads import Gate, Reprojected, head
from clip360.models.positional_embeddings import make_periodic
from clip360.models.tokenisation import replace_patches

N_HARMONICS = 1  # of a periodic positional embedding: it names a direction around the turn, and no edge


def positional_embedding(clip: Clip, **_) -> Clip:
    """Train the positional embedding of the image tower."""
    return _train_only(clip, _vit_tower(clip).positional_embedding)


def periodic_positions(clip: Clip, **_) -> Clip:
    """Train a positional embedding that is periodic along the width, which replaces that of the image tower."""
    return _train_only(clip, *make_periodic(_vit_tower(clip), N_HARMONICS))


def anti_aliased_patches(clip: Clip, **_) -> Clip:
    """Train the patch embedding of an image tower that blurs images along the width before it samples them."""
    replace_patches(clip, "anti_aliased")
    return _train_only(clip, *clip.network.visual.conv1.parameters())


def equivariant_image_tower(clip: Clip, **_) -> Clip:
    """Train an image tower that gives all shifts of its input by whole pixels one embedding.

    Its patch grid begins where the tokens have most energy, and its positional embedding says nothing about columns.
    """
    make_periodic(_vit_tower(clip), 0)
    replace_patches(clip, "adaptive")
    return image_tower(clip)


def last_block(clip: Clip, **_) -> Clip:
    """Train the last transformer block of the image tower."""
    return _train_only(clip, *_vit_tower(clip).transformer.resblocks[-1].parameters())


def image_tower(clip: Clip, **_) -> Clip:
    """Train the whole image tower."""
    return _train_only(clip, *clip.network.visual.parameters())


def canonical_image_tower(clip: Clip, **_) -> Clip:
    """Train the whole image tower of a model that receives every panorama at its canonical yaw (``at_canonical_yaw``)."""
    return replace(image_tower(clip), canonical_yaw=True)


def text_tower(clip: Clip, **_) -> Clip:
    """Train the whole text tower."""
    return _train_only(clip, *_text_parameters(clip.network))


def both_towers(clip: Clip, **_) -> Clip:
    """Train both towers; the temperature stays frozen."""
    return _train_only(clip, *clip.network.visual.parameters(), *_text_parameters(clip.network))


def gated_lora(clip: Clip, *, seed: int, **lora) -> Clip:
    """Train LoRA on the image tower, a gated module on its embedding, and the temperature (arXiv 2404.12139)."""
    clip = attach_lora(clip, targets="lora_attention", seed=seed, **lora)
    clip.network.logit_scale.requires_grad_(True)
    return replace(clip, network=Reprojected(clip.network, image_head=_new_module(clip, Gate, seed)))


def heads(clip: Clip, *, kind: str, image: bool, text: bool, seed: int, **_) -> Clip:
    """Train new heads on the embeddings of images, of texts, or of both (arXiv 2404.03539)."""
    _train_only(clip)

    def new_head(seed: int) -> nn.Module:
        return _new_module(clip, lambda width: head(kind, width), seed)

    image_head = new_head(seed) if image else None
    text_head = new_head(seed + 1) if text else None
    return replace(clip, network=Reprojected(clip.network, image_head=image_head, text_head=text_head))


def _train_only(clip: Clip, *parameters: nn.Parameter) -> Clip:
    clip.network.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
    return clip


def _vit_tower(clip: Clip) -> nn.Module:
    tower = clip.network.visual
    if not hasattr(tower, "positional_embedding") or not hasattr(tower, "transformer"):
        raise ValueError(
            f"the image tower of {clip.name} is a {type(tower).__name__}: this method needs one of open_clip's own ViTs"
        )
    return tower


def _text_parameters(network: nn.Module) -> list[nn.Parameter]:
    return [
        parameter
        for name, parameter in network.named_parameters()
        if not name.startswith("visual.") and name not in ("logit_scale", "logit_bias")
    ]


def _new_module(clip: Clip, make: Callable[[int], nn.Module], seed: int) -> nn.Module:
    """``make`` of the embeddings' width, with weights drawn from ``seed``, on the model's device."""
    width = clip.network.visual.output_dim
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make(width).to(clip.device)
