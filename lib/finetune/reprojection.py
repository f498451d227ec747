"""Re-projection: small heads on frozen embeddings (FG-CLIP, arXiv 2404.03539), trained for equal scores under shifts."""

import torch
from torch import Tensor, nn

from clip360.finetune.data import Pair
from clip360.finetune.losses import charbonnier, contrastive
from clip360.finetune.objectives import Objective


class Reprojection(Objective):
    """L = λ · charb(s_θ^Δ, s_θ) + (1 - λ) · L_ITC: the paper's consistency of scores, anchored by the panoramas' texts.

    L_ITC is CLIP's contrastive loss. At λ = 1 there is no anchor.
    """

    def losses(self, network: nn.Module, pair: Pair) -> dict[str, Tensor]:
        image_embeds, text_embeds, logit_scale = self.embed(network, torch.cat([pair.shifted, pair.partner]), pair.row)
        s_shift, s = self.scores(image_embeds, text_embeds.repeat(2, 1)).chunk(2)
        consistency = charbonnier(s_shift, s)
        image_text = contrastive(image_embeds[: len(pair.row)], text_embeds, logit_scale)
        loss = self.lam * consistency + (1 - self.lam) * image_text
        return {"loss": loss, "consistency": consistency, "contrastive": image_text}
