"""Distillation of the mean over shifts into one pass: the teacher is exactly shift-invariant, and no text is needed."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip360.finetune.data import Item, Pair, ShiftedPanoramas
from clip360.finetune.losses import cosine_distance, masked_mean
from clip360.finetune.objectives import Objective
from clip360.models.clip import Clip


class Distillation(Objective):
    """L = λ · D(e_θ(I^Δ), e_θ(I)) + (1 - λ) · (D(e_θ(I^Δ), ē(I)) + D(e_θ(P), e(P))), D the cosine distance.

    e is the frozen model, ē(I) the normalised mean of its embeddings of ``n_shifts`` shifts of the panorama I, and P a
    perspective view. D(e_θ(P), e(P)) anchors the model on images that have no shifts. Items alternate: one pairs the
    shifted panorama with the panorama itself, the next with a perspective view. At λ = 0 all pair with a perspective view.
    """

    needs_texts = False

    def __init__(self, clip: Clip, panoramas: ShiftedPanoramas, texts: Sequence[str], **settings):
        super().__init__(clip, panoramas, texts, **settings)
        shifted_inputs = panoramas.shifted_inputs(self.n_shifts)
        total = sum(self.embed_without_gradient(clip, inputs) for inputs in shifted_inputs)
        self.reference["teacher"] = F.normalize(total, dim=-1)
        self.reference["perspective_views"] = torch.stack(
            [self.embed_without_gradient(clip, inputs) for inputs in panoramas.perspective_views]
        )

    def items(self, clip: Clip, *, seed: int, epoch: int) -> list[Item]:
        items = super().items(clip, seed=seed, epoch=epoch)
        if self.lam == 0:
            return items
        return [item if k % 2 else item._replace(perspective_view=None) for k, item in enumerate(items)]

    def losses(self, network: nn.Module, pair: Pair) -> dict[str, Tensor]:
        image_embeds, *_ = self.embed(network, torch.cat([pair.shifted, pair.partner]), pair.row)
        shifted, partner = image_embeds.chunk(2)
        rows, view_numbers = pair.row.cpu(), pair.perspective_view.cpu()
        is_perspective = (view_numbers >= 0).to(image_embeds.device)
        teacher = self.reference["teacher"][rows].to(image_embeds.device)
        frozen_view = self.reference["perspective_views"][view_numbers.clamp(min=0), rows].to(image_embeds.device)
        terms = {
            "consistency": masked_mean(cosine_distance(shifted, partner), ~is_perspective),
            "teacher": cosine_distance(shifted, teacher).mean(),
            "anchor": masked_mean(cosine_distance(partner, frozen_view), is_perspective),
        }
        loss = self.lam * terms["consistency"] + (1 - self.lam) * (terms["teacher"] + terms["anchor"])
        return {"loss": loss} | terms
