"""The visual probe, as the stage `score_probes` runs it, against its encoders alone and the straightforward way."""

import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import torch
from PIL import Image, ImageChops
from torch import Tensor

from clip360.data.image_set import ImageSet
from clip360.models.clip import Clip
from clip360.scoring.clip_score import clip_score
from clip360.scoring.embedding import embed_images, embed_texts, encoder
from clip360.scoring.resize_once import cut, resize_once
from clip360.scoring.views import Shift, input_size
from tools.benchmark.rounds import compare, difference, interleave

SHIFTS = 8
VIEWS = {k / SHIFTS: Shift(k / SHIFTS) for k in range(SHIFTS)}
SAVED = {"PNG": {"compress_level": 1}, "JPEG": {"quality": 95}}  # how copies are saved; JPEG so by the released scripts
ENCODERS = "its encoders alone, on ready tensors"
WAYS = {suffix: f"the straightforward way, copies as {suffix}" for suffix in SAVED}
LIMIT = 0.9  # of the encoders' speed, the target


def compare_probes(clip: Clip, pictures: ImageSet, *, batch: int, rounds: int, target: float) -> list[dict]:
    """Rows that compare the probe with its encoders alone, and with the straightforward way, which it should beat ``target``
    times. RuntimeError where scores differ."""
    inputs, tokens = list(ready_inputs(clip, pictures.batches(batch))), clip.tokenize(pictures.texts)
    ways = {"probe": partial(probe, clip, pictures, batch), ENCODERS: partial(encode, clip, inputs, tokens)}
    ways |= {words: partial(straightforward, clip, pictures, batch, suffix) for suffix, words in WAYS.items()}
    timed = interleave(ways, rounds)
    scores = timed.results
    rows = []
    for other in (ENCODERS, *WAYS.values()):
        # JPEG alters pixels: by how much scores differ then is told, not limited.
        limit = {"tolerance": torch.inf} if other == WAYS["JPEG"] else {}
        largest = difference(f"{clip.name}, {other}", scores["probe"], scores[other], **limit)
        speeds = compare(timed, "probe", other, len(pictures.table), target=LIMIT if other == ENCODERS else target)
        row = {"what": "visual probe", "model": clip.name, "against": other}
        rows.append(row | speeds | {"largest difference": largest})
    return rows


def time_parts(clip: Clip, pictures: ImageSet, *, batch: int, rounds: int) -> dict[str, str | float]:
    """Milliseconds of a core that each part of the probe takes for a panorama, medians over rounds; on a GPU, by the clock."""
    decoded = list(pictures.batches(batch))
    resized = [resize_once(clip, part, map) for part in decoded]
    inputs, width = list(ready_inputs(clip, decoded)), decoded[0].shape[-1]
    parts = {
        "decode": lambda: list(pictures.batches(batch)),
        "resize": lambda: [resize_once(clip, part, map) for part in decoded],
        "shift": lambda: [shift(clip, part, width) for part in resized],
        "encode pictures": lambda: [encode_images(clip, part) for part in inputs],
        "encode texts": lambda: embed_texts(clip, pictures.texts),
    }
    timed = interleave(parts, rounds)
    seconds = timed.cores if clip.device.type == "cpu" else timed.clock
    return {"model": clip.name} | (1000 * seconds.median() / len(pictures.table)).to_dict()


def probe(clip: Clip, pictures: ImageSet, batch: int) -> Tensor:
    """Scores [SHIFTS, N], without floor: each picture decoded and resized once, each caption encoded once."""
    seen = embed_images(clip, pictures.batches(batch), VIEWS, total=len(pictures.table))
    texts = embed_texts(clip, pictures.texts)
    return torch.stack([clip_score(images, texts, floor=False) for images in seen.values()])


@torch.no_grad()
def encode(clip: Clip, inputs: Iterable[Tensor], tokens: Tensor) -> Tensor:
    """The same from what the network reads, batches [SHIFTS, B, 3, S, S] and tokens [N, L]: no probe is faster."""
    images = torch.cat([encode_images(clip, part) for part in inputs], dim=1)
    texts = encoder(clip, clip.network.encode_text)(tokens)
    return torch.stack([clip_score(shifted, texts, floor=False) for shifted in images])


@torch.no_grad()
def encode_images(clip: Clip, inputs: Tensor) -> Tensor:
    """Unit embeddings [SHIFTS, B, D] of what the network reads, [SHIFTS, B, 3, S, S], a shift at a time."""
    return torch.stack([encoder(clip, clip.network.encode_image)(shifted) for shifted in inputs])


@torch.no_grad()
def straightforward(clip: Clip, pictures: ImageSet, batch: int, suffix: str) -> Tensor:
    """The same as a script goes about it: shifted copies are saved, and each shift is scored like a set of its own.

    Its files are read through PIL and the model's transform into one stack; its captions are encoded with it.
    """
    encode_image, encode_text = (
        encoder(clip, tower) for tower in (clip.network.encode_image, clip.network.encode_text)
    )
    originals = [pictures.images / name for name in pictures.table.image]
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        for share in VIEWS:
            files = [save_shifted(file, share, Path(folder), suffix) for file in originals] if share else originals
            stack = torch.stack([clip.preprocess(Image.open(file)) for file in files])
            images = torch.cat([encode_image(part) for part in stack.split(batch)])
            texts = torch.cat([encode_text(part) for part in clip.tokenize(pictures.texts).split(batch)])
            scores.append(clip_score(images, texts, floor=False))
    return torch.stack(scores)


def save_shifted(file: Path, share: float, folder: Path, suffix: str) -> Path:
    """Save a panorama, shifted by a share of its width, in a folder."""
    copy = folder / f"{file.stem}_{share}.{suffix.lower()}"
    with Image.open(file) as picture:
        ImageChops.offset(picture, round(share * picture.width), 0).save(copy, suffix, **SAVED[suffix])
    return copy


def ready_inputs(clip: Clip, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """What the network reads of each batch, [SHIFTS, B, 3, S, S]; ValueError where no shift can be cut out."""
    for pictures in batches:
        resized = resize_once(clip, pictures, map)
        if resized is None:
            size = " x ".join(map(str, input_size(clip)))
            raise ValueError(
                f"{clip.name} reads {size} pixels: expected a square, its side a multiple of {SHIFTS // 2}"
            )
        yield shift(clip, resized, pictures.shape[-1])


def shift(clip: Clip, resized: Tensor, width: int) -> Tensor:
    """Every shift cut out of resized panoramas, normalised: [SHIFTS, B, 3, S, S]."""
    return torch.stack([cut(clip, resized, view, width) for view in VIEWS.values()])
