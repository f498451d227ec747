"""Embeddings of pictures and texts: each picture decoded once, each distinct text embedded once, in batches."""

import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from tqdm import tqdm

from lib.models import Clip
from lib.panorama import perspective

View = Callable[[Tensor], Tensor]


def perspective_view(*, yaw: float, pitch: float, fov: float, size: int) -> View:
    """The ordinary photograph within a panorama: uint8 [B, 3, H, 2H] -> uint8 [B, 3, size, size]."""

    def view(panoramas: Tensor) -> Tensor:
        seen = perspective(panoramas.float() / 255, yaw=yaw, pitch=pitch, fov=fov, size=size)
        return (seen * 255).round().byte()

    return view


@torch.no_grad()
def embed_images(
    clip: Clip, batches: Iterable[Tensor], views: Mapping[Hashable, View], *, total: int
) -> dict[Hashable, Tensor]:
    """Unit embeddings [N, D] of uint8 pictures in batches [B, 3, H, W], for each view of them: decoded once."""
    seen: dict[Hashable, list[Tensor]] = {name: [] for name in views}
    with tqdm(total=total, desc=f"{clip.name}: images") as progress, ThreadPoolExecutor(os.cpu_count()) as threads:
        for pictures in batches:
            for name, view in views.items():
                prepared = threads.map(lambda picture: clip.preprocess(to_pil_image(picture)), view(pictures))
                inputs = torch.stack(list(prepared)).to(clip.device)
                seen[name].append(clip.network.encode_image(inputs, normalize=True).float().cpu())
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
