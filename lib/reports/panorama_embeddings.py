"""Embeddings of panoramas under several view protocols at once: each panorama is decoded once, each distinct input embedded once."""

import hashlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from clip360.models.clip import Clip
from clip360.reports.embedding_cache import EmbeddingCache
from clip360.reports.view_protocols import NetworkInput, as_received, input_definition, short_hash
from clip360.scoring.embedding import embed_batches, embed_texts, encoder


class PanoramaEmbedder:
    """Embeds panoramas and texts by one model, for a set of network inputs; with a cache, only what the cache lacks."""

    def __init__(self, clip: Clip, inputs: Sequence[NetworkInput], cache: EmbeddingCache | None = None):
        self.clip, self.inputs, self.cache = clip, list(dict.fromkeys(inputs)), cache
        self._encode = encoder(clip, clip.network.encode_image)
        self._received = {_transform(x): as_received(clip, x) for x in self.inputs}
        self._names = {x: short_hash(input_definition(clip, x)) for x in self.inputs}
        self._text_name = f"text-{clip.protocol.precision}-{clip.protocol.activation}"

    def images(self, panoramas: Tensor, digests: Sequence[str]) -> dict[NetworkInput, Tensor]:
        """Unit embeddings [B, D] of panoramas uint8 [B, 3, H, 2H] for every input; ``digests`` are their ``pixel_sha256``."""
        found: dict[tuple[str, NetworkInput], Tensor] = {}
        if self.cache is not None:
            for digest in digests:
                for x in self.inputs:
                    if (embed := self.cache.get(digest, self._names[x])) is not None:
                        found[digest, x] = embed
        rows_by_missing: dict[tuple[NetworkInput, ...], dict[str, int]] = {}
        for row, digest in enumerate(digests):
            missing = tuple(x for x in self.inputs if (digest, x) not in found)
            rows_by_missing.setdefault(missing, {}).setdefault(digest, row)
        for missing, rows in rows_by_missing.items():
            if missing:
                # The whole batch is passed on without a copy, which keeps its memory layout.
                part = panoramas if len(rows) == len(panoramas) else panoramas[list(rows.values())]
                embeds = self._embed(part, missing)
                found |= {(digest, x): embeds[x][k] for x in missing for k, digest in enumerate(rows)}
                if self.cache is not None:
                    self.cache.add(list(rows), {self._names[x]: embeds[x] for x in missing})
        return {x: torch.stack([found[digest, x] for digest in digests]) for x in self.inputs}

    def _embed(self, panoramas: Tensor, inputs: Sequence[NetworkInput]) -> Mapping[NetworkInput, Tensor]:
        embeds: dict[NetworkInput, Tensor] = {}
        for transform, clip in self._received.items():
            if views := {x: x.view for x in inputs if _transform(x) == transform}:
                (received,) = embed_batches(clip, [panoramas], views, total=None, encode=self._encode)
                embeds |= {x: embed.cpu() for x, embed in received.items()}
        return embeds

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings [N, D] of texts."""
        if self.cache is None:
            return embed_texts(self.clip, texts)
        digests = {text: hashlib.sha256(text.encode()).hexdigest() for text in texts}
        found = {text: self.cache.get(digest, self._text_name) for text, digest in digests.items()}
        if missing := [text for text, embed in found.items() if embed is None]:
            embeds = embed_texts(self.clip, missing)
            self.cache.add([digests[text] for text in missing], {self._text_name: embeds})
            found |= zip(missing, embeds, strict=True)
        return torch.stack([found[text] for text in texts])


def _transform(network_input: NetworkInput) -> tuple[str, bool]:
    return network_input.resize_mode, network_input.canonical_yaw


def pixel_sha256(panorama: Tensor) -> str:
    """SHA-256 of a decoded panorama, uint8 [3, H, 2H], and its size."""
    digest = hashlib.sha256(repr(tuple(panorama.shape)).encode())
    digest.update(panorama.permute(1, 2, 0).contiguous().numpy())
    return digest.hexdigest()
