"""What a model's image tower receives for a card: each panorama is decoded once, each distinct input embedded once."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from clip360.cards.protocol import CROP, MULTI_VIEW, WIDE, CardProtocol
from clip360.geometry.views import Camera, Mirrored, Shift, View, Window
from clip360.models.clip import Clip
from clip360.models.positional_embeddings import KINDS, with_positional_embedding
from clip360.reports.embedding_cache import EmbeddingCache
from clip360.reports.panorama_embeddings import PanoramaEmbedder
from clip360.reports.view_protocols import NetworkInput, as_received
from clip360.scoring.embedding import encoder
from clip360.scoring.shifts import shift_views
from clip360.scoring.views import network_inputs, network_views

Key = tuple[str, float, float]  # condition, level, in_window_shift: the columns of measurements of view modes
UNSHIFTED: Key = ("shift", 0.0, 0.0)
CONTROL: Key = ("perspective", 0.0, 0.0)  # the perspective view of each panorama
RollKey = tuple[str, int]  # kind of positional embedding, pixels


def card_views(view: str, protocol: CardProtocol) -> dict[Key, View]:
    """The views of a panorama whose embeddings a card needs under a view mode."""
    views: dict[Key, View] = {(*key, 0.0): seen for key, seen in shift_views(protocol.shifts).items()}
    if view == CROP:
        within = protocol.bound_shifts
        views |= {("window", level, shift): Window(level, shift) for level in (0.0, *within) for shift in within}
    return views | {CONTROL: Camera(0.0, 0.0, protocol.control_fov)}


def received(clip: Clip, view: str) -> Clip:
    """The model as it receives panoramas under a view mode that needs no other network: any but wide."""
    if view == clip.view:
        return clip
    return replace(clip, view=view) if view == MULTI_VIEW else as_received(clip, NetworkInput(Shift(0.0), view, False))


class ViewEmbedder:
    """Embeds panoramas under one view mode, by the keys of ``card_views``."""

    def __init__(self, clip: Clip, protocol: CardProtocol, cache: EmbeddingCache | None = None):
        self.clip = clip
        self._inputs = {key: self._input(view) for key, view in card_views(clip.view, protocol).items()}
        self._embedder = PanoramaEmbedder(clip, list(self._inputs.values()), cache)

    def _input(self, view: View) -> NetworkInput:
        if self.clip.view == MULTI_VIEW and isinstance(view, Shift | Mirrored):
            # Shifts by a whole number of perspective views show the same views in another order.
            view = replace(view, fraction=view.fraction % (1 / self.clip.protocol.n_views))
        return NetworkInput(view, self.clip.view, self.clip.canonical_yaw)

    def __call__(self, panoramas: Tensor, digests: Sequence[str]) -> dict[Key, Tensor]:
        """Unit embeddings [B, D] of panoramas uint8 [B, 3, H, 2H], whose ``pixel_sha256`` are ``digests``, by key."""
        embeds = self._embedder.images(panoramas, digests)
        return {key: embeds[network_input] for key, network_input in self._inputs.items()}

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings [N, D] of texts."""
        return self._embedder.texts(texts)


class RollEmbedder:
    """Embeds the squashed inputs of a ViT of open_clip rolled along their width, half a patch at a time.

    As ``evaluation.token_analysis`` does, for every kind of positional embedding, but batch by batch.
    """

    def __init__(self, clip: Clip):
        """``clip`` squashes panoramas. Raises ValueError for a network without patches or without a positional embedding."""
        tower = clip.network.visual
        if not (hasattr(tower, "patch_size") and hasattr(tower, "positional_embedding")):
            raise ValueError("its image tower is none of open_clip's own ViTs")
        self.patch, self.width = tower.patch_size[1], tower.image_size[1]
        if self.patch % 2 or self.width % self.patch:
            raise ValueError(f"patches of {self.patch} pixels cannot be rolled by halves in {self.width} pixels")
        self._clip = clip
        changed = {kind: clip if kind == "own" else with_positional_embedding(clip, kind) for kind in KINDS}
        self._encode = {kind: encoder(x, x.network.encode_image) for kind, x in changed.items()}

    @torch.no_grad()
    def __call__(self, panoramas: Tensor) -> dict[RollKey, Tensor]:
        """Unit embeddings [B, D] of panoramas uint8 [B, 3, H, 2H] by kind of positional embedding and roll in pixels."""
        inputs = network_inputs(self._clip, network_views(self._clip, panoramas)[:, 0])
        return {
            (kind, pixels): encode(inputs.roll(pixels, dims=-1)).cpu()
            for kind, encode in self._encode.items()
            for pixels in range(0, self.width, self.patch // 2)
        }


def wide_network(load: Callable[[], Clip]) -> tuple[Clip | None, dict[str, str]]:
    """The model with a network of twice the width, as ``load`` gives it; or None, and by view mode why it is left out."""
    try:
        return load(), {}
    except (ValueError, RuntimeError) as error:
        return None, {WIDE: " ".join(str(error).split())}


def view_clips(clip: Clip, views: Sequence[str], wide: Clip | None) -> dict[str, Clip]:
    """The model under each view mode; ``wide`` is its network of twice the width, which that view needs."""
    return {view: wide if view == WIDE else received(clip, view) for view in views}
