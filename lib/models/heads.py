"""Heads on the embeddings of a CLIP: re-projections (arXiv 2404.03539) and the gated module of arXiv 2404.12139."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS = ("linear", "mlp")


class Reprojected(nn.Module):
    """A CLIP network whose embeddings pass through heads before they are normalised; all other attributes are the network's."""

    def __init__(self, network: nn.Module, *, image_head: nn.Module | None = None, text_head: nn.Module | None = None):
        super().__init__()
        self.network = network
        self.image_head, self.text_head = (head or nn.Identity() for head in (image_head, text_head))

    def __getattr__(self, name: str):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.network, name)

    def encode_image(self, image: Tensor, normalize: bool = False) -> Tensor:
        """Embeddings [B, D] of preprocessed images [B, 3, S, S]."""
        image_embeds = self.image_head(self.network.encode_image(image))
        return F.normalize(image_embeds, dim=-1) if normalize else image_embeds

    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:
        """Embeddings [B, D] of tokenised texts [B, L]."""
        text_embeds = self.text_head(self.network.encode_text(text))
        return F.normalize(text_embeds, dim=-1) if normalize else text_embeds

    def forward(self, image: Tensor, text: Tensor | None = None) -> tuple[Tensor, Tensor | None, Tensor]:
        """Unit embeddings of images and texts, and the logit scale, as open_clip's CLIP returns them."""
        text_embeds = None if text is None else self.encode_text(text, normalize=True)
        return self.encode_image(image, normalize=True), text_embeds, self.network.logit_scale.exp()


def head(kind: str, width: int) -> nn.Module:
    """A new head on embeddings [B, width]: ``linear``, initialised as the identity, or ``mlp``, one hidden layer with tanh."""
    if kind == "mlp":
        return nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width))
    if kind != "linear":
        raise ValueError(f"head is {kind!r}: expected one of {', '.join(HEADS)}")
    linear = nn.Linear(width, width)
    nn.init.eye_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class Gate(nn.Module):
    """z + g · f(z) of embeddings z [B, D]: f is two transformer layers over one token, the gate g is trained and starts at 0.

    With the fixed g = 0.1 of arXiv 2404.12139 the untrained module would already change every embedding.
    """

    def __init__(self, width: int):
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, nhead=4, dim_feedforward=4 * width, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, embeds: Tensor) -> Tensor:
        return embeds + self.gate * self.layers(embeds[:, None])[:, 0]
