"""Every adaptation method against its specification: losses by hand, what it trains, what it saves."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.functional import to_pil_image

from clip360.finetune.data import Item, ShiftedPanoramas
from clip360.finetune.files import ADAPTER_CONFIG, METHOD_FILE
from clip360.finetune.loop import fine_tune
from clip360.finetune.losses import alignment, contrastive, worst_views
from clip360.finetune.methods import METHODS, find_method, load_finetuned, save_finetuned, trained_weights
from clip360.finetune.model_card import model_card
from clip360.finetune.training_records import distances, read_log, read_runs, training_costs, update_norms
from clip360.geometry.canonical_yaw import at_canonical_yaw
from clip360.geometry.panorama import circular_shift, perspective
from clip360.geometry.views import Shift, perspective_view
from clip360.models.clip import load_clip
from clip360.models.heads import Gate, Reprojected
from clip360.models.protocol import Protocol
from clip360.scoring.embedding import embed_images
from tests.small_clips import small_clip

N, N_SHIFTS = 6, 4
PANORAMAS = torch.randint(0, 256, (N, 3, 32, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
OFFSET = torch.randint(0, 256, (N, 3, 32, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
INPUTS = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
LORA = {"rank": 2, "alpha": 4, "dropout": 0.0, "seed": 0}
OPTIMISATION = {"epochs": 2, "batch_size": 3, "lr": 1e-2, "weight_decay": 0.0, "max_grad_norm": 1.0, "seed": 0}
RUN = {"lam": 0.5, "shift_range": [0.0, 1.0], "optimisation": OPTIMISATION}
TEXTS = [f"caption {k}" for k in range(N)]  # at which an untrained model scores above 0, so that all methods learn
NAMES = {  # with what the names of the trained weights begin
    "positional_embedding": ("visual.positional_embedding",),
    "last_block": ("visual.transformer.resblocks.1.",),
    "image_tower": ("visual.",),
    "text_tower": ("transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection"),
    "linear_head": ("image_head.", "text_head."),
    "mlp_head": ("image_head.", "text_head."),
    "image_head": ("image_head.",),
    "text_head": ("text_head.",),
    "omniview": ("image_head.", "network.visual.", "network.logit_scale"),
    "distilled": ("visual.",),
    "distilled_canonical": ("visual.",),
    "distilled_periodic": ("visual.parametrizations.positional_embedding.",),
    "distilled_anti_aliased": ("visual.conv1.",),
    "distilled_adaptive": ("visual.",),
}
# Methods that replace a part: what is new begins at random, or what it replaces loses something.
BEGINS_ELSEWHERE = ("mlp_head", "distilled_periodic", "distilled_anti_aliased", "distilled_adaptive")
SQUASHED = Protocol(view="squash")  # a view that all methods can take


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """The folder of a model."""
    folder = tmp_path_factory.mktemp("models") / "base"
    small_clip(folder, layers=2, head_width=16)
    return folder


def objective_of(clip, name: str, lam: float = 0.5):
    """The objective of a method on PANORAMAS."""
    method = find_method(name)
    viewpoints = [PANORAMAS, OFFSET] if method.uses_offset else [PANORAMAS]
    panoramas = ShiftedPanoramas([images.split(4) for images in viewpoints], N, clip.preprocess)
    texts = TEXTS
    if method.perspective_views:
        panoramas.add_perspective_views(N_SHIFTS, fov=75.0)
        texts = TEXTS + [f"a photo of {text}" for text in TEXTS]
    settings = {"lam": lam, "shift_range": (0.0, 1.0), "n_shifts": N_SHIFTS, "n_worst": 2}
    return method.objective(clip, panoramas, texts, trains_text=method.trains_text, **settings)


@torch.no_grad()
def encode(clip) -> torch.Tensor:
    text_embeds = clip.network.encode_text(clip.tokenize(TEXTS), normalize=True)
    return torch.cat([clip.network.encode_image(INPUTS, normalize=True), text_embeds])


@torch.no_grad()
def encode_image(clip, image: torch.Tensor) -> torch.Tensor:
    return clip.network.encode_image(clip.preprocess(to_pil_image(image))[None], normalize=True)[0]


def batch_of(objective, items: list[Item]):
    return torch.utils.data.default_collate([objective.panoramas[item] for item in items])


@pytest.mark.parametrize("name", METHODS)
def test_a_method_starts_at_the_frozen_model_trains_its_part_and_is_saved(base, name, tmp_path):
    clip, log = load_clip(base, protocol=SQUASHED), []
    weights_before = {key: weight.clone() for key, weight in clip.network.state_dict().items()}
    frozen = encode(clip)
    objective = objective_of(clip, name)
    clip = find_method(name).attach(clip, **LORA)
    assert torch.allclose(encode(clip), frozen, atol=1e-5) == (name not in BEGINS_ELSEWHERE)
    trained = trained_weights(clip)
    assert trained and all(key.startswith(NAMES.get(name, ("",))) for key in trained)
    fine_tune(clip, objective, checkpoints=tmp_path, log=log.append, **OPTIMISATION)
    assert len(log) == 2 * 2 and all(math.isfinite(row["loss"]) for row in log)

    finetuned = encode(clip)
    assert not torch.allclose(finetuned, frozen, atol=1e-3)
    folder = tmp_path / name
    folder.mkdir()
    images = {"with_gradient": 24, "without_gradient": objective.images_without_gradient}
    save_finetuned(clip, folder, method=name, lora=LORA, images=images, **RUN)
    loaded = load_finetuned(load_clip(base, protocol=SQUASHED), folder)
    assert loaded.name == name and torch.allclose(encode(loaded), finetuned, atol=1e-5)
    network = loaded.network.network if isinstance(loaded.network, Reprojected) else loaded.network
    text_side = [
        key
        for key in weights_before
        if not key.startswith("visual.") and key in network.state_dict() and key != "logit_scale"
    ]
    if "text_tower" not in name and name != "both_towers":
        assert text_side and all(torch.equal(network.state_dict()[key], weights_before[key]) for key in text_side)

    n_trained = sum(weight.numel() for weight in trained.values())
    assert json.loads((folder / METHOD_FILE).read_text()) == RUN | {
        "model": "base",
        "method": name,
        "view": None,
        "lora": LORA,
        "trainable_parameters": n_trained,
        "images": images,
    }
    costs = training_costs(read_runs(tmp_path, [name])).loc[name]
    assert costs.to_dict() == {"trainable_parameters": n_trained} | {f"images_{key}": n for key, n in images.items()}


@pytest.mark.parametrize("name", METHODS)
def test_the_model_card_says_what_the_folder_holds(base, name, tmp_path):
    clip = find_method(name).attach(load_clip(base, protocol=SQUASHED), **LORA)
    save_finetuned(clip, tmp_path, method=name, lora=LORA, images={}, **RUN)
    (tmp_path / "README.md").unlink(missing_ok=True)  # PEFT writes a card of its own
    settings = {
        "model": "base",
        "image_set": "set",
        "n_images": N,
        "metrics": {"loss": 1},
    }
    card = model_card("run", method=name, lora=LORA, **settings, **RUN)
    assert all(f"`{file.name}`" in card for file in tmp_path.iterdir())
    assert (", in PEFT's format" in card) == (tmp_path / ADAPTER_CONFIG).is_file() == find_method(name).is_lora
    adapters = any("lora_" in key for key in trained_weights(clip))
    assert ("LoRA adapters" in card) == ("| LoRA: rank | 2 |" in card) == adapters


def test_the_worst_views_are_those_furthest_from_the_plain_mean():
    """One object has three equal views and one at a right angle; the outlier of the other is its second view."""
    x, y = torch.eye(2)
    views = torch.stack([torch.stack(pair) for pair in ((x, y), (x, -x), (x, y), (y, y))])
    anchors, is_worst = worst_views(views, 1)
    assert torch.allclose(anchors[0], F.normalize(torch.tensor([3.0, 1.0]), dim=0))
    assert torch.allclose(anchors[1], F.normalize(torch.tensor([-1.0, 3.0]), dim=0))
    assert is_worst.tolist() == [[False, False], [False, True], [False, False], [True, False]]
    assert worst_views(views, 4)[1].all()
    with pytest.raises(ValueError, match="n_worst is 5: expected between 1 and the number of views, 4"):
        worst_views(views, 5)


def test_losses_on_hand_computed_cases():
    x, y = torch.eye(2)
    embeds, anchors = torch.stack([x, y, x]), torch.stack([x, x, F.normalize(x + y, dim=0)])
    distances = [0.0, 1.0, 1 - math.sqrt(0.5)]
    assert alignment(embeds, anchors, torch.tensor([True, True, False])).item() == pytest.approx(0.5)
    assert alignment(embeds, anchors, torch.tensor([True] * 3)).item() == pytest.approx(np.mean(distances))
    assert alignment(embeds, anchors, torch.tensor([False] * 3)).item() == 0
    # Two pairs, cosines 1 and 0, scale 2: cross-entropy of softmax(2, 0) in both directions.
    expected = -math.log(math.exp(2) / (math.exp(2) + 1))
    assert contrastive(torch.eye(2), torch.eye(2), torch.tensor(2.0)).item() == pytest.approx(expected)


@pytest.mark.parametrize("clamp_at_zero", [True, False])
@pytest.mark.parametrize("name", ["lora_attention", "text_tower", "linear_head"])
def test_fine_tuning_clamps_scores_as_the_protocol_says(base, name, clamp_at_zero):
    """A network whose scores are -50 for the shifted panoramas and -90 for the others."""
    clip = load_clip(base, protocol=Protocol(clamp_at_zero=clamp_at_zero))
    objective = objective_of(clip, name)
    texts = torch.tensor([[1.0, 0.0]]).repeat(N, 1)
    shifted, others = (torch.tensor([[cos, (1 - cos**2) ** 0.5]]).repeat(N, 1) for cos in (-0.5, -0.9))
    objective.reference["texts"] = texts

    def network(images, tokens):
        return torch.cat([shifted, others]), None if tokens is None else texts, torch.tensor(1.0)

    losses = objective.losses(network, batch_of(objective, [Item(row, 0) for row in range(N)]))
    assert losses["consistency"].item() == pytest.approx(0 if clamp_at_zero else 40, abs=2e-3)


def test_the_frozen_scores_are_clamped_as_the_protocol_says(base):
    scores = {}
    for clamp_at_zero in (True, False):
        clip = load_clip(base, protocol=Protocol(clamp_at_zero=clamp_at_zero))
        with torch.no_grad():
            clip.network.visual.proj.mul_(-1)  # the texts' cosines were positive
        scores[clamp_at_zero] = objective_of(clip, "lora_attention").reference["scores"]
    assert (scores[False] < 0).any() and torch.equal(scores[True], scores[False].clamp(min=0))


@pytest.mark.parametrize("name", ["omniview", "omniview_offset", "omniview_all_views", "omniview_panoramas_only"])
def test_omniview_is_the_sum_of_its_terms_by_a_plain_loop(base, name):
    clip = load_clip(base)
    objective = objective_of(clip, name, lam=0.25)
    clip = find_method(name).attach(clip, **LORA)
    items = objective.items(clip, seed=0, epoch=0)
    assert {item.shift % 16 for item in items} == {0} and sorted(item.row for item in items) == list(range(N))
    viewpoints = [PANORAMAS, OFFSET] if name == "omniview_offset" else [PANORAMAS]
    n_worst = len(viewpoints) * N_SHIFTS if name == "omniview_all_views" else 2

    def perspective_view(row, k):
        view = perspective(PANORAMAS[row][None] / 255, yaw=90.0 * k, pitch=0.0, fov=75.0, size=32)[0]
        return (view * 255).round().byte()

    tokens = clip.tokenize(TEXTS + [f"a photo of {text}" for text in TEXTS])
    text_embeds = clip.network.encode_text(tokens, normalize=True).detach()
    aligned, images, texts = [], [], []
    for item in items:
        views = [
            encode_image(clip, circular_shift(panoramas[item.row], 16 * k))
            for panoramas in viewpoints
            for k in range(N_SHIFTS)
        ]
        anchor = F.normalize(torch.stack(views).mean(0), dim=0)
        drawn = views[item.viewpoint * N_SHIFTS + item.shift // 16]
        n_further = sum(float(view @ anchor) < float(drawn @ anchor) - 1e-6 for view in views)
        if n_further < n_worst:
            aligned.append(1 - float(drawn @ anchor))
        images.append(drawn)
        texts.append(text_embeds[item.row])
    if name != "omniview_panoramas_only":
        images += [encode_image(clip, perspective_view(item.row, item.perspective_view)) for item in items]
        texts += [text_embeds[N + item.row] for item in items]
    logits = torch.stack(images) @ torch.stack(texts).T / 0.07
    labels = torch.arange(len(images))
    image_text = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)).item() / 2

    losses = objective.losses(clip.network, batch_of(objective, items))
    assert losses["contrastive"].item() == pytest.approx(image_text, rel=1e-4)
    assert losses["alignment"].item() == pytest.approx(np.mean(aligned) if aligned else 0, abs=1e-5)
    assert losses["loss"].item() == pytest.approx(image_text + 0.25 * losses["alignment"].item(), rel=1e-4)


def test_the_distilled_mean_by_a_plain_loop(base):
    clip = load_clip(base)
    objective = objective_of(clip, "distilled", lam=0.75)
    items = objective.items(clip, seed=0, epoch=0)
    assert [item.perspective_view is None for item in items] == [True, False] * (N // 2)
    items = [Item(0, 5, 0, 1), Item(4, 33), Item(2, 17)]
    to_teacher, to_panorama = [], []
    for item in items:
        panorama = PANORAMAS[item.row]
        teacher = sum(encode_image(clip, circular_shift(panorama, 16 * k)) for k in range(N_SHIFTS))
        shifted = encode_image(clip, circular_shift(panorama, item.shift))
        to_teacher.append(1 - F.cosine_similarity(shifted, teacher, dim=0).item())
        if item.perspective_view is None:
            to_panorama.append(1 - F.cosine_similarity(shifted, encode_image(clip, panorama), dim=0).item())
    losses = objective.losses(clip.network, batch_of(objective, items))
    assert losses["teacher"].item() == pytest.approx(np.mean(to_teacher), abs=1e-5)
    assert losses["consistency"].item() == pytest.approx(np.mean(to_panorama), abs=1e-5)
    assert losses["anchor"].item() == pytest.approx(0, abs=1e-5)  # the model is still the frozen one
    expected = 0.75 * np.mean(to_panorama) + 0.25 * np.mean(to_teacher)
    assert losses["loss"].item() == pytest.approx(expected, abs=1e-5)
    with torch.no_grad():
        clip.network.visual.proj.neg_()  # a model whose image embeddings are all opposite to the frozen ones
    losses = objective.losses(clip.network, batch_of(objective, [Item(1, 0, 0, 2)]))
    assert losses["anchor"].item() == pytest.approx(2, abs=1e-5) and losses["consistency"].item() == 0


def test_without_consistency_every_item_anchors_a_perspective_view(base):
    clip = load_clip(base)
    objective = objective_of(clip, "distilled_canonical", lam=0.0)
    items = objective.items(clip, seed=0, epoch=0)
    assert all(item.perspective_view is not None for item in items) and sorted(item.row for item in items) == [
        *range(N)
    ]
    losses = objective.losses(clip.network, batch_of(objective, items))
    assert losses["loss"].item() == pytest.approx(losses["teacher"].item() + losses["anchor"].item())
    assert losses["teacher"] > 0


def test_an_adaptive_tower_gives_every_shift_by_pixels_one_embedding_after_training_too(base, tmp_path):
    clip = load_clip(base, protocol=SQUASHED)
    objective = objective_of(clip, "distilled_adaptive")
    clip = find_method("distilled_adaptive").attach(clip, **LORA)
    fine_tune(clip, objective, checkpoints=tmp_path, log=lambda row: None, **OPTIMISATION)
    for pixels in (1, 5, 8, 19):
        with torch.no_grad():
            shifted = clip.network.encode_image(INPUTS.roll(pixels, dims=-1), normalize=True)
        assert torch.allclose(shifted, encode(clip)[: len(INPUTS)], atol=1e-5), pixels
    with pytest.raises(
        ValueError, match="the adaptive tokenisation joins the left edge to the right one, but the view"
    ):
        find_method("distilled_adaptive").attach(load_clip(base), **LORA)


@pytest.mark.parametrize(
    "changes", [{"view": "squash"}, {"view": "squash", "resize": "tensor"}, {"view": "center_crop"}]
)
def test_at_its_canonical_yaw_a_panorama_has_one_embedding_and_other_images_keep_theirs(base, changes, tmp_path):
    clip = find_method("distilled_canonical").attach(load_clip(base, protocol=Protocol(**changes)), **LORA)
    save_finetuned(clip, tmp_path, method="distilled_canonical", lora=LORA, images={}, **RUN)
    loaded = load_finetuned(load_clip(base, protocol=Protocol(**changes)), tmp_path)
    views = {
        0: Shift(0.0),
        1: Shift(3 / 64),
        2: Shift(0.5),
        "crop": perspective_view(yaw=9.0, pitch=0.0, fov=75.0, size=32),
    }
    frozen, canonical = (
        embed_images(x, [PANORAMAS], views, total=N) for x in (load_clip(base, protocol=Protocol(**changes)), loaded)
    )
    assert torch.equal(canonical[1], canonical[0]) and torch.equal(canonical[2], canonical[0])
    assert not torch.allclose(frozen[2], frozen[0], atol=1e-3)
    assert torch.equal(canonical["crop"], frozen["crop"])
    expected = embed_images(
        load_clip(base, protocol=Protocol(**changes)), [at_canonical_yaw(PANORAMAS)], {0: Shift(0.0)}, total=N
    )
    assert torch.allclose(canonical[0], expected[0], atol=1e-6)


def test_the_distance_travelled_is_that_between_weights(base, tmp_path):
    """By the released targets: the weights of one module change, and the merged network is an ordinary one."""
    clip = find_method("lora_as_released").attach(load_clip(base), **LORA)
    with torch.no_grad():
        for weight in trained_weights(clip).values():
            weight.normal_(std=0.1)
    folder = tmp_path / "run"
    folder.mkdir()
    save_finetuned(clip, folder, method="lora_as_released", lora=LORA, images={}, **RUN)
    before, after = load_clip(base).network.state_dict(), load_finetuned(load_clip(base), folder).network.state_dict()
    squares = {key: float((after[key] - before[key]).square().sum()) for key in before if "c_fc.weight" in key}
    table = distances(tmp_path, ["run"])
    norms = update_norms(folder)
    assert norms["c_fc"] == pytest.approx(math.sqrt(sum(squares.values())), rel=1e-4)
    assert table.distance["run"] == pytest.approx(math.sqrt((norms**2).sum()))
    assert table.loc["run", ["lr", "epochs"]].tolist() == [OPTIMISATION["lr"], OPTIMISATION["epochs"]]


def test_a_closed_gate_is_the_identity_and_opens():
    torch.manual_seed(0)
    gate, embeds = Gate(16), torch.randn(5, 16)
    assert torch.equal(gate(embeds), embeds)
    gate(embeds).square().sum().backward()
    assert gate.gate.grad.abs() > 0
    gate.gate.data.fill_(1.0)
    assert torch.allclose(gate(embeds), embeds + gate.layers(embeds[:, None])[:, 0])


def test_runs_are_read_as_they_were_trained(base, tmp_path):
    for name, view in (("first", None), ("second", "squash")):
        (tmp_path / name).mkdir()
        clip = find_method("image_head").attach(load_clip(base), **LORA)
        save_finetuned(clip, tmp_path / name, method="image_head", view=view, lora=LORA, images={}, **RUN)
    runs = read_runs(tmp_path, ["second", "first"])
    assert list(runs) == ["second", "first"] and runs["second"]["view"] == "squash" and "view" not in runs["first"]
    assert runs["first"].items() >= {"model": "base", "method": "image_head", **RUN}.items()


def test_faults_are_reported_in_one_sentence(base, tmp_path):
    with pytest.raises(ValueError, match="method is 'magic': expected one of lora_as_released, lora_attention, posit"):
        find_method("magic")
    with pytest.raises(FileNotFoundError, match="holds neither adapter_config.json nor method.json"):
        load_finetuned(load_clip(base), tmp_path)
    with pytest.raises(FileNotFoundError, match="method.json does not exist: run the stage that fine-tunes absent"):
        read_runs(tmp_path, ["absent"])
    with pytest.raises(FileNotFoundError, match="holds no training log: run the stage that fine-tunes "):
        read_log(tmp_path)
    with pytest.raises(FileNotFoundError, match="adapter_config.json does not exist: expected an adapter in PEFT's"):
        update_norms(tmp_path)
    (tmp_path / METHOD_FILE).write_text("[]")
    with pytest.raises(ValueError, match="is no JSON object: run the stage that fine-tunes .* again"):
        read_runs(tmp_path.parent, [tmp_path.name])
    clip = find_method("image_head").attach(load_clip(base), **LORA)
    save_finetuned(clip, tmp_path, method="image_head", lora=LORA, images={}, **RUN)
    narrow = small_clip(tmp_path / "narrow", embed_dim=16)
    with pytest.raises(ValueError, match="does not fit the model narrow"):
        load_finetuned(narrow, tmp_path)
