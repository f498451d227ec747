"""Objectives of fine-tuning. An objective keeps the frozen model's reference, draws an epoch's items and gives the loss."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from clip360.finetune.data import Item, Pair, ShiftedPanoramas, embed_inputs
from clip360.finetune.losses import shift_loss
from clip360.models.clip import Clip
from clip360.scoring.clip_score import clip_score
from clip360.scoring.embedding import embed_texts


class Objective(ABC):
    """What all objectives share: the texts, and one item for every panorama in an epoch, a pair of images each.

    ``clip`` is the frozen model. ``texts`` are those of the panoramas, then those of their perspective views, if there are
    any. With ``trains_text`` the text side is trained, so that texts are embedded in every step; without, they are embedded
    once. ``lam`` is λ in [0, 1], ``shift_range`` the range of Δ as fractions of the width, ``n_shifts`` the number of
    shifts of a panorama that are averaged or aligned, ``n_worst`` how many of these an objective aligns that picks the
    worst.

    ``reference`` holds the frozen model's outputs by name: text embeddings in the protocol's training precision, and scores
    or image embeddings in its precision. ``frozen_texts`` are the text embeddings of the frozen scores, in its precision too.
    ``images_without_gradient`` counts images embedded without a gradient.

    Raises ValueError where λ is not in [0, 1].
    """

    needs_texts = True  # does the loss depend on the texts?

    def __init__(
        self,
        clip: Clip,
        panoramas: ShiftedPanoramas,
        texts: Sequence[str],
        *,
        lam: float,
        shift_range: tuple[float, float],
        n_shifts: int,
        n_worst: int,
        trains_text: bool = False,
    ):
        if not 0 <= lam <= 1:
            raise ValueError(f"lambda is {lam}: expected a number between 0 and 1")
        self.panoramas, self.lam, self.shift_range = panoramas, lam, tuple(shift_range)
        self.n_shifts, self.n_worst = n_shifts, n_worst
        self.clamp_at_zero = clip.protocol.clamp_at_zero
        self.images_without_gradient = 0
        self.tokens = clip.tokenize(list(texts)) if trains_text else None
        protocol = replace(clip.protocol, precision=clip.protocol.training_precision)
        in_training = clip if protocol == clip.protocol else replace(clip, protocol=protocol, text_cache=None)
        self.reference = {"texts": embed_texts(in_training, texts)}
        self.frozen_texts = self.reference["texts"] if in_training is clip else embed_texts(clip, texts)

    def embed_without_gradient(self, clip: Clip, inputs: Tensor) -> Tensor:
        """Unit embeddings [N, D] of network inputs [N, 3, S, S] by the model's present weights."""
        self.images_without_gradient += len(inputs)
        return embed_inputs(clip, inputs)

    def items(self, clip: Clip, *, seed: int, epoch: int) -> list[Item]:
        """The items of an epoch; ``clip`` is the model with its weights at the beginning of the epoch."""
        return self.panoramas.draw(self.shift_range, seed=seed, epoch=epoch)

    @abstractmethod
    def losses(self, network: nn.Module, pair: Pair) -> dict[str, Tensor]:
        """The ``loss`` of a batch and its terms, by the names that the training log uses."""

    def embed(self, network: nn.Module, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit embeddings of images [P, 3, S, S] and of the texts of ``rows`` [B], and the logit scale."""
        tokens = None if self.tokens is None else self.tokens[rows.cpu()].to(images.device)
        image_embeds, text_embeds, logit_scale, *_ = network(images, tokens)
        if text_embeds is None:
            text_embeds = self.reference["texts"][rows.cpu()].to(image_embeds.device)
        return image_embeds, text_embeds, logit_scale

    def scores(self, image_embeds: Tensor, text_embeds: Tensor) -> Tensor:
        """CLIP scores [B] of paired embeddings [B, D], clamped at zero where the protocol says so."""
        return clip_score(image_embeds, text_embeds, clamp_at_zero=self.clamp_at_zero)


class ShiftLoss(Objective):
    """The paper's objective (arXiv 2604.24642): a panorama and its shift score alike, and as the frozen model scored."""

    def __init__(self, clip: Clip, panoramas: ShiftedPanoramas, texts: Sequence[str], **settings):
        super().__init__(clip, panoramas, texts, **settings)
        image_embeds = self.embed_without_gradient(clip, panoramas.inputs)
        self.reference["scores"] = self.scores(image_embeds, self.frozen_texts[: len(panoramas)])

    def losses(self, network: nn.Module, pair: Pair) -> dict[str, Tensor]:
        image_embeds, text_embeds, _ = self.embed(network, torch.cat([pair.shifted, pair.partner]), pair.row)
        s_shift, s = self.scores(image_embeds, text_embeds.repeat(2, 1)).chunk(2)
        s_frozen = self.reference["scores"][pair.row.cpu()].to(image_embeds.device)
        loss, consistency, anchor = shift_loss(s_shift, s, s_frozen, lam=self.lam)
        return {"loss": loss, "consistency": consistency, "anchor": anchor}
