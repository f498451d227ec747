"""Counting without computing: the functions of the stages, on grey panoramas and a network that only counts what it encodes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import torch
from PIL.Image import Image
from torch import Tensor, nn

from clip360.data.image_set import ImageSet
from clip360.models.clip import Clip
from clip360.models.protocol import Protocol
from clip360.scoring.resize_once import MARGIN
from pipeline.plan.networks import quiet
from pipeline.plan.work import Work

JPEG_COPY = 3  # encoding and decoding a copy takes as long as decoding so many files: measured, 3.3
WIDTH = 2  # of the embeddings, which nobody looks at


class CountingNetwork(nn.Module):
    """In place of a CLIP with inputs of ``size``: all embeddings are the same, and it counts images and texts."""

    def __init__(self, size: tuple[int, int]):
        super().__init__()
        self.logit_scale = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.n_images = self.n_texts = 0
        config = {"size": size, "interpolation": "bicubic", "resize_mode": "shortest"}
        self.visual = SimpleNamespace(preprocess_cfg=config, image_mean=(0.0,) * 3, image_std=(1.0,) * 3)

    def encode_image(self, images: Tensor) -> Tensor:
        self.n_images += len(images)
        return torch.ones(len(images), WIDTH)

    def encode_text(self, tokens: Tensor) -> Tensor:
        self.n_texts += len(tokens)
        return torch.ones(len(tokens), WIDTH)


@dataclass(frozen=True)
class GreyPanoramas(ImageSet):
    """An image set whose panoramas are grey, and of which it is counted how many pixels were decoded.

    ``height`` is that of a panorama in pixels.
    """

    height: int = 0
    decoded: list[int] = field(default_factory=list)

    def read(self, name: str) -> Tensor:
        self.decoded.append(2 * self.height**2)
        return torch.full((self.height, 2 * self.height, 3), 128, dtype=torch.uint8).permute(2, 0, 1)


def grey_panoramas(name: str, table: pd.DataFrame, height: int) -> GreyPanoramas:
    """Grey panoramas with the names and captions of a table (columns image, caption and maybe cue)."""
    return GreyPanoramas(name, Path(name), Path(name), table, height)


class Rehearsal:
    """A model that counts: what is done with ``clip`` adds to ``work``, once for each time that ``counted`` is left.

    ``view`` is the view mode, no longer ``own``; with ``keeps_texts`` each distinct text is embedded once.
    """

    def __init__(
        self,
        protocol: Protocol,
        *,
        view: str,
        size: tuple[int, int],
        canonical_yaw: bool = False,
        keeps_texts: bool = False,
    ):
        self.network = CountingNetwork(size)
        self.n_resized = self.resized = 0

        def preprocess(image: Image) -> Tensor:
            self.n_resized += 1
            self.resized += image.width * image.height
            return torch.zeros(3, 1, 1)

        def tokenize(texts: list[str]) -> Tensor:
            return torch.zeros(len(texts), 1, dtype=torch.long)

        cache = {} if keeps_texts else None
        self.key = (protocol, view, size, canonical_yaw)  # what all counts depend on
        self.clip = Clip("rehearsal", self.network, preprocess, tokenize, view, protocol, cache, canonical_yaw)

    @contextmanager
    def counted(self, *image_sets: GreyPanoramas) -> Iterator[list[Work]]:
        """Collect the work of the block: a list with one entry once the block has ended."""
        before = self._totals(image_sets)
        found: list[Work] = []
        with quiet():
            yield found
        images, texts, n_resized, resized, panoramas, decoded = (
            after - earlier for after, earlier in zip(self._totals(image_sets), before, strict=True)
        )
        # Inputs that nothing was resized for are crops of a panorama that was resized once, with a margin to both sides.
        once = decoded * (1 + 2 / MARGIN) if images > n_resized else 0
        if self.clip.protocol.jpeg_quality is not None and panoramas:
            decoded += JPEG_COPY * (images - panoramas) * decoded / panoramas
        found.append(
            Work(
                panoramas=panoramas,
                decoded=decoded,
                resized=resized + once,
                image_passes=images,
                text_passes=texts,
            )
        )

    def _totals(self, image_sets: tuple[GreyPanoramas, ...]) -> tuple[int, ...]:
        decoded = [pixels for image_set in image_sets for pixels in image_set.decoded]
        return (
            *(self.network.n_images, self.network.n_texts, self.n_resized, self.resized),
            *(len(decoded), sum(decoded)),
        )
