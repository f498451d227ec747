"""Embeddings of images and texts, in batches: each image is decoded once, each distinct text embedded once."""

import os
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from tqdm import tqdm

from clip360.data.images import read_ahead
from clip360.geometry.views import Shift, View
from clip360.models.clip import Clip
from clip360.scoring.resize_once import crop_view, resize_once
from clip360.scoring.views import network_views, tensor_transform


def embed_images(
    clip: Clip, batches: Iterable[Tensor], views: Mapping[Hashable, View], *, total: int | None
) -> dict[Hashable, Tensor]:
    """Unit embeddings, float32 [N, D] on the CPU, of images in uint8 batches [B, 3, H, W], for each view of them.

    ``total`` is N, for the progress bar; None for none.
    """
    parts = list(embed_batches(clip, batches, views, total=total))
    return {name: torch.cat([part[name] for part in parts]).cpu() for name in views}


@torch.no_grad()
def embed_batches(
    clip: Clip,
    batches: Iterable[Tensor],
    views: Mapping[Hashable, View],
    *,
    total: int | None,
    encode: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[dict[Hashable, Tensor]]:
    """As ``embed_images``, batch by batch: for each view the embeddings [B, D], on the network's device. Memory does not grow with N.

    No progress bar where ``total`` is None. ``encode`` is an ``encoder`` of the image tower, for callers that use one for many
    calls.
    """
    encode = encode or encoder(clip, clip.network.encode_image)
    image_embeds: dict[Hashable, Tensor] = {}
    with tqdm(total=total, desc=f"{clip.name}: images", disable=total is None) as progress:
        for name, inputs, n_views in _inputs(clip, batches, views):
            by_view = encode(inputs).unflatten(0, (-1, n_views))
            image_embeds[name] = F.normalize(by_view.mean(1), dim=-1) if n_views > 1 else by_view[:, 0]
            if len(image_embeds) == len(views):
                progress.update(len(by_view))
                yield image_embeds
                image_embeds = {}


def _inputs(
    clip: Clip, batches: Iterable[Tensor], views: Mapping[Hashable, View]
) -> Iterator[tuple[Hashable, Tensor, int]]:
    """The network's inputs for each batch and view: name of the view, [B · K, 3, S, S], and K, the inputs per image.

    While the network computes, threads prepare the next ones, unless it uses all cores itself.
    """
    transform = tensor_transform(clip) if clip.protocol.resize == "tensor" else None
    has_shifts = sum(isinstance(view, Shift) for view in views.values()) > 1
    ahead = clip.device.type != "cpu" or torch.get_num_threads() < (os.cpu_count() or 1)
    with ThreadPoolExecutor() as threads:

        def resize(images: Tensor) -> tuple[Tensor, Tensor | None]:
            if transform:
                images = clip.to_device(images)
            return images, resize_once(clip, images, threads.map) if has_shifts else None

        def prepare(wanted: tuple[Hashable, View, Tensor, Tensor | None]) -> tuple[Hashable, Tensor, int]:
            name, view, images, resized = wanted
            if resized is not None and (inputs := crop_view(clip, resized, view, images.shape[-1])) is not None:
                return name, inputs, 1
            per_image = network_views(clip, view(images))
            flat = per_image.flatten(0, 1)
            if transform:
                return name, transform(flat), per_image.shape[1]
            inputs = threads.map(lambda image: clip.preprocess(to_pil_image(image)), flat)
            return name, clip.to_device(torch.stack(list(inputs))), per_image.shape[1]

        resized_batches = read_ahead(resize, batches, int(ahead))
        wanted = ((name, view, *batch) for batch in resized_batches for name, view in views.items())
        yield from read_ahead(prepare, wanted, 2 * ahead)


@torch.no_grad()
def embed_texts(clip: Clip, texts: Sequence[str], *, batch_size: int = 256) -> Tensor:
    """Unit embeddings, float32 [N, D] on the CPU, of texts; each distinct text that is not in ``clip.text_cache`` once."""
    cache = {} if clip.text_cache is None else clip.text_cache
    missing = [text for text in dict.fromkeys(texts) if text not in cache]
    encode = encoder(clip, clip.network.encode_text)
    for start in range(0, len(missing), batch_size):
        batch = missing[start : start + batch_size]
        cache.update(zip(batch, encode(clip.tokenize(batch)).cpu(), strict=True))
    return torch.stack([cache[text] for text in texts])


def encoder(clip: Clip, tower: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function from inputs [B, ...] to unit embeddings, float32 [B, D], through a tower of the network, on its device.

    It does not wait for a GPU, so that the inputs of the next batch are prepared meanwhile.
    A batch that does not fit into memory is halved, and stderr reports the new size once; later batches keep it.
    """
    max_batch = sys.maxsize

    def encode(inputs: Tensor) -> Tensor:
        nonlocal max_batch
        parts, start = [], 0
        while start < len(inputs):
            part = inputs[start : start + max_batch]
            try:
                with clip.autocast():
                    embeds = tower(clip.to_device(part))
                parts.append(F.normalize(embeds.float(), dim=-1))
                start += len(part)
            except RuntimeError as error:
                # Imported here: it takes seconds, and only a batch that does not fit needs it.
                from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

                if len(part) == 1 or not should_reduce_batch_size(error):
                    raise
                max_batch = len(part) // 2
                clear_device_cache()
                print(
                    f"{clip.name}: a batch of {len(part)} does not fit into memory: continuing with {max_batch}",
                    file=sys.stderr,
                )
        return torch.cat(parts)

    return encode


def truncated(clip: Clip, texts: Sequence[str]) -> list[str]:
    """The distinct texts that exceed the model's context length, of which it embeds only the beginning."""
    tokenizer, context = clip.tokenize, clip.network.context_length
    if hasattr(tokenizer, "encode"):  # open_clip's own tokenizer: its `encode` leaves out the start and end tokens
        return [text for text in dict.fromkeys(texts) if len(tokenizer.encode(text)) > context - 2]
    return [text for text in dict.fromkeys(texts) if len(tokenizer.tokenizer(text).input_ids) > context]
