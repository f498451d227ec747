"""Re-projection: small heads on frozen embeddings (FG-CLIP, arXiv 2404.03539), trained for the same score under shifts."""

import torch
from torch import Tensor, nn

from clip360.finetune.data import Pair
from clip360.finetune.losses import charbonnier, contrastive
from clip360.finetune.objectives import Objective
from clip360.scoring.clip_score import clip_score


class Reprojection(Objective):
    """L = λ · charb(s_θ^Δ, s_θ) + (1 - λ) · L_ITC: the paper's consistency of scores, anchored by the panoramas' texts.

    At λ = 1 there is no anchor.
    """

    def losses(self, network: nn.Module, pair: Pair) -> dict[str, Tensor]:
        seen, read, scale = self.embed(network, torch.cat([pair.shifted, pair.beside]), pair.row)
        s_shift, s = clip_score(seen, read.repeat(2, 1)).chunk(2)
        consistency, pairs = charbonnier(s_shift, s), contrastive(seen[: len(pair.row)], read, scale)
        loss = self.weight * consistency + (1 - self.weight) * pairs
        return {"loss": loss, "consistency": consistency, "contrastive": pairs}
