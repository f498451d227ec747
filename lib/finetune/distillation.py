"""Distilling the mean over shifts into one pass: the teacher is exactly invariant, and no text is needed."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip360.finetune.data import Item, Pair, ShiftedPanoramas
from clip360.finetune.losses import cosine_distance
from clip360.finetune.objectives import Objective
from clip360.models.clip import Clip


class Distillation(Objective):
    """L = λ · D(e_θ(I^Δ), e_θ(I)) + (1 - λ) · (D(e_θ(I^Δ), ē(I)) + D(e_θ(P), e(P))), D the cosine distance.

    ē(I) is the normalised mean of the frozen model's embeddings of ``views`` shifts of the panorama I, P an ordinary
    photograph, e the frozen model: the second anchor, which keeps the model what it was where there is no circle. Half of
    the draws, by turns, see the panorama itself beside its shift, half a photograph.
    """

    def __init__(self, clip: Clip, panoramas: ShiftedPanoramas, texts: Sequence[str], **settings):
        super().__init__(clip, panoramas, texts, **settings)
        mean = sum(self.look(clip, turned) for turned in panoramas.turned(self.views))
        self.kept["teacher"] = F.normalize(mean, dim=-1)
        self.kept["photographs"] = torch.stack([self.look(clip, inputs) for inputs in panoramas.photographs])

    def items(self, clip: Clip, *, seed: int, epoch: int) -> list[Item]:
        items = super().items(clip, seed=seed, epoch=epoch)
        return [item if k % 2 else item._replace(photograph=None) for k, item in enumerate(items)]

    def losses(self, network: nn.Module, pair: Pair) -> dict[str, Tensor]:
        seen, *_ = self.embed(network, torch.cat([pair.shifted, pair.beside]), pair.row)
        shifted, beside = seen.chunk(2)
        rows, direction = pair.row.cpu(), pair.photograph.cpu()
        flat = (direction >= 0).to(seen.device)
        teacher = self.kept["teacher"][rows].to(seen.device)
        photograph = self.kept["photographs"][direction.clamp(min=0), rows].to(seen.device)
        parts = {
            "consistency": _mean(cosine_distance(shifted, beside), ~flat),
            "teacher": cosine_distance(shifted, teacher).mean(),
            "anchor": _mean(cosine_distance(beside, photograph), flat),
        }
        loss = self.weight * parts["consistency"] + (1 - self.weight) * (parts["teacher"] + parts["anchor"])
        return {"loss": loss} | parts


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values [B]; 0 if none is."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)
