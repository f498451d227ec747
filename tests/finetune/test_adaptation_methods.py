"""Every road to invariance against its specification: losses by hand, what is trained, what an average is."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.functional import to_pil_image

from clip360.data.image_set import Picture, load_image_set, write_image_set
from clip360.evaluation.tradeoff import average, tradeoff_views
from clip360.finetune.data import Item, ShiftedPanoramas
from clip360.finetune.loop import fine_tune
from clip360.finetune.losses import alignment, contrastive, worst_views
from clip360.finetune.methods import STRATEGIES, find_strategy, load_tuned, save_tuned, trained
from clip360.geometry.panorama import circular_shift, mirror, perspective
from clip360.models.clip import load_clip
from clip360.models.heads import Gate, Reprojected
from clip360.scoring.shifts import curve, embed_distinct
from clip360.stats.adaptation_methods import best_of_families, choose, dominates, over_worlds, readme_roads, road_table
from tests.small_clips import small_clip

N, VIEWS = 6, 4
PANORAMAS = torch.randint(0, 256, (N, 3, 32, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
MOVED = torch.randint(0, 256, (N, 3, 32, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
INPUTS = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
ADAPTER = {"rank": 2, "alpha": 4, "dropout": 0.0, "seed": 0}
RECIPE = {"epochs": 2, "batch": 3, "rate": 1e-2, "weight_decay": 0.0, "clip_norm": 1.0, "seed": 0}
TEXTS = [f"thing {k}" for k in range(N)]
TRAINED = {  # what the names of trained weights have in common
    "positions": ("visual.positional_embedding",),
    "last_block": ("visual.transformer.resblocks.1.",),
    "image_tower": ("visual.",),
    "text_tower": ("transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection"),
    "linear_head": ("image_head.", "text_head."),
    "mlp_head": ("image_head.", "text_head."),
    "image_head": ("image_head.",),
    "text_head": ("text_head.",),
    "omniview": ("image_head.", "network.visual.", "network.logit_scale"),
    "distilled": ("visual.",),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "base"
    small_clip(folder, layers=2, head_width=16)
    return folder


def objective_of(clip, name: str, weight: float = 0.5):
    strategy = find_strategy(name)
    sets = [PANORAMAS, MOVED] if strategy.moved else [PANORAMAS]
    panoramas = ShiftedPanoramas([x.split(4) for x in sets], N, clip.preprocess)
    texts = TEXTS
    if strategy.photographs:
        panoramas.take_photographs(VIEWS, fov=75.0)
        texts = TEXTS + [f"a photo of {text}" for text in TEXTS]
    settings = {"weight": weight, "shifts": (0.0, 1.0), "views": VIEWS, "worst": 2}
    return strategy.objective(clip, panoramas, texts, reads=strategy.reads, **settings)


@torch.no_grad()
def encode(clip) -> torch.Tensor:
    read = clip.network.encode_text(clip.tokenize(TEXTS), normalize=True)
    return torch.cat([clip.network.encode_image(INPUTS, normalize=True), read])


def batch_of(objective, items: list[Item]):
    return torch.utils.data.default_collate([objective.panoramas[item] for item in items])


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_begins_as_it_was_trains_its_part_and_is_kept(base, name, tmp_path):
    clip, log = load_clip(base), []
    before = {key: weight.clone() for key, weight in clip.network.state_dict().items()}
    plain = encode(clip)
    objective = objective_of(clip, name)
    clip = find_strategy(name).attach(clip, **ADAPTER)
    if name != "mlp_head":  # whose hidden layer is drawn
        assert torch.allclose(encode(clip), plain, atol=1e-5)
    names = trained(clip).keys()
    assert names and all(key.startswith(TRAINED.get(name, ("",))) for key in names)
    fine_tune(clip, objective, checkpoints=tmp_path, log=log.append, **RECIPE)
    assert len(log) == 2 * 2 and all(math.isfinite(row["loss"]) for row in log)

    learned = encode(clip)
    assert not torch.allclose(learned, plain, atol=1e-3)
    kept = tmp_path / name
    kept.mkdir()
    save_tuned(clip, kept, name, adapter=ADAPTER, passes={"with gradient": 24, "without": objective.looks})
    loaded = load_tuned(load_clip(base), kept)
    assert loaded.name == name and torch.allclose(encode(loaded), learned, atol=1e-5)
    network = loaded.network.network if isinstance(loaded.network, Reprojected) else loaded.network
    untouched = [
        key for key in before if not key.startswith("visual.") and key in network.state_dict() and key != "logit_scale"
    ]
    if "text_tower" not in name and name != "both_towers":
        assert untouched and all(torch.equal(network.state_dict()[key], before[key]) for key in untouched)


def test_the_worst_views_are_those_furthest_from_the_plain_mean():
    """One object, four views: three alike, one at a right angle; the other object's outlier is its second view."""
    x, y = torch.eye(2)
    views = torch.stack([torch.stack(pair) for pair in ((x, y), (x, -x), (x, y), (y, y))])
    anchors, chosen = worst_views(views, 1)
    assert torch.allclose(anchors[0], F.normalize(torch.tensor([3.0, 1.0]), dim=0))
    assert torch.allclose(anchors[1], F.normalize(torch.tensor([-1.0, 3.0]), dim=0))
    assert chosen.tolist() == [[False, False], [False, True], [False, False], [True, False]]
    assert worst_views(views, 4)[1].all()
    with pytest.raises(ValueError, match="worst is 5: expected between 1 and the number of views, 4"):
        worst_views(views, 5)


def test_losses_on_hand_computed_cases():
    x, y = torch.eye(2)
    seen, anchors = torch.stack([x, y, x]), torch.stack([x, x, F.normalize(x + y, dim=0)])
    distances = [0.0, 1.0, 1 - math.sqrt(0.5)]
    assert alignment(seen, anchors, torch.tensor([True, True, False])).item() == pytest.approx(0.5)
    assert alignment(seen, anchors, torch.tensor([True] * 3)).item() == pytest.approx(np.mean(distances))
    assert alignment(seen, anchors, torch.tensor([False] * 3)).item() == 0
    # Two pairs, cosines 1 and 0, scale 2: cross-entropy of softmax(2, 0) in both directions.
    expected = -math.log(math.exp(2) / (math.exp(2) + 1))
    assert contrastive(torch.eye(2), torch.eye(2), torch.tensor(2.0)).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", ["omniview", "omniview_moved", "omniview_all_views", "omniview_panoramas_only"])
def test_omniview_is_the_sum_of_its_parts_by_a_plain_loop(base, name):
    clip = load_clip(base)
    objective = objective_of(clip, name, weight=0.25)
    clip = find_strategy(name).attach(clip, **ADAPTER)
    items = objective.items(clip, seed=0, epoch=0)
    assert {item.delta % 16 for item in items} == {0} and sorted(item.row for item in items) == list(range(N))
    sets = [PANORAMAS, MOVED] if name == "omniview_moved" else [PANORAMAS]
    worst = len(sets) * VIEWS if name == "omniview_all_views" else 2

    @torch.no_grad()
    def see(picture):
        return clip.network.encode_image(clip.preprocess(to_pil_image(picture))[None], normalize=True)[0]

    def photograph(row, k):
        view = perspective(PANORAMAS[row][None] / 255, yaw=90.0 * k, pitch=0.0, fov=75.0, size=32)[0]
        return (view * 255).round().byte()

    read = clip.network.encode_text(clip.tokenize(TEXTS + [f"a photo of {t}" for t in TEXTS]), normalize=True).detach()
    aligned, images, texts = [], [], []
    for item in items:
        views = [see(circular_shift(x[item.row], 16 * k)) for x in sets for k in range(VIEWS)]
        anchor = F.normalize(torch.stack(views).mean(0), dim=0)
        mine = item.viewpoint * VIEWS + item.delta // 16
        further = sum(float(view @ anchor) < float(views[mine] @ anchor) - 1e-6 for view in views)
        if further < worst:
            aligned.append(1 - float(views[mine] @ anchor))
        images.append(views[mine])
        texts.append(read[item.row])
    if name != "omniview_panoramas_only":
        images += [see(photograph(item.row, item.photograph)) for item in items]
        texts += [read[N + item.row] for item in items]
    logits = torch.stack(images) @ torch.stack(texts).T / 0.07
    labels = torch.arange(len(images))
    itc = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)).item() / 2

    losses = objective.losses(clip.network, batch_of(objective, items))
    assert losses["contrastive"].item() == pytest.approx(itc, rel=1e-4)
    assert losses["alignment"].item() == pytest.approx(np.mean(aligned) if aligned else 0, abs=1e-5)
    assert losses["loss"].item() == pytest.approx(itc + 0.25 * losses["alignment"].item(), rel=1e-4)


def test_the_distilled_mean_by_a_plain_loop(base):
    clip = load_clip(base)
    objective = objective_of(clip, "distilled", weight=0.75)

    @torch.no_grad()
    def see(picture):
        return clip.network.encode_image(clip.preprocess(to_pil_image(picture))[None], normalize=True)[0]

    drawn = objective.items(clip, seed=0, epoch=0)
    assert [item.photograph is None for item in drawn] == [True, False] * (N // 2)
    items = [Item(0, 5, 0, 1), Item(4, 33), Item(2, 17)]
    distances, changes = [], []
    for item in items:
        teacher = sum(see(circular_shift(PANORAMAS[item.row], 16 * k)) for k in range(VIEWS))
        shifted = see(circular_shift(PANORAMAS[item.row], item.delta))
        distances.append(1 - F.cosine_similarity(shifted, teacher, dim=0).item())
        if item.photograph is None:
            changes.append(1 - F.cosine_similarity(shifted, see(PANORAMAS[item.row]), dim=0).item())
    losses = objective.losses(clip.network, batch_of(objective, items))
    assert losses["teacher"].item() == pytest.approx(np.mean(distances), abs=1e-5)
    assert losses["consistency"].item() == pytest.approx(np.mean(changes), abs=1e-5)
    assert losses["anchor"].item() == pytest.approx(0, abs=1e-5)  # the frozen model is what it was
    assert losses["loss"].item() == pytest.approx(0.75 * np.mean(changes) + 0.25 * np.mean(distances), abs=1e-5)
    with torch.no_grad():
        clip.network.visual.proj.neg_()  # a model that sees all photographs the other way round
    photograph = objective.losses(clip.network, batch_of(objective, [Item(1, 0, 0, 2)]))
    assert photograph["anchor"].item() == pytest.approx(2, abs=1e-5) and photograph["consistency"].item() == 0


def test_a_closed_gate_is_the_identity_and_opens():
    torch.manual_seed(0)
    gate, seen = Gate(16), torch.randn(5, 16)
    assert torch.equal(gate(seen), seen)
    gate(seen).square().sum().backward()
    assert gate.gate.grad.abs() > 0
    gate.gate.data.fill_(1.0)
    assert torch.allclose(gate(seen), seen + gate.layers(seen[:, None])[:, 0])


def test_an_average_is_invariant_under_its_shifts_and_equals_a_plain_mean(tmp_path):
    clip = small_clip(tmp_path / "small")
    write_image_set(
        tmp_path / "set", (Picture(f"{k}.jpg", x, f"thing {k}", "360 photo") for k, x in enumerate(PANORAMAS))
    )
    pictures = load_image_set(tmp_path / "set")
    views = tradeoff_views(clip, curve(8), control=lambda x: x[..., 16:48], mirrored=True)
    single = embed_distinct(clip, pictures, views, batch=4)
    seen = average(single, turns=4, steps=8)
    for step in (0, 1, 5):
        assert torch.allclose(seen["shift", step / 8], seen["shift", (step + 2) % 8 / 8], atol=1e-6)
    assert torch.equal(seen["perspective"], single["perspective"])

    stored = torch.cat(list(pictures.batches(4)))

    @torch.no_grad()
    def see(panoramas):
        inputs = torch.stack([clip.preprocess(to_pil_image(x)) for x in panoramas])
        return clip.network.encode_image(inputs, normalize=True)

    for key, start in ((("shift", 0.125), circular_shift(stored, 8)), (("mirror", 0.0), mirror(stored))):
        mean = torch.stack([see(circular_shift(start, 16 * k)) for k in range(4)]).mean(0)
        assert torch.allclose(seen[key], F.normalize(mean, dim=-1), atol=1e-5)
    with pytest.raises(ValueError, match="turns is 3: expected a divisor of the 8 shifts"):
        average(single, turns=3, steps=8)


def landings() -> pd.DataFrame:
    """Two roads with two runs each, one of which is stable but lost; and a third that is best."""
    rows = []
    for model, strategy, ratio, recall in (
        ("a1", "attention", 0.5, -0.01),
        ("a2", "attention", 0.1, -0.30),
        ("b1", "image_tower", 0.6, -0.20),
        ("b2", "image_tower", 0.7, -0.10),
        ("d", "distilled", 0.2, 0.0),
    ):
        for role, shift in (("validation", 0.0), ("test", 0.1), ("test", 0.3), ("training", 9.0)):
            rows.append(
                {"model": model, "base": "m", "strategy": strategy, "weight": 0.5, "shifts_drawn": "0-1", "role": role}
                | {"ratio": ratio + shift, "recall_change": recall, "recall_change_perspective": recall}
                | {"likeness": 0.5, "likeness_frozen": 0.25, "score_change": 0.0, "stable": 1.0}
            )
    return pd.DataFrame(rows)


def test_runs_are_chosen_by_validation_alone_and_roads_averaged_over_worlds():
    table = landings()
    assert choose(table, tolerance=0.02).to_dict() == {"attention": "a1", "image_tower": "b2", "distilled": "d"}
    costs = pd.DataFrame({"passes": 1, "trainable": 10}, index=["a1", "a2", "b1", "b2", "d"])
    one = road_table(table, costs, base="m", tolerance=0.02)
    assert len(one) == 10 and one.chosen.sum() == 6 and one.family.iloc[-1] == "distilled mean"
    two = one.assign(ratio=one.ratio + 0.2)
    found = over_worlds([one, two]).set_index("strategy")
    assert found.loc["attention", ["ratio_low", "ratio", "ratio_high"]].tolist() == pytest.approx([0.7, 0.8, 0.9])
    assert found.likeness_change.tolist() == pytest.approx([0.25] * 3) and found.worlds.tolist() == [2, 2, 2]
    signs = {"ratio": -1, "recall_change": 1}
    beaten = dominates(found.reset_index(), "distilled", ["attention", "image_tower"], signs)
    assert beaten.to_dict() == {"attention": True, "image_tower": True}
    assert not dominates(found.reset_index(), "attention", ["distilled"], signs).any()
    with pytest.raises(ValueError, match="no panoramas were set aside"):
        choose(table[table.role == "test"], tolerance=0.02)


def test_faults_are_told_in_one_sentence(base, tmp_path):
    with pytest.raises(ValueError, match="strategy is 'magic': expected one of released, attention, positions"):
        find_strategy("magic")
    with pytest.raises(FileNotFoundError, match="holds neither adapter_config.json nor strategy.json"):
        load_tuned(load_clip(base), tmp_path)
    clip = find_strategy("image_head").attach(load_clip(base), **ADAPTER)
    save_tuned(clip, tmp_path, "image_head", adapter=ADAPTER, passes={})
    wide = small_clip(tmp_path / "wide", embed_dim=16)
    with pytest.raises(ValueError, match="does not fit the model wide"):
        load_tuned(wide, tmp_path)


def test_the_best_of_a_family_keeps_its_recall_if_any_does():
    rows = [
        ("LoRA", "a", 0.1, -0.10, -0.10),
        ("LoRA", "b", 0.5, -0.01, 0.00),
        ("LoRA", "c", 0.4, 0.10, -0.13),
        ("heads", "d", 0.2, -0.30, -0.10),
        ("heads", "e", 0.9, -0.10, -0.10),
    ]
    table = pd.DataFrame(rows, columns=["family", "strategy", "ratio", "recall_change", "recall_change_perspective"])
    best = best_of_families(table, tolerance=0.02)
    assert best.strategy.tolist() == ["c", "e"]
    ends = {f"{name}{end}": table[name] for name in table.columns[2:] for end in ("_low", "_high")}
    words = readme_roads(best.assign(weights="0.5", passes=1.0, **ends))
    assert words["R@1, panoramas"].tolist() == ["+0.10 [+0.10, +0.10]", "-0.10 [-0.10, -0.10]"]
