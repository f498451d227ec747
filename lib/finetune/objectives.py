"""What is optimised: an objective knows what the frozen model said, draws the items of an epoch, and gives the loss."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clip360.finetune.data import Item, Pair, ShiftedPanoramas, embed_inputs
from clip360.finetune.losses import shift_loss
from clip360.models.clip import Clip
from clip360.scoring.clip_score import clip_score
from clip360.scoring.embedding import embed_texts


class Objective(ABC):
    """What all objectives share: the texts, and one draw of every panorama in an epoch, two pictures each.

    ``texts`` are those of the panoramas, then those of their photographs. ``reads`` says that the text side is trained, so
    that texts are read anew in every step; else they are embedded once. ``weight`` is λ, ``views`` the number of shifts of
    a panorama that stand for its views, ``worst`` how many of these count as bad.
    ``kept`` holds all that the frozen model said, ``looks`` counts pictures embedded without a gradient.
    """

    def __init__(
        self,
        clip: Clip,
        panoramas: ShiftedPanoramas,
        texts: Sequence[str],
        *,
        weight: float,
        shifts: tuple[float, float],
        views: int,
        worst: int,
        reads: bool = False,
    ):
        if not 0 <= weight <= 1:
            raise ValueError(f"lambda is {weight}: expected a number between 0 and 1")
        self.panoramas, self.weight, self.shifts, self.looks = panoramas, weight, tuple(shifts), 0
        self.views, self.worst = views, worst
        self.tokens = clip.tokenize(list(texts)) if reads else None
        self.kept = {"texts": embed_texts(clip, texts)}

    def look(self, clip: Clip, inputs: Tensor) -> Tensor:
        """Unit embeddings of inputs [N, 3, S, S] as the model is now, without a gradient."""
        self.looks += len(inputs)
        return embed_inputs(clip, inputs)

    def items(self, clip: Clip, *, seed: int, epoch: int) -> list[Item]:
        """The draws of an epoch; ``clip`` is the model as it is when the epoch begins."""
        return self.panoramas.draw(self.shifts, seed=seed, epoch=epoch)

    @abstractmethod
    def losses(self, network: nn.Module, pair: Pair) -> dict[str, Tensor]:
        """The ``loss`` of a batch, and its parts by name."""

    def embed(self, network: nn.Module, pictures: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit embeddings of pictures [P, 3, S, S] and of the texts of ``rows`` [B], and the scale of cosines."""
        tokens = None if self.tokens is None else self.tokens[rows.cpu()].to(pictures.device)
        seen, read, scale, *_ = network(pictures, tokens)
        return seen, self.kept["texts"][rows.cpu()].to(seen.device) if read is None else read, scale


class ShiftLoss(Objective):
    """The paper's: a panorama and its shift get the same score, and the one that the frozen model gave (arXiv 2604.24642)."""

    def __init__(self, clip: Clip, panoramas: ShiftedPanoramas, texts: Sequence[str], **settings):
        super().__init__(clip, panoramas, texts, **settings)
        self.kept["scores"] = clip_score(self.look(clip, panoramas.inputs), self.kept["texts"][: len(panoramas)])

    def losses(self, network: nn.Module, pair: Pair) -> dict[str, Tensor]:
        seen, read, _ = self.embed(network, torch.cat([pair.shifted, pair.beside]), pair.row)
        s_shift, s = clip_score(seen, read.repeat(2, 1)).chunk(2)
        s_frozen = self.kept["scores"][pair.row.cpu()].to(seen.device)
        loss, consistency, anchor = shift_loss(s_shift, s, s_frozen, weight=self.weight)
        return {"loss": loss, "consistency": consistency, "anchor": anchor}
