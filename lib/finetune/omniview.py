"""Omniview-Tuning (Ruan et al., arXiv 2404.12139) of panoramas: the views of an object are the shifts of a panorama."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clip360.finetune.data import Item, Pair, ShiftedPanoramas
from clip360.finetune.losses import alignment, contrastive, worst_views
from clip360.finetune.objectives import Objective
from clip360.models.clip import Clip

TEMPERATURE = 0.07  # from which it is trained


class Omniview(Objective):
    """L = L_ITC + λ · L_VC: contrastive over one view of each panorama and a photograph, alignment of its worst views.

    At the start of an epoch all shifts of every panorama are embedded, from every viewpoint there is. The normalised mean of
    a panorama's embeddings is its anchor, and the ``worst`` ones, furthest from it, are aligned with it; with
    ``all_views``, all are. Where there are no photographs, the panorama itself is seen in place of its own.
    """

    def __init__(
        self, clip: Clip, panoramas: ShiftedPanoramas, texts: Sequence[str], *, all_views: bool = False, **settings
    ):
        super().__init__(clip, panoramas, texts, **settings)
        self.aligned = self.views * len(panoramas.panoramas) if all_views else self.worst
        self.inputs = [panoramas.turned(self.views, viewpoint) for viewpoint in range(len(panoramas.panoramas))]
        with torch.no_grad():
            clip.network.logit_scale.fill_(math.log(1 / TEMPERATURE))

    def items(self, clip: Clip, *, seed: int, epoch: int) -> list[Item]:
        """One of the views of every panorama; the anchors and the worst views are those of the model as it is."""
        seen = torch.stack([self.look(clip, turned) for viewpoint in self.inputs for turned in viewpoint])
        self.anchors, chosen = worst_views(seen, self.aligned)
        self.chosen = chosen.unflatten(0, (len(self.inputs), self.views))
        return self.panoramas.draw(self.shifts, seed=seed, epoch=epoch, steps=self.views)

    def losses(self, network: nn.Module, pair: Pair) -> dict[str, Tensor]:
        rows, count = pair.row, len(pair.row)
        texts = rows if self.panoramas.photographs is None else torch.cat([rows, rows + len(self.panoramas)])
        seen, read, scale = self.embed(network, torch.cat([pair.shifted, pair.beside]), texts)
        step = pair.delta * self.views // self.panoramas.width
        chosen = self.chosen[pair.viewpoint.cpu(), step.cpu(), rows.cpu()].to(seen.device)
        viewpoint = alignment(seen[:count], self.anchors[rows.cpu()].to(seen.device), chosen)
        pairs = contrastive(seen[: len(texts)], read, scale)
        return {"loss": pairs + self.weight * viewpoint, "contrastive": pairs, "alignment": viewpoint}
