"""Training a CLIP from scratch with CLIP's own loss (Radford et al., arXiv 2103.00020)."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import open_clip
import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torchvision.transforms.functional import center_crop
from tqdm import tqdm

from clip360.models.clip import Clip, normalise

MAX_LOGIT_SCALE = math.log(100)
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}


def count_pictures(share: float, pictures: int) -> dict[str, int]:
    """How many training pictures are panoramas, and how many are views.

    >>> count_pictures(0.03, 1000)
    {'panoramas': 30, 'views': 970}
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}: expected a number between 0 and 1")
    panoramas = round(share * pictures)
    return {"panoramas": panoramas, "views": pictures - panoramas}


def training_set(folder: Path, *, share: float, pictures: int) -> tuple[Tensor, list[list[str]]]:
    """``pictures`` images, uint8 [N, 3, S, S], and the wordings of each: views, and a ``share`` of panoramas.

    Panoramas come as open_clip's default transform shows them to a network: the square in their middle.
    """
    images, texts = [], []
    for name, count in count_pictures(share, pictures).items():
        stored = load_file(folder / f"{name}.safetensors")["images"]
        if count > len(stored):
            raise ValueError(f"{count} {name} are wanted but `pool` has {len(stored)}: lower `share` or `pictures`")
        table = pd.read_csv(folder / f"{name}.csv", keep_default_na=False)
        images.append(center_crop(stored[:count], stored.shape[2]))
        texts += table[table.picture < count].groupby("picture", sort=True).text.apply(list).tolist()
    return torch.cat(images), texts


def learning_rate(step: int, *, steps: int, warmup: int) -> float:
    """Linear warm-up, then half a cosine down to zero, as a share of the peak.

    >>> [round(learning_rate(step, steps=12, warmup=2), 2) for step in (0, 1, 2, 7, 11)]
    [0.5, 1.0, 1.0, 0.5, 0.02]
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def batch_order(pictures: int, *, steps: int, batch: int, seed: int) -> Tensor:
    """Pictures [steps, batch] in random order, each once before any comes twice."""
    if batch > pictures:
        raise ValueError(f"batch is {batch} but there are {pictures} pictures: expected at most as many")
    generator = torch.Generator().manual_seed(seed)
    epochs = math.ceil(steps * batch / pictures)
    order = torch.cat([torch.randperm(pictures, generator=generator) for _ in range(epochs)])
    return order[: steps * batch].view(steps, batch)


def train_clip(
    clip: Clip,
    images: Tensor,
    texts: Sequence[Sequence[str]],
    *,
    steps: int,
    batch: int,
    peak: float,
    warmup: int,
    weight_decay: float,
    precision: str,
    seed: int,
) -> pd.DataFrame:
    """Train a model in place on pictures [N, 3, S, S] uint8 and the wordings of each, one of them at a time.

    AdamW with ``peak`` learning rate and CLIP's logit scale held below 100; matrices, not gains and biases, decay.
    Returns the loss and the logit scale of every step. Raises ValueError where the loss is no longer a number.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}: expected one of {', '.join(PRECISIONS)}")
    network, device = clip.network, clip.device
    tokens = torch.stack([clip.tokenize(list(wordings)) for wordings in texts])
    decays = {True: [], False: []}
    for parameter in network.parameters():
        decays[parameter.ndim >= 2].append(parameter)
    groups = [{"params": decays[True], "weight_decay": weight_decay}, {"params": decays[False], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98), eps=1e-6, fused=True)
    loss_of, history = open_clip.ClipLoss(), []
    wording = torch.Generator().manual_seed(seed + 1)

    network.train()
    for step, rows in enumerate(tqdm(batch_order(len(images), steps=steps, batch=batch, seed=seed), desc="train")):
        for group in optimiser.param_groups:
            group["lr"] = peak * learning_rate(step, steps=steps, warmup=warmup)
        texts = tokens[rows, torch.randint(tokens.shape[1], (batch,), generator=wording)].to(device)
        with _autocast(device, precision), plain_attention(device):
            seen = network.encode_image(normalise(network, images[rows].to(device)), normalize=True)
            read = network.encode_text(texts, normalize=True)
            loss = loss_of(seen.float(), read.float(), network.logit_scale.exp())
            loss.backward()
        if not loss.isfinite():
            raise ValueError(f"the loss is {loss.item()} at step {step}: lower `peak` ({peak}) or lengthen `warmup`")
        optimiser.step()
        optimiser.zero_grad()
        with torch.no_grad():
            network.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        history.append({"step": step, "loss": loss.item(), "logit_scale": network.logit_scale.exp().item()})
    network.eval()
    return pd.DataFrame(history)


def _autocast(device: torch.device, precision: str):
    dtype = PRECISIONS[precision]
    return torch.autocast(device.type, dtype=dtype) if dtype else nullcontext()


def plain_attention(device: torch.device):
    """On a CPU the fused attention's backward pass takes longer than all the rest of a step over so few tokens."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
