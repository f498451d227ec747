"""Distilling the mean over shifts into one pass: the teacher is exactly invariant, and no text is needed."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.finetune.data import Pair, ShiftedPanoramas
from lib.finetune.losses import cosine_distance
from lib.finetune.objective import Objective
from lib.models import Clip


class Distillation(Objective):
    """L = λ · (1 - cos(e_θ(I^Δ), ē(I))) + (1 - λ) · (1 - cos(e_θ(P), e(P))).

    ē(I) is the normalised mean of the frozen model's embeddings of ``views`` shifts of the panorama I, P an ordinary
    photograph, e the frozen model: the second anchor, which keeps the model what it was where there is no circle.
    """

    def __init__(self, clip: Clip, panoramas: ShiftedPanoramas, texts: Sequence[str], **settings):
        super().__init__(clip, panoramas, texts, **settings)
        mean = sum(self.look(clip, turned) for turned in panoramas.turned(self.views))
        self.kept["teacher"] = F.normalize(mean, dim=-1)
        self.kept["photographs"] = torch.stack([self.look(clip, inputs) for inputs in panoramas.photographs])

    def losses(self, network: nn.Module, pair: Pair) -> dict[str, Tensor]:
        seen, *_ = self.embed(network, torch.cat([pair.shifted, pair.beside]), pair.row)
        rows, direction = pair.row.cpu(), pair.photograph.cpu()
        wanted = self.kept["teacher"][rows], self.kept["photographs"][direction, rows]
        teacher, anchor = (part.mean() for part in cosine_distance(seen, torch.cat(wanted).to(seen.device)).chunk(2))
        return {
            "loss": self.weight * teacher + (1 - self.weight) * anchor,
            "teacher": teacher,
            "anchor": anchor,
        }
