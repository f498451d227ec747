"""CLIP scores of an image set under conditions, as a tidy table: one row for each image and condition."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from tqdm import tqdm

from lib.models import Clip
from lib.panorama import perspective
from lib.prompts import prompt

View = Callable[[Tensor], Tensor]


def clip_score(images: Tensor, texts: Tensor) -> Tensor:
    """s = max(100 · cos(e_I, e_T), 0) of paired embeddings [N, D] (arXiv 2604.24642).

    >>> clip_score(torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).round()
    tensor([60.,  0.])
    """
    return (100 * F.cosine_similarity(images, texts, dim=-1)).clamp(min=0)


def perspective_view(*, yaw: float, pitch: float, fov: float, size: int) -> View:
    """The ordinary photograph within a panorama: uint8 [B, 3, H, 2H] -> uint8 [B, 3, size, size]."""

    def view(panoramas: Tensor) -> Tensor:
        seen = perspective(panoramas.float() / 255, yaw=yaw, pitch=pitch, fov=fov, size=size)
        return (seen * 255).round().byte()

    return view


@torch.no_grad()
def embed_images(clip: Clip, batches: Iterable[Tensor], views: Mapping[str, View], *, total: int) -> dict[str, Tensor]:
    """Unit embeddings [N, D] of uint8 pictures in batches [B, 3, H, W], for each view of them: decoded once."""
    seen: dict[str, list[Tensor]] = {name: [] for name in views}
    with tqdm(total=total, desc=f"{clip.name}: images") as progress:
        for pictures in batches:
            for name, view in views.items():
                inputs = torch.stack([clip.preprocess(to_pil_image(picture)) for picture in view(pictures)])
                seen[name].append(clip.network.encode_image(inputs.to(clip.device), normalize=True).float().cpu())
            progress.update(len(pictures))
    return {name: torch.cat(parts) for name, parts in seen.items()}


@torch.no_grad()
def embed_texts(clip: Clip, texts: Sequence[str], *, batch: int = 256) -> Tensor:
    """Unit embeddings [N, D] of texts, each distinct text embedded once."""
    distinct = list(dict.fromkeys(texts))
    parts = [
        clip.network.encode_text(clip.tokenize(distinct[k : k + batch]).to(clip.device), normalize=True).float().cpu()
        for k in range(0, len(distinct), batch)
    ]
    row = {text: k for k, text in enumerate(distinct)}
    return torch.cat(parts)[[row[text] for text in texts]]


def truncated(clip: Clip, texts: Sequence[str]) -> list[str]:
    """The texts that are too long for the model, which reads only their beginning."""
    longest = clip.network.context_length - 2  # the marks of start and end
    return [text for text in dict.fromkeys(texts) if len(clip.tokenize.encode(text)) > longest]


def textual_scores(
    clip: Clip, table: pd.DataFrame, embeddings: Mapping[str, Tensor], generic: Sequence[str], *, image_set: str
) -> pd.DataFrame:
    """Scores of every picture with its own format cue and with each generic cue (arXiv 2604.24642, textual probe).

    ``table`` has the columns image, caption, cue; ``embeddings`` maps the name of a view to [N, D], in its order.
    """
    conditions = [("cue", table.cue), *(("generic", pd.Series([word] * len(table))) for word in generic)]
    parts = []
    for condition, cues in conditions:
        texts = embed_texts(clip, [prompt(cue, caption) for cue, caption in zip(cues, table.caption, strict=True)])
        for view, images in embeddings.items():
            scores = clip_score(images, texts).double()
            if not scores.isfinite().all():
                raise ValueError(f"model {clip.name}, {image_set}: some scores are not numbers: check the weights")
            columns = {"model": clip.name, "image_set": image_set, "image": table.image, "condition": condition}
            parts.append(pd.DataFrame(columns | {"value": cues, "view": view, "score": scores}))
    return pd.concat(parts, ignore_index=True)
