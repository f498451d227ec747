"""Fine-tuning by LoRA: the loss by hand, adapters that work and adapters that are dead, the loop in each precision."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from accelerate.state import AcceleratorState
from PIL import Image
from safetensors.torch import load_file

from clip360.finetune.attention import SeparateAttention
from clip360.finetune.data import Item, ShiftedPanoramas
from clip360.finetune.loop import fine_tune
from clip360.finetune.lora import attach_lora, check_adapters, load_adapter, merge_adapter, save_adapter
from clip360.finetune.losses import charbonnier, shift_loss
from clip360.finetune.objectives import ShiftLoss
from clip360.models.clip import load_clip, save_weights
from clip360.models.protocol import Protocol
from clip360.scoring.clip_score import clip_score
from tests.small_clips import small_clip

LAYERS = 2
LORA = {"rank": 4, "alpha": 8, "dropout": 0.1, "seed": 0}
WITHOUT_DROPOUT = LORA | {"dropout": 0.0}  # one process and two draw it differently
OBJECTIVE = {"lam": 0.5, "shift_range": (0.0, 1.0), "n_shifts": 4, "n_worst": 2}
OPTIMISATION = {"epochs": 3, "batch_size": 4, "lr": 1e-2, "weight_decay": 0.01, "max_grad_norm": 1.0, "seed": 0}
PANORAMAS = torch.randint(0, 256, (10, 3, 32, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
NOISE = 0.1 * torch.randn(10, 32, generator=torch.Generator().manual_seed(2))
INPUTS = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """The folder of a model."""
    folder = tmp_path_factory.mktemp("models") / "base"
    small_clip(folder, layers=LAYERS, head_width=16)
    return folder


def finetuned(base: Path, targets: str, folder: Path, *, protocol: Protocol | None = None, **changes) -> tuple:
    """A model after fine-tuning on PANORAMAS, and the log of its steps; ``changes`` are to the constants above."""
    clip, log = load_clip(base, protocol=protocol), []
    panoramas = shifted_panoramas(clip)
    settings = {key: changes.pop(key, value) for key, value in OBJECTIVE.items()}
    objective = ShiftLoss(clip, panoramas, [f"object {k}" for k in range(len(PANORAMAS))], **settings)
    with torch.no_grad():  # texts near their images: an untrained model would score below 0, where scores are clamped
        image_embeds = clip.network.encode_image(panoramas.inputs)
    objective.reference["texts"] = F.normalize(image_embeds + NOISE, dim=-1)
    objective.reference["scores"] = clip_score(image_embeds, objective.reference["texts"])
    attach_lora(clip, targets=targets, **changes.pop("lora", LORA))
    fine_tune(clip, objective, checkpoints=folder, log=log.append, **OPTIMISATION | changes)
    return clip, log


def shifted_panoramas(clip) -> ShiftedPanoramas:
    return ShiftedPanoramas([PANORAMAS.split(4)], len(PANORAMAS), clip.preprocess)


@torch.no_grad()
def encode(clip) -> torch.Tensor:
    return clip.network.encode_image(INPUTS)


def test_the_loss_is_the_papers():
    a, b = np.array([1.0, -2.0, 0.5]), np.array([1.0, 1.0, 0.25])
    by_hand = np.mean([np.sqrt((x - y) ** 2 + 1e-6) for x, y in zip(a, b, strict=True)])
    assert charbonnier(torch.tensor(a), torch.tensor(b)).item() == pytest.approx(by_hand)
    s_shift, s, frozen = torch.tensor([10.0, 20.0]), torch.tensor([11.0, 18.0]), torch.tensor([14.0, 20.0])
    loss, consistency, anchor = shift_loss(s_shift, s, frozen, lam=0.25)
    assert (consistency.item(), anchor.item()) == pytest.approx((1.5, 2.0005), abs=1e-4)
    assert loss.item() == pytest.approx(0.25 * 1.5 + 0.75 * 2.0005, abs=1e-4)


def test_separate_attention_equals_fused_attention_and_can_be_fused_again():
    torch.manual_seed(0)
    fused = torch.nn.MultiheadAttention(32, 4, batch_first=True)
    fused.in_proj_bias.data.normal_()
    tokens = torch.randn(2, 5, 32)
    expected = fused(tokens, tokens, tokens, need_weights=False)[0]
    separate = SeparateAttention.from_fused(fused)
    assert torch.allclose(separate(tokens, tokens, tokens)[0], expected, atol=1e-6)
    fused_again = separate.fused().state_dict()
    assert all(torch.equal(fused_again[name], tensor) for name, tensor in fused.state_dict().items())


def test_of_the_released_targets_only_the_first_mlp_layer_learns(base, tmp_path):
    """in_proj is no module, and nn.MultiheadAttention bypasses the adapter on out_proj."""
    clip = attach_lora(load_clip(base), targets="lora_as_released", **LORA)
    report = check_adapters(clip)
    assert not report.module.str.contains("in_proj").any()
    dead = report.module.str.endswith("out_proj")
    assert dead.sum() == LAYERS
    assert not report.gradient[dead].any() and np.allclose(report.applied[dead], 0, atol=1e-3)
    assert report.gradient[~dead].all() and np.allclose(report.applied[~dead], 1, atol=1e-3)
    clip, _ = finetuned(base, "lora_as_released", tmp_path)
    save_adapter(clip, tmp_path / "adapter")
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    changed = {name.split(".")[-3] for name, tensor in weights.items() if "lora_B" in name and tensor.any()}
    assert changed == {"c_fc"}


def test_with_separate_attention_every_adapter_learns_and_acts_once(base):
    frozen = encode(load_clip(base))
    clip = attach_lora(load_clip(base), targets="lora_attention", **LORA)
    assert torch.allclose(encode(clip), frozen, atol=1e-5)  # B = 0: no embedding changes before training
    report = check_adapters(clip)
    assert len(report) == 6 * LAYERS
    assert report.gradient.all() and np.allclose(report.applied, 1, atol=1e-3)
    assert torch.allclose(encode(clip), frozen, atol=1e-5)  # the check left the weights as they were
    trainable = {name for name, p in clip.network.named_parameters() if p.requires_grad}
    assert trainable and all("lora_" in name and name.startswith("visual.") for name in trainable)


@pytest.mark.parametrize("targets", ["lora_as_released", "lora_attention"])
def test_an_adapter_saved_loaded_and_merged_is_the_same_model(base, targets, tmp_path):
    clip, _ = finetuned(base, targets, tmp_path)
    expected = encode(clip)
    frozen = load_clip(base)
    assert not torch.allclose(encode(frozen), expected, atol=1e-2)  # it learned something
    save_adapter(clip, tmp_path / "finetuned")
    loaded = load_adapter(load_clip(base), tmp_path / "finetuned")
    assert loaded.name == "finetuned" and torch.equal(encode(loaded), expected)

    shutil.copytree(base, tmp_path / "merged")
    save_weights(merge_adapter(loaded), tmp_path / "merged")
    merged, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'merged'}")
    assert torch.allclose(merged.eval().encode_image(INPUTS).detach(), expected, atol=1e-5)
    text_side = {name: p for name, p in frozen.network.state_dict().items() if not name.startswith("visual.")}
    assert all(torch.equal(merged.state_dict()[name], p) for name, p in text_side.items())


def test_fine_tuning_lowers_the_loss_and_its_terms_add_up(base, tmp_path):
    _, log = finetuned(base, "lora_attention", tmp_path, epochs=12)
    assert len(log) == 12 * 3
    assert np.mean([row["loss"] for row in log[-6:]]) < np.mean([row["loss"] for row in log[:6]])
    for row in log:
        assert row["loss"] == pytest.approx(0.5 * row["consistency"] + 0.5 * row["anchor"], rel=1e-5)
    assert not list(tmp_path.glob("*.pt"))


def test_training_at_float16_is_float32_without_autocast(base, tmp_path):
    """The released protocol scores the frozen model in float16 and trains in float32; bfloat16 is autocast for both."""
    weights = {}
    for precision in ("float32", "float16", "bfloat16"):
        AcceleratorState._reset_state(reset_partial_state=True)  # a process has one training precision
        clip, _ = finetuned(base, "lora_attention", tmp_path, protocol=Protocol(precision=precision))
        # On a CPU accelerate ignores float16, which a GPU would train in.
        assert AcceleratorState().mixed_precision == ("bf16" if precision == "bfloat16" else "no")
        weights[precision] = [weight for weight in clip.network.parameters() if weight.requires_grad]
        assert {weight.dtype for weight in weights[precision]} == {torch.float32}
    assert all(map(torch.equal, weights["float16"], weights["float32"]))
    assert not all(map(torch.equal, weights["bfloat16"], weights["float32"]))
    AcceleratorState._reset_state(reset_partial_state=True)


def test_the_frozen_reference_has_the_precision_of_the_protocol(base):
    scores = {}
    for precision in ("float32", "float16"):
        clip = load_clip(base, protocol=Protocol(precision=precision, clamp_at_zero=False))
        objective = ShiftLoss(clip, shifted_panoramas(clip), [f"object {k}" for k in range(10)], **OBJECTIVE)
        scores[precision] = objective.reference["scores"]
    assert not torch.equal(scores["float16"], scores["float32"])
    assert torch.allclose(scores["float16"], scores["float32"], atol=0.5)


@pytest.fixture(scope="module")
def tuned_by_two(base, tmp_path_factory) -> Path:
    """The folder of the adapters that two processes trained."""
    folder = tmp_path_factory.mktemp("two")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    script = ["-m", "tests.finetune.finetune_in_processes", base, folder, "lora_as_released", "lora_attention"]
    done = subprocess.run([sys.executable, *launch, *script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("targets", ["lora_as_released", "lora_attention"])
def test_two_processes_learn_what_one_does(base, tuned_by_two, tmp_path, targets):
    """Each takes half of every batch; gradients are averaged over both (gloo)."""
    clip, _ = finetuned(base, targets, tmp_path / "one", lora=WITHOUT_DROPOUT, batch_size=2)
    save_adapter(clip, tmp_path / "one")
    one, two = (
        load_file(folder / "adapter_model.safetensors") for folder in (tmp_path / "one", tuned_by_two / targets)
    )
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[key], two[key], atol=1e-4) for key in one)


def test_panoramas_are_shifted_before_the_transform(base):
    clip = load_clip(base)
    pair = shifted_panoramas(clip)[Item(7, 13)]
    for shift, inputs in ((0, pair.partner), (13, pair.shifted)):
        rolled = np.roll(PANORAMAS[7].permute(1, 2, 0).numpy(), shift, axis=1)
        assert pair.row == 7 and torch.equal(inputs, clip.preprocess(Image.fromarray(rolled)))


def test_every_epoch_draws_each_panorama_once_and_shifts_in_range(base):
    panoramas = shifted_panoramas(load_clip(base))
    epochs = [panoramas.draw((0.25, 0.5), seed=0, epoch=epoch) for epoch in range(40)]
    assert all(sorted(item.row for item in items) == list(range(10)) for items in epochs)
    assert {item.shift for items in epochs for item in items} == set(range(16, 32))
    assert epochs[0] != epochs[1] and epochs[0] == panoramas.draw((0.25, 0.5), seed=0, epoch=0)
    with pytest.raises(ValueError, match=r"shift_range is \[0.5, 0.25\]"):
        panoramas.draw((0.5, 0.25), seed=0, epoch=0)


def test_bad_values_are_reported_in_one_sentence(base, tmp_path):
    with pytest.raises(ValueError, match="lambda is 1.5: expected a number between 0 and 1"):
        finetuned(base, "lora_attention", tmp_path, lam=1.5)
    with pytest.raises(ValueError, match="targets is 'all': expected one of lora_as_released, lora_attention"):
        finetuned(base, "all", tmp_path)
    with pytest.raises(FileNotFoundError, match="adapter_config.json does not exist"):
        load_adapter(load_clip(base), tmp_path)
    clip, _ = finetuned(base, "lora_attention", tmp_path)
    save_adapter(clip, tmp_path / "adapter")
    wide = small_clip(tmp_path / "wide", layers=LAYERS, width=64)
    with pytest.raises(ValueError, match="does not fit the model wide"):
        load_adapter(wide, tmp_path / "adapter")
    with pytest.raises(ValueError, match="the loss is nan in epoch 0: lower `lr`"):
        finetuned(base, "lora_attention", tmp_path, lr=1e30)
    sizes = [PANORAMAS[:4], torch.zeros(6, 3, 16, 32, dtype=torch.uint8)]
    with pytest.raises(
        ValueError, match="a panorama is 32 x 16 pixels, the first 64 x 32: fine-tuning needs panoramas"
    ):
        ShiftedPanoramas([iter(sizes)], 10, clip.preprocess)
