"""Training a CLIP from scratch with CLIP's own loss (Radford et al., arXiv 2103.00020)."""

import math
import random
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import open_clip
import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torchvision.transforms.functional import center_crop
from tqdm import tqdm

from clip360.data.prompts import prompt
from clip360.models.clip import Clip, normalise

MAX_LOGIT_SCALE = math.log(100)
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}


def count_images(panorama_fraction: float, n_images: int) -> dict[str, int]:
    """How many of ``n_images`` training images are panoramas, and how many are perspective views.

    >>> count_images(0.03, 1000)
    {'panoramas': 30, 'views': 970}
    """
    if not 0 <= panorama_fraction <= 1:
        raise ValueError(f"panorama_fraction is {panorama_fraction}: expected a number between 0 and 1")
    n_panoramas = round(panorama_fraction * n_images)
    return {"panoramas": n_panoramas, "views": n_images - n_panoramas}


def training_set(
    folder: Path, *, panorama_fraction: float, n_images: int, cue_reliability: float = 1.0, seed: int = 0
) -> tuple[Tensor, list[list[str]]]:
    """``n_images`` images, uint8 [N, 3, S, S], and the texts of each: panoramas first, then perspective views.

    ``folder`` holds the folders panoramas and views, each with images.safetensors (`images`) and captions.csv (columns image, cue and
    caption, one row per caption). Of a panorama the network receives what open_clip's default transform leaves of it: the central square.
    The same folder gives a number of views that is always the same first views, whatever the fraction.
    An image's texts carry the cues of its own kind with the probability ``cue_reliability``, else cues of the other kind (``mix_cues``).
    Raises ValueError where the folder has fewer images than needed.
    """
    images, texts = [], []
    tables = {
        name: pd.read_csv(folder / name / "captions.csv", keep_default_na=False) for name in ("panoramas", "views")
    }
    for kind, count in count_images(panorama_fraction, n_images).items():
        stored = load_file(folder / kind / "images.safetensors")["images"]
        if count > len(stored):
            raise ValueError(
                f"training needs {count} {kind} but {folder} has {len(stored)}: lower panorama_fraction or n_images,"
                f" or render more (training_pictures.n_{kind})"
            )
        images.append(center_crop(stored[:count], stored.shape[2]))
        table, other = tables[kind], tables["views" if kind == "panoramas" else "panoramas"]
        table = table[table.image < count]
        cues = mix_cues(table, sorted(set(other.cue)), reliability=cue_reliability, seed=f"{seed}/cues/{kind}")
        table = table.assign(text=list(map(prompt, cues, table.caption)))
        texts += table.groupby("image", sort=True).text.apply(list).tolist()
    return torch.cat(images), texts


def mix_cues(table: pd.DataFrame, other_cues: Sequence[str], *, reliability: float, seed: str) -> list[str]:
    """The cue of every row of ``table`` (columns image, cue): its own, or with the probability 1 - reliability one of the others.

    All rows of an image have cues of one kind. With ``reliability`` 1 every cue is its own.
    """
    if not 0 <= reliability <= 1:
        raise ValueError(f"cue_reliability is {reliability}: expected a number between 0 and 1")
    rng = random.Random(seed)
    wrong = {image for image in dict.fromkeys(table.image) if rng.random() >= reliability}
    return [
        rng.choice(other_cues) if image in wrong else cue for image, cue in zip(table.image, table.cue, strict=True)
    ]


def lr_factor(step: int, *, steps: int, warmup_steps: int) -> float:
    """Learning rate at a step as a fraction of the peak: linear warm-up, then half a cosine down to zero.

    >>> [round(lr_factor(step, steps=12, warmup_steps=2), 2) for step in (0, 1, 2, 7, 11)]
    [0.5, 1.0, 1.0, 0.5, 0.02]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps)))


def batch_order(n_images: int, *, steps: int, batch_size: int, seed: int) -> Tensor:
    """Row numbers of images, int64 [steps, batch_size], in random order; each image comes once per epoch."""
    if batch_size > n_images:
        raise ValueError(f"batch_size is {batch_size} but there are {n_images} images: expected at most as many")
    generator = torch.Generator().manual_seed(seed)
    epochs = math.ceil(steps * batch_size / n_images)
    order = torch.cat([torch.randperm(n_images, generator=generator) for _ in range(epochs)])
    return order[: steps * batch_size].view(steps, batch_size)


def train_clip(
    clip: Clip,
    images: Tensor,
    captions: Sequence[Sequence[str]],
    *,
    steps: int,
    batch_size: int,
    peak_lr: float,
    warmup_steps: int,
    weight_decay: float,
    precision: str,
    seed: int,
) -> pd.DataFrame:
    """Train a model in place on images, uint8 [N, 3, S, S]; each step draws one of the captions [N][K] of each image.

    AdamW with cosine decay from ``peak_lr``; CLIP's logit scale stays at or below 100; matrices decay, gains and biases do
    not. Returns loss and logit scale of every step (columns step, loss, logit_scale). Raises ValueError where the loss is
    no longer a number, for another precision, and for a batch larger than the set.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}: expected one of {', '.join(PRECISIONS)}")
    network, device = clip.network, clip.device
    tokens = torch.stack([clip.tokenize(list(of_image)) for of_image in captions])
    optimiser = _optimiser(network, lr=peak_lr, weight_decay=weight_decay)
    clip_loss, history = open_clip.ClipLoss(), []
    caption_draws = torch.Generator().manual_seed(seed + 1)
    order = batch_order(len(images), steps=steps, batch_size=batch_size, seed=seed)

    network.train()
    for step, rows in enumerate(tqdm(order, desc="train")):
        for group in optimiser.param_groups:
            group["lr"] = peak_lr * lr_factor(step, steps=steps, warmup_steps=warmup_steps)
        texts = tokens[rows, torch.randint(tokens.shape[1], (batch_size,), generator=caption_draws)].to(device)
        with _autocast(device, precision), plain_attention(device):
            image_embeds = network.encode_image(normalise(network, images[rows].to(device)), normalize=True)
            text_embeds = network.encode_text(texts, normalize=True)
            loss = clip_loss(image_embeds.float(), text_embeds.float(), network.logit_scale.exp())
            loss.backward()
        if not loss.isfinite():
            raise ValueError(
                f"the loss is {loss.item()} at step {step}: lower peak_lr ({peak_lr}) or raise warmup_steps"
            )
        optimiser.step()
        optimiser.zero_grad()
        with torch.no_grad():
            network.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        history.append({"step": step, "loss": loss.item(), "logit_scale": network.logit_scale.exp().item()})
    network.eval()
    return pd.DataFrame(history)


def _optimiser(network: torch.nn.Module, *, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW with CLIP's betas; only parameters of two or more dimensions decay."""
    matrices = [parameter for parameter in network.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in network.parameters() if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), eps=1e-6, fused=True)


def _autocast(device: torch.device, precision: str) -> AbstractContextManager:
    dtype = PRECISIONS[precision]
    return torch.autocast(device.type, dtype=dtype) if dtype else nullcontext()


def plain_attention(device: torch.device) -> AbstractContextManager:
    """Attention without fused kernels on a CPU: over so few tokens, their backward pass is slower than the rest of a step."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
