"""The CLIP score of panoramas as a metric of a training loop, in the form of torchmetrics but without it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clip360.models.clip import Clip
from clip360.reports.panorama_embeddings import PanoramaEmbedder
from clip360.reports.view_protocols import PROTOCOLS, network_inputs_of, protocol_hash, require_protocols
from clip360.scoring.clip_score import protocol_scores


class PanoramaScore:
    """Mean CLIP score of generated panoramas and their texts under a named view protocol.

    protocol  a key of ``view_protocols.PROTOCOLS``; ``hash`` is its hash with this model's options
    values    the score of each panorama since the last ``reset``, float64 [N] on the CPU

    The network stays in evaluation mode, and no gradient flows. Processes do not exchange values: gather ``values`` where
    several processes score.

    >>> metric = PanoramaScore(load_clip("results/world/models/clip_p03"), "robust-8")  # doctest: +SKIP
    >>> metric.update(images, ["a beach", "a hall"])  # doctest: +SKIP
    >>> metric.compute()  # doctest: +SKIP
    tensor(21.3, dtype=torch.float64)
    """

    def __init__(self, clip: Clip, protocol: str = "squash"):
        require_protocols(clip, [protocol])
        self.clip, self.protocol = clip, protocol
        self.hash = protocol_hash(clip, PROTOCOLS[protocol])
        self._inputs = network_inputs_of(clip, PROTOCOLS[protocol])
        self._embedder = PanoramaEmbedder(clip, self._inputs)
        self.reset()

    def reset(self) -> None:
        """Forget all panoramas."""
        self._values: list[Tensor] = []

    @property
    def values(self) -> Tensor:
        return torch.cat(self._values) if self._values else torch.empty(0, dtype=torch.float64)

    @torch.no_grad()
    def update(self, images: Tensor, texts: Sequence[str]) -> None:
        """Score panoramas uint8 [B, 3, H, 2H], on any device, each with its text; ValueError for anything else."""
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3:
            raise ValueError(f"images are {images.dtype} {list(images.shape)}: expected torch.uint8 [B, 3, H, 2H]")
        if images.shape[-1] != 2 * images.shape[-2]:
            raise ValueError(f"images are {images.shape[-1]} x {images.shape[-2]}: expected twice as wide as high")
        if isinstance(texts, str) or len(texts) != len(images):
            given = "one text" if isinstance(texts, str) else f"{len(texts)} texts"
            raise ValueError(f"{given} for {len(images)} images: expected a list with one for each")
        if not len(images):
            return
        embeds = self._embedder.images(images.cpu(), [str(row) for row in range(len(images))])
        text_embeds = self._embedder.texts(texts)
        scores = [protocol_scores(self.clip, embeds[x], text_embeds) for x in self._inputs]
        self._values.append(torch.stack(scores, dim=1).mean(1))

    def compute(self) -> Tensor:
        """Mean over all panoramas since the last ``reset``, a float64 scalar; ValueError where there are none."""
        if not self._values:
            raise ValueError("no panoramas: call update before compute")
        return self.values.mean()
