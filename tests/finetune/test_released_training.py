"""The paper's profile of fine-tuning against a training loop of its own, written from the description in arXiv 2604.24642.

The loop shares no code with the package: it lists and decodes the files itself, and has its own adapters. Only the draws come
from the package: the first weights of the adapters, and the order and shift of the panoramas. Dropout is off, because a
pair that is embedded at once draws it otherwise than two that are embedded one after the other.
"""

from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image
from torch import nn

from clip360.finetune.loop import fine_tune
from clip360.finetune.methods import find_method
from clip360.finetune.objectives import Objective
from pipeline.finetune import read_objective
from pipeline.inputs import read_model
from pipeline.parameters import Parameters, parse, validate
from pipeline.profiles import compose
from tests.small_clips import small_clip

N, BATCH_SIZE, EPOCHS, LR = 10, 4, 2, 1e-3
RANK, ALPHA = 8, 16


@pytest.fixture(scope="module")
def released() -> Parameters:
    return validate(parse(compose("paper_released"), "paper_released"), "paper_released")


@pytest.fixture
def params(released, tmp_path, monkeypatch) -> Parameters:
    """The profile paper_released with a small CLIP and ten panoramas, next to a stray image that is no .jpg file.

    The captions are not in the order of the files that they name.
    """
    monkeypatch.chdir(tmp_path)
    AcceleratorState._reset_state(reset_partial_state=True)  # a process has one training precision
    small_clip(tmp_path / "results" / "paper_released" / "models" / "small", layers=2, head_width=16)
    rng, images = np.random.default_rng(0), tmp_path / "train" / "images"
    images.mkdir(parents=True)
    for name in ("00.png", *(f"{k:02}.jpg" for k in range(N))):
        low = Image.fromarray(rng.integers(0, 256, (4, 8, 3), dtype=np.uint8))
        low.resize((64, 32), Image.Resampling.BICUBIC).save(images / name, quality=95)
    rows = [{"image": f"{k:02}.jpg", "caption": f"room number {k * k}", "cue": "360 panorama"} for k in range(N)]
    pd.DataFrame(rows[::-1]).to_csv(images.parent / "captions.csv", index=False)
    section = released.finetune
    lora = section.lora.model_copy(update={"dropout": 0.0})
    optimisation = section.optimisation.model_copy(update={"epochs": EPOCHS, "batch_size": BATCH_SIZE, "lr": LR})
    changes = {"image_set": "train", "lora": lora, "optimisation": optimisation}
    compute = released.compute.model_copy(update={"device": "cpu"})
    return released.model_copy(
        update={"models": ["small"], "finetune": section.model_copy(update=changes), "compute": compute}
    )


def train(params: Parameters, lam: float, folder: Path) -> tuple[dict[str, torch.Tensor], list[dict], Objective, dict]:
    """The trained adapters by name, the log, the objective, and the adapters' first weights."""
    run = params.finetune.runs["paper_released_l100"].model_copy(update={"model": "small", "lam": lam})
    clip, log = read_model(params, "small"), []
    objective = read_objective(params, run, clip)
    clip = find_method(run.method).attach(clip, **params.finetune.lora.model_dump())
    first = adapters(clip.network)
    fine_tune(clip, objective, checkpoints=folder, log=log.append, **params.finetune.optimisation.model_dump())
    return adapters(clip.network), log, objective, first


def adapters(network: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of the adapters on c_fc, which alone have an effect, by layer and matrix."""
    weights = {name: weight.detach().clone() for name, weight in network.named_parameters() if "c_fc.lora_" in name}
    return {f"{name.split('resblocks.')[1][0]} {name.split('lora_')[1][0]}": weights[name] for name in weights}


class LowRank(nn.Module):
    """x W + b + (α / r) B A x, with W and b frozen."""

    def __init__(self, linear: nn.Linear, a: torch.Tensor, b: torch.Tensor):
        super().__init__()
        self.linear, self.a, self.b = linear, nn.Parameter(a.clone()), nn.Parameter(b.clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + ALPHA / RANK * (x @ self.a.T @ self.b.T)


def charbonnier(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.sqrt((x - y) ** 2 + 1e-3**2).mean()


def train_plainly(
    model: Path, folder: Path, first: dict[str, torch.Tensor], epochs: list[list[tuple[int, int]]], lam: float
) -> tuple[dict[str, torch.Tensor], list[float], torch.Tensor]:
    """The trained adapters, the losses, and the frozen scores; ``epochs`` holds the pairs of panorama and shift in order."""
    network, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{model}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{model}")
    network.requires_grad_(False)
    captions = pd.read_csv(folder / "captions.csv")
    tokens = tokenize(
        [f"This is a {cue} of {caption}" for cue, caption in zip(captions.cue, captions.caption, strict=True)]
    )
    files = sorted((folder / "images").glob("*.jpg"))
    panoramas = [np.array(Image.open(path).convert("RGB")) for path in files]

    def images(pairs: list[tuple[int, int]]) -> torch.Tensor:
        return torch.stack([preprocess(Image.fromarray(np.roll(panoramas[k], shift, axis=1))) for k, shift in pairs])

    def score(image_embeds: torch.Tensor, text_embeds: torch.Tensor) -> torch.Tensor:
        return 100 * nn.functional.cosine_similarity(image_embeds.float(), text_embeds.float())

    with torch.autocast("cpu", torch.float16):  # the frozen model alone
        unshifted = images([(k, 0) for k in range(N)])
        frozen = score(network.encode_image(unshifted), network.encode_text(tokens))
    texts = network.encode_text(tokens)
    for k, block in enumerate(network.visual.transformer.resblocks):
        block.mlp.c_fc = LowRank(block.mlp.c_fc, first[f"{k} A"], first[f"{k} B"])
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    optimiser, losses = torch.optim.AdamW(trained, lr=LR), []
    network.train()
    for pairs in epochs:
        for start in range(0, N, BATCH_SIZE):
            batch = pairs[start : start + BATCH_SIZE]
            rows = [k for k, _ in batch]
            s_shift = score(network.encode_image(images(batch)), texts[rows])
            s = score(network.encode_image(images([(k, 0) for k in rows])), texts[rows])
            loss = lam * charbonnier(s_shift, s) + (1 - lam) * charbonnier(s_shift, frozen[rows])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            losses.append(loss.item())
    blocks = enumerate(network.visual.transformer.resblocks)
    return {f"{k} {x}": getattr(block.mlp.c_fc, x.lower()) for k, block in blocks for x in "AB"}, losses, frozen


@pytest.mark.parametrize("lam", [1.0, 0.5])
def test_training_as_released_equals_a_plain_loop(params, tmp_path, lam):
    protocol = params.protocol
    assert (protocol.precision, protocol.clamp_at_zero, protocol.pairing) == ("float16", False, "order")
    weights, log, objective, first = train(params, lam, tmp_path)
    draws = [objective.items(None, seed=params.finetune.optimisation.seed, epoch=epoch) for epoch in range(EPOCHS)]
    pairs = [[(item.row, item.shift) for item in items] for items in draws]
    model = tmp_path / "results" / "paper_released" / "models" / "small"
    expected, losses, frozen = train_plainly(model, tmp_path / "train", first, pairs, lam)
    assert (frozen < -1).any() and (frozen > 1).any()  # with a floor at 0, the first would have no gradient
    torch.testing.assert_close(objective.reference["scores"], frozen, atol=1e-4, rtol=0)
    assert [row["loss"] for row in log] == pytest.approx(losses, abs=1e-5)
    assert weights.keys() == expected.keys() and len(weights) == 4
    for name, weight in weights.items():
        assert (weight - first[name]).abs().max() > LR
        torch.testing.assert_close(weight, expected[name].detach(), atol=1e-5, rtol=0)


def test_shifts_are_uniform_over_the_pixels_of_the_width(params):
    run = params.finetune.runs["paper_released_l100"].model_copy(update={"model": "small"})
    objective = read_objective(params, run, read_model(params, "small"))
    shifts = [item.shift for epoch in range(640) for item in objective.items(None, seed=0, epoch=epoch)]
    counts = np.bincount(shifts, minlength=64)
    expected = len(shifts) / 64
    assert (
        len(counts) == 64 and ((counts - expected) ** 2 / expected).sum() < 103
    )  # χ² with 63 degrees of freedom, p = 0.001
