"""What is trained: each function freezes a model but for one part of it, in place, and gives the model back."""

from dataclasses import replace

import torch
from torch import nn

from clip360.finetune.lora import attach_lora
from clip360.models.clip import Clip
from clip360.models.heads import Gate, Reprojected, head


def positions(clip: Clip, **_) -> Clip:
    """The positional embedding of the image tower."""
    return _only(clip, _vit(clip).positional_embedding)


def last_block(clip: Clip, **_) -> Clip:
    """The last transformer block of the image tower."""
    return _only(clip, *_vit(clip).transformer.resblocks[-1].parameters())


def image_tower(clip: Clip, **_) -> Clip:
    """The whole image tower."""
    return _only(clip, *clip.network.visual.parameters())


def text_tower(clip: Clip, **_) -> Clip:
    """All but the image tower and the temperature."""
    return _only(clip, *_text_parameters(clip.network))


def both_towers(clip: Clip, **_) -> Clip:
    """All but the temperature."""
    return _only(clip, *clip.network.visual.parameters(), *_text_parameters(clip.network))


def gated_lora(clip: Clip, *, seed: int, **adapter) -> Clip:
    """LoRA on the image tower, a gated module on its embedding, and the temperature (arXiv 2404.12139)."""
    clip = attach_lora(clip, targets="attention", seed=seed, **adapter)
    clip.network.logit_scale.requires_grad_(True)
    return replace(clip, network=Reprojected(clip.network, image_head=_new(clip, Gate, seed)))


def heads(clip: Clip, *, kind: str, image: bool, text: bool, seed: int, **_) -> Clip:
    """Heads on the embeddings of images, of texts, or of both (arXiv 2404.03539)."""
    _only(clip)
    image_head, text_head = (
        _new(clip, lambda width: head(kind, width), seed + place) if wanted else None
        for place, wanted in enumerate((image, text))
    )
    return replace(clip, network=Reprojected(clip.network, image_head=image_head, text_head=text_head))


def _only(clip: Clip, *parameters: nn.Parameter) -> Clip:
    clip.network.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
    return clip


def _vit(clip: Clip) -> nn.Module:
    tower = clip.network.visual
    if not hasattr(tower, "positional_embedding") or not hasattr(tower, "transformer"):
        raise ValueError(
            f"{clip.name} has an image tower of another kind: this strategy needs one of open_clip's own ViTs"
        )
    return tower


def _text_parameters(network: nn.Module) -> list[nn.Parameter]:
    return [
        parameter
        for name, parameter in network.named_parameters()
        if not name.startswith("visual.") and name not in ("logit_scale", "logit_bias")
    ]


def _new(clip: Clip, make, seed: int) -> nn.Module:
    """A module of the width of the embeddings, its weights drawn from ``seed``, on the model's device."""
    width = clip.network.visual.output_dim
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make(width).to(clip.device)
