"""Embeddings of pictures and texts: each picture decoded once, each distinct text embedded once, in batches."""

import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from tqdm import tqdm

from clip360.models.clip import Clip
from clip360.scoring.resize_once import cut, resize_once
from clip360.scoring.views import Shift, View, looks, tensor_transform


def embed_images(
    clip: Clip, batches: Iterable[Tensor], views: Mapping[Hashable, View], *, total: int
) -> dict[Hashable, Tensor]:
    """Unit embeddings [N, D] of uint8 pictures in batches [B, 3, H, W], for each view of them: decoded once."""
    parts = list(embed_batches(clip, batches, views, total=total))
    return {name: torch.cat([part[name] for part in parts]) for name in views}


@torch.no_grad()
def embed_batches(
    clip: Clip, batches: Iterable[Tensor], views: Mapping[Hashable, View], *, total: int
) -> Iterator[dict[Hashable, Tensor]]:
    """The same batch by batch, so that memory does not grow with their number: for each view the embeddings [B, D]."""
    encode = encoder(clip, clip.network.encode_image)
    seen: dict[Hashable, Tensor] = {}
    with tqdm(total=total, desc=f"{clip.name}: images") as progress:
        for name, inputs, count in _inputs(clip, batches, views):
            each = encode(inputs).unflatten(0, (-1, count))
            seen[name] = F.normalize(each.mean(1), dim=-1) if count > 1 else each[:, 0]
            if len(seen) == len(views):
                progress.update(len(each))
                yield seen
                seen = {}


def _inputs(
    clip: Clip, batches: Iterable[Tensor], views: Mapping[Hashable, View]
) -> Iterator[tuple[Hashable, Tensor, int]]:
    """What the network reads of each batch and view: name, [B · K, 3, S, S], and K, how many stand for one picture.

    Threads prepare the next ones while an accelerator works. A CPU would only fight with them for its cores.
    """
    tensors = tensor_transform(clip) if clip.protocol.resize == "tensor" else None
    many = sum(isinstance(view, Shift) for view in views.values()) > 1
    ahead = 0 if clip.device.type == "cpu" else 2
    waiting: deque = deque()
    with ThreadPoolExecutor() as threads:

        def prepare(pictures: Tensor, resized: Tensor | None, view: View) -> tuple[Tensor | Iterable[Tensor], int]:
            if resized is not None and (inputs := cut(clip, resized, view, pictures.shape[-1])) is not None:
                return inputs, 1
            seen = looks(clip, view(pictures))
            flat = seen.flatten(0, 1)
            return tensors(flat) if tensors else threads.map(
                lambda x: clip.preprocess(to_pil_image(x)), flat
            ), seen.shape[1]

        for pictures in batches:
            if tensors:
                pictures = pictures.to(clip.device)
            resized = resize_once(clip, pictures, threads.map) if many else None
            for name, view in views.items():
                waiting.append((name, *prepare(pictures, resized, view)))
                if len(waiting) > ahead:
                    yield _ready(*waiting.popleft())
        while waiting:
            yield _ready(*waiting.popleft())


def _ready(name: Hashable, inputs: Tensor | Iterable[Tensor], count: int) -> tuple[Hashable, Tensor, int]:
    return name, inputs if isinstance(inputs, Tensor) else torch.stack(list(inputs)), count


@torch.no_grad()
def embed_texts(clip: Clip, texts: Sequence[str], *, batch: int = 256) -> Tensor:
    """Unit embeddings [N, D] of texts, each distinct text embedded once; none that the model has ``known``."""
    known = {} if clip.known is None else clip.known
    distinct = [text for text in dict.fromkeys(texts) if text not in known]
    encode = encoder(clip, clip.network.encode_text)
    for k in range(0, len(distinct), batch):
        some = distinct[k : k + batch]
        known.update(zip(some, encode(clip.tokenize(some)), strict=True))
    return torch.stack([known[text] for text in texts])


def encoder(clip: Clip, tower: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A tower from inputs [B, ...] to unit embeddings [B, D]; a batch that memory does not hold goes through in halves."""
    largest = sys.maxsize

    def encode(inputs: Tensor) -> Tensor:
        nonlocal largest
        parts, start = [], 0
        while start < len(inputs):
            part = inputs[start : start + largest]
            try:
                with clip.autocast():
                    seen = tower(part.to(clip.device))
                parts.append(F.normalize(seen.float(), dim=-1).cpu())
                start += len(part)
            except RuntimeError as error:
                if len(part) == 1 or not should_reduce_batch_size(error):
                    raise
                largest = len(part) // 2
                clear_device_cache()
                print(
                    f"{clip.name}: a batch of {len(part)} does not fit in memory, going on with {largest}",
                    file=sys.stderr,
                )
        return torch.cat(parts)

    return encode


def truncated(clip: Clip, texts: Sequence[str]) -> list[str]:
    """The texts that are too long for the model, which reads only their beginning."""
    tokenizer, context = clip.tokenize, clip.network.context_length
    if hasattr(tokenizer, "encode"):  # open_clip's own, without the marks of start and end
        return [text for text in dict.fromkeys(texts) if len(tokenizer.encode(text)) > context - 2]
    return [text for text in dict.fromkeys(texts) if len(tokenizer.tokenizer(text).input_ids) > context]
