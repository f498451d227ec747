"""The visual probe, as the stage `score_probes` runs it, against its encoders alone and against a straightforward script."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from PIL import Image, ImageChops
from torch import Tensor

from clip360.data.image_set import ImageSet
from clip360.geometry.views import Shift
from clip360.models.clip import Clip
from clip360.scoring.clip_score import clip_score
from clip360.scoring.embedding import embed_images, embed_texts, encoder
from clip360.scoring.resize_once import crop_view, resize_once
from clip360.scoring.views import input_size
from tools.benchmark.rounds import compare, interleave, largest_difference

N_SHIFTS = 8
VIEWS = {k / N_SHIFTS: Shift(k / N_SHIFTS) for k in range(N_SHIFTS)}
SAVE_OPTIONS = {"PNG": {"compress_level": 1}, "JPEG": {"quality": 95}}  # JPEG as in the paper's released scripts
PROBE, ENCODERS = "probe", "encoders alone, inputs prepared"
SCRIPTS = {suffix: f"straightforward script, {suffix} copies" for suffix in SAVE_OPTIONS}
ENCODER_TARGET = 0.9  # of the encoders' speed


def compare_probes(clip: Clip, image_set: ImageSet, *, batch_size: int, rounds: int, target: float) -> list[dict]:
    """Rows that compare the probe with its encoders alone and with the straightforward scripts.

    ``target`` is the speed ratio that the probe should reach against a script. Raises RuntimeError where the scores
    of two variants differ, except for JPEG copies, which alter the pixels.
    """
    inputs = list(network_inputs(clip, image_set.batches(batch_size)))
    variants = probe_and_encoders(clip, image_set, inputs) | {
        name: partial(score_by_script, clip, image_set, batch_size, suffix) for suffix, name in SCRIPTS.items()
    }
    timings = interleave(variants, rounds)
    scores = timings.results
    rows = []
    for reference in (ENCODERS, *SCRIPTS.values()):
        limit = {"tolerance": torch.inf} if reference == SCRIPTS["JPEG"] else {}
        difference = largest_difference(f"{clip.name}, {reference}", scores[PROBE], scores[reference], **limit)
        ratio_target = ENCODER_TARGET if reference == ENCODERS else target
        speeds = compare(timings, PROBE, reference, len(image_set.table), target=ratio_target)
        row = {"task": "visual probe", "model": clip.name, "reference": reference}
        rows.append(row | speeds | {"largest difference": difference})
    return rows


def compare_encoders(
    clip: Clip, image_set: ImageSet, inputs: Sequence[Tensor], *, rounds: int
) -> tuple[dict[str, float | bool], Tensor]:
    """The speeds of the probe and of its encoders alone, which get ``inputs`` [N_SHIFTS, B, 3, S, S], and the probe's scores [N_SHIFTS, N]."""
    timings = interleave(probe_and_encoders(clip, image_set, inputs), rounds)
    speeds = compare(timings, PROBE, ENCODERS, len(image_set.table), target=ENCODER_TARGET)
    return speeds, timings.results[PROBE]


def probe_and_encoders(clip: Clip, image_set: ImageSet, inputs: Sequence[Tensor]) -> dict[str, Callable[[], Tensor]]:
    """The probe, from files to scores, and its encoders alone, from the same batches of prepared inputs."""
    return {
        PROBE: partial(score_by_probe, clip, image_set, inputs[0].shape[1]),
        ENCODERS: partial(score_by_encoders, clip, inputs, clip.tokenize(image_set.texts)),
    }


def time_parts(clip: Clip, image_set: ImageSet, *, batch_size: int, rounds: int) -> dict[str, str | float]:
    """Milliseconds per panorama of each part of the probe, timed alone: median over rounds; CPU time, or on a GPU wall time."""
    decoded = list(image_set.batches(batch_size))
    resized = [resize_once(clip, batch, map) for batch in decoded]
    inputs, width = list(network_inputs(clip, decoded)), decoded[0].shape[-1]
    parts = {
        "decode": lambda: list(image_set.batches(batch_size)),
        "resize": lambda: [resize_once(clip, batch, map) for batch in decoded],
        "shift": lambda: [crop_shifts(clip, batch, width) for batch in resized],
        "encode images": lambda: [encode_shifts(clip, batch) for batch in inputs],
        "encode texts": lambda: embed_texts(clip, image_set.texts),
    }
    timings = interleave(parts, rounds)
    seconds = timings.cpu if clip.device.type == "cpu" else timings.wall
    return {"model": clip.name} | (1000 * seconds.median() / len(image_set.table)).to_dict()


def score_by_probe(clip: Clip, image_set: ImageSet, batch_size: int) -> Tensor:
    """Scores [N_SHIFTS, N], not clamped at zero; each image is decoded and resized once, each caption encoded once."""
    image_embeds = embed_images(clip, image_set.batches(batch_size), VIEWS, total=len(image_set.table))
    text_embeds = embed_texts(clip, image_set.texts)
    return torch.stack([clip_score(shifted, text_embeds, clamp_at_zero=False) for shifted in image_embeds.values()])


@torch.no_grad()
def score_by_encoders(clip: Clip, inputs: Iterable[Tensor], tokens: Tensor) -> Tensor:
    """The same scores from network inputs in batches [N_SHIFTS, B, 3, S, S] and tokens [N, L]: no probe can be faster."""
    image_embeds = torch.cat([encode_shifts(clip, batch) for batch in inputs], dim=1)
    text_embeds = encoder(clip, clip.network.encode_text)(tokens)
    return torch.stack([clip_score(shifted, text_embeds, clamp_at_zero=False) for shifted in image_embeds]).cpu()


@torch.no_grad()
def encode_shifts(clip: Clip, inputs: Tensor) -> Tensor:
    """Unit embeddings [N_SHIFTS, B, D] of network inputs [N_SHIFTS, B, 3, S, S], one shift at a time."""
    return torch.stack([encoder(clip, clip.network.encode_image)(shifted) for shifted in inputs])


@torch.no_grad()
def score_by_script(clip: Clip, image_set: ImageSet, batch_size: int, suffix: str) -> Tensor:
    """The same scores as a straightforward script computes them: it saves shifted copies and scores each shift as a new set.

    For each shift, the script reads the files through PIL and the model's transform into one stack, and encodes the
    captions again.
    """
    encode_image = encoder(clip, clip.network.encode_image)
    encode_text = encoder(clip, clip.network.encode_text)
    originals = [image_set.images / name for name in image_set.table.image]
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        for fraction in VIEWS:
            files = (
                [save_shifted(file, fraction, Path(folder), suffix) for file in originals] if fraction else originals
            )
            stack = torch.stack([clip.preprocess(Image.open(file)) for file in files])
            image_embeds = torch.cat([encode_image(batch) for batch in stack.split(batch_size)])
            tokens = clip.tokenize(image_set.texts)
            text_embeds = torch.cat([encode_text(batch) for batch in tokens.split(batch_size)])
            scores.append(clip_score(image_embeds, text_embeds, clamp_at_zero=False))
    return torch.stack(scores).cpu()


def save_shifted(file: Path, fraction: float, folder: Path, suffix: str) -> Path:
    """Save a panorama, shifted by a fraction of its width, in a folder; returns the new file."""
    copy = folder / f"{file.stem}_{fraction}.{suffix.lower()}"
    with Image.open(file) as image:
        ImageChops.offset(image, round(fraction * image.width), 0).save(copy, suffix, **SAVE_OPTIONS[suffix])
    return copy


def network_inputs(clip: Clip, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Network inputs [N_SHIFTS, B, 3, S, S] of each batch, on the network's device; ValueError for a model whose shifts cannot be cropped."""
    with ThreadPoolExecutor() as threads:
        for panoramas in batches:
            resized = resize_once(clip, panoramas, threads.map)
            if resized is None:
                size = " x ".join(map(str, input_size(clip)))
                raise ValueError(
                    f"the input of {clip.name} is {size} pixels: expected a square whose side is a multiple of"
                    f" {N_SHIFTS // 2}, choose another model"
                )
            yield crop_shifts(clip, resized, panoramas.shape[-1])


def crop_shifts(clip: Clip, resized: Tensor, width: int) -> Tensor:
    """Network inputs [N_SHIFTS, B, 3, S, S] of every shift, cropped from resized panoramas that were ``width`` pixels wide."""
    return torch.stack([crop_view(clip, resized, view, width) for view in VIEWS.values()])
