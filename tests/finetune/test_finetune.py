"""Fine-tuning: the loss by hand, adapters that work and adapters that are dead, the loop killed and continued."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

from clip360.finetune.attention import SeparateAttention
from clip360.finetune.data import Item, ShiftedPanoramas
from clip360.finetune.loop import fine_tune
from clip360.finetune.lora import attach_lora, examine_adapters, load_adapter, merge_adapter, save_adapter
from clip360.finetune.losses import charbonnier, shift_loss
from clip360.finetune.objectives import ShiftLoss
from clip360.models.clip import load_clip, save_weights
from clip360.scoring.clip_score import clip_score
from tests.small_clips import small_clip

LAYERS = 2
ADAPTER = {"rank": 4, "alpha": 8, "dropout": 0.1, "seed": 0}
WITHOUT_DROPOUT = ADAPTER | {"dropout": 0.0}  # its draws differ between one process and two
OBJECTIVE = {"weight": 0.5, "shifts": (0.0, 1.0), "views": 4, "worst": 2}
RECIPE = {
    "epochs": 3,
    "batch": 4,
    "rate": 1e-2,
    "weight_decay": 0.01,
    "clip_norm": 1.0,
    "seed": 0,
}
PANORAMAS = torch.randint(0, 256, (10, 3, 32, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
NOISE = 0.1 * torch.randn(10, 32, generator=torch.Generator().manual_seed(2))
INPUTS = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """The folder of a model."""
    folder = tmp_path_factory.mktemp("models") / "base"
    small_clip(folder, layers=LAYERS, head_width=16)
    return folder


def tuned(base: Path, targets: str, folder: Path, **changes) -> tuple:
    """A model after fine-tuning on PANORAMAS, and the log of its steps."""
    clip, log = load_clip(base), []
    panoramas = shifted_panoramas(clip)
    settings = {key: changes.pop(key, value) for key, value in OBJECTIVE.items()}
    objective = ShiftLoss(clip, panoramas, [f"a thing {k}" for k in range(len(PANORAMAS))], **settings)
    with torch.no_grad():  # texts near their images: an untrained model would score below 0, where the floor is
        seen = clip.network.encode_image(panoramas.inputs)
    objective.kept["texts"] = F.normalize(seen + NOISE, dim=-1)
    objective.kept["scores"] = clip_score(seen, objective.kept["texts"])
    attach_lora(clip, targets=targets, **changes.pop("adapter", ADAPTER))
    fine_tune(clip, objective, checkpoints=folder, log=log.append, **RECIPE | changes)
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
    loss, consistency, anchor = shift_loss(s_shift, s, frozen, weight=0.25)
    assert (consistency.item(), anchor.item()) == pytest.approx((1.5, 2.0005), abs=1e-4)
    assert loss.item() == pytest.approx(0.25 * 1.5 + 0.75 * 2.0005, abs=1e-4)


def test_separate_attention_equals_the_fused_one_and_back():
    torch.manual_seed(0)
    fused = torch.nn.MultiheadAttention(32, 4, batch_first=True)
    fused.in_proj_bias.data.normal_()
    tokens = torch.randn(2, 5, 32)
    expected = fused(tokens, tokens, tokens, need_weights=False)[0]
    separate = SeparateAttention.of(fused)
    assert torch.allclose(separate(tokens, tokens, tokens)[0], expected, atol=1e-6)
    again = separate.fused().state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in fused.state_dict().items())


def test_of_the_released_targets_only_the_first_mlp_layer_learns(base, tmp_path):
    """in_proj is no module, and nn.MultiheadAttention reads past the adapter on out_proj."""
    clip = attach_lora(load_clip(base), targets="released", **ADAPTER)
    report = examine_adapters(clip)
    assert not report.module.str.contains("in_proj").any()
    dead = report.module.str.endswith("out_proj")
    assert dead.sum() == LAYERS
    assert not report.gradient[dead].any() and np.allclose(report.applied[dead], 0, atol=1e-3)
    assert report.gradient[~dead].all() and np.allclose(report.applied[~dead], 1, atol=1e-3)
    clip, _ = tuned(base, "released", tmp_path)
    save_adapter(clip, tmp_path / "adapter")
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    moved = {name.split(".")[-3] for name, tensor in weights.items() if "lora_B" in name and tensor.any()}
    assert moved == {"c_fc"}


def test_with_separate_attention_every_adapter_learns_and_acts_once(base):
    plain = encode(load_clip(base))
    clip = attach_lora(load_clip(base), targets="attention", **ADAPTER)
    assert torch.allclose(encode(clip), plain, atol=1e-5)  # B = 0: nothing moves yet
    report = examine_adapters(clip)
    assert len(report) == 6 * LAYERS
    assert report.gradient.all() and np.allclose(report.applied, 1, atol=1e-3)
    assert torch.allclose(encode(clip), plain, atol=1e-5)  # the examination left no trace
    learning = {name for name, p in clip.network.named_parameters() if p.requires_grad}
    assert learning and all("lora_" in name and name.startswith("visual.") for name in learning)


@pytest.mark.parametrize("targets", ["released", "attention"])
def test_an_adapter_saved_loaded_and_merged_is_the_same_model(base, targets, tmp_path):
    clip, _ = tuned(base, targets, tmp_path)
    expected = encode(clip)
    plain = load_clip(base)
    assert not torch.allclose(encode(plain), expected, atol=1e-2)  # it learned something
    save_adapter(clip, tmp_path / "tuned")
    loaded = load_adapter(load_clip(base), tmp_path / "tuned")
    assert loaded.name == "tuned" and torch.equal(encode(loaded), expected)

    shutil.copytree(base, tmp_path / "merged")
    save_weights(merge_adapter(loaded), tmp_path / "merged")
    merged, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'merged'}")
    assert torch.allclose(merged.eval().encode_image(INPUTS).detach(), expected, atol=1e-5)
    untouched = {name: p for name, p in plain.network.state_dict().items() if not name.startswith("visual.")}
    assert all(torch.equal(merged.state_dict()[name], p) for name, p in untouched.items())


def test_tuning_lowers_the_loss_and_its_parts_add_up(base, tmp_path):
    _, log = tuned(base, "attention", tmp_path, epochs=12)
    assert len(log) == 12 * 3
    assert np.mean([row["loss"] for row in log[-6:]]) < np.mean([row["loss"] for row in log[:6]])
    for row in log:
        assert row["loss"] == pytest.approx(0.5 * row["consistency"] + 0.5 * row["anchor"], rel=1e-5)
    assert not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize("targets", ["released", "attention"])
def test_two_processes_learn_what_one_does(base, tmp_path, targets):
    """Each takes half of every batch; gradients are averaged over both (gloo)."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "tests.tuned_by_processes"]
    done = subprocess.run([sys.executable, *launch, base, targets, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    save_adapter(tuned(base, targets, tmp_path / "one", adapter=WITHOUT_DROPOUT, batch=2)[0], tmp_path / "one")
    one, two = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "adapter"))
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[key], two[key], atol=1e-4) for key in one)


def test_shifts_are_rolled_before_the_transform(base):
    clip = load_clip(base)
    pair = shifted_panoramas(clip)[Item(7, 13)]
    for delta, seen in ((0, pair.beside), (13, pair.shifted)):
        rolled = np.roll(PANORAMAS[7].permute(1, 2, 0).numpy(), delta, axis=1)
        assert pair.row == 7 and torch.equal(seen, clip.preprocess(Image.fromarray(rolled)))


def test_every_epoch_draws_each_panorama_once_and_shifts_in_range(base):
    panoramas = shifted_panoramas(load_clip(base))
    epochs = [panoramas.draw((0.25, 0.5), seed=0, epoch=epoch) for epoch in range(40)]
    assert all(sorted(item.row for item in items) == list(range(10)) for items in epochs)
    assert {item.delta for items in epochs for item in items} == set(range(16, 32))
    assert epochs[0] != epochs[1] and epochs[0] == panoramas.draw((0.25, 0.5), seed=0, epoch=0)
    with pytest.raises(ValueError, match=r"shifts is \[0.5, 0.25\]"):
        panoramas.draw((0.5, 0.25), seed=0, epoch=0)


def test_bad_values_are_told_in_one_sentence(base, tmp_path):
    with pytest.raises(ValueError, match="lambda is 1.5: expected a number between 0 and 1"):
        tuned(base, "attention", tmp_path, weight=1.5)
    with pytest.raises(ValueError, match="targets is 'all': expected one of released, attention"):
        tuned(base, "all", tmp_path)
    with pytest.raises(FileNotFoundError, match="adapter_config.json does not exist"):
        load_adapter(load_clip(base), tmp_path)
    clip, _ = tuned(base, "attention", tmp_path)
    save_adapter(clip, tmp_path / "adapter")
    wide = small_clip(tmp_path / "wide", layers=LAYERS, width=64)
    with pytest.raises(ValueError, match="does not fit the model wide"):
        load_adapter(wide, tmp_path / "adapter")
    with pytest.raises(ValueError, match="the loss is nan in epoch 0: lower `rate`"):
        tuned(base, "attention", tmp_path, rate=1e30)
