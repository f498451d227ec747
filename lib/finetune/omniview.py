"""Omniview-Tuning (Ruan et al., arXiv 2404.12139) of panoramas: the views of an object are the shifts of a panorama."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clip360.finetune.data import Item, Pair, ShiftedPanoramas
from clip360.finetune.losses import alignment, contrastive, worst_views
from clip360.finetune.objectives import Objective
from clip360.models.clip import Clip

INITIAL_TEMPERATURE = 0.07  # it is trained from there


class Omniview(Objective):
    """L = L_ITC + λ · L_VC: contrastive over one view of each panorama and a perspective view, alignment of its worst views.

    At the beginning of an epoch all shifts of every panorama from every viewpoint are embedded without a gradient. The
    normalised mean of a panorama's embeddings is its anchor. The ``n_worst`` embeddings furthest from the anchor are
    aligned with it; with ``all_views``, all are. Where there are no perspective views, L_ITC is over the panoramas alone.
    """

    def __init__(
        self, clip: Clip, panoramas: ShiftedPanoramas, texts: Sequence[str], *, all_views: bool = False, **settings
    ):
        super().__init__(clip, panoramas, texts, **settings)
        n_viewpoints = len(panoramas.panoramas)
        self.n_aligned = self.n_shifts * n_viewpoints if all_views else self.n_worst
        self.inputs = [panoramas.shifted_inputs(self.n_shifts, viewpoint) for viewpoint in range(n_viewpoints)]
        with torch.no_grad():
            clip.network.logit_scale.fill_(math.log(1 / INITIAL_TEMPERATURE))

    def items(self, clip: Clip, *, seed: int, epoch: int) -> list[Item]:
        """One view of every panorama; sets the anchors and the worst views by the model's present weights."""
        inputs = [shifted for viewpoint in self.inputs for shifted in viewpoint]
        view_embeds = torch.stack([self.embed_without_gradient(clip, shifted) for shifted in inputs])
        self.anchors, is_worst = worst_views(view_embeds, self.n_aligned)
        self.is_worst = is_worst.unflatten(0, (len(self.inputs), self.n_shifts))  # [viewpoint, shift, panorama]
        return self.panoramas.draw(self.shift_range, seed=seed, epoch=epoch, n_shifts=self.n_shifts)

    def losses(self, network: nn.Module, pair: Pair) -> dict[str, Tensor]:
        rows, batch_size = pair.row, len(pair.row)
        has_perspective = self.panoramas.perspective_views is not None
        text_rows = torch.cat([rows, rows + len(self.panoramas)]) if has_perspective else rows
        image_embeds, text_embeds, logit_scale = self.embed(network, torch.cat([pair.shifted, pair.partner]), text_rows)
        step = pair.shift * self.n_shifts // self.panoramas.width
        is_worst = self.is_worst[pair.viewpoint.cpu(), step.cpu(), rows.cpu()].to(image_embeds.device)
        anchors = self.anchors[rows.cpu()].to(image_embeds.device)
        aligned = alignment(image_embeds[:batch_size], anchors, is_worst)
        image_text = contrastive(image_embeds[: len(text_rows)], text_embeds, logit_scale)
        return {"loss": image_text + self.lam * aligned, "contrastive": image_text, "alignment": aligned}
