"""What models can do: crops, zero-shot answers, ranks and changes against loops, scikit-learn and known answers."""

import random
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score

from clip360.data.prompts import prompt
from clip360.evaluation.capabilities import (
    Examinee,
    embed_questions,
    finding,
    knowing_again,
    naming,
    telling_apart,
    wordings,
)
from clip360.evaluation.classification import presence
from clip360.evaluation.matching import probe
from clip360.geometry.crops import crops
from clip360.geometry.panorama import perspective
from clip360.names import CROP, PANORAMA, PERSPECTIVE
from clip360.stats.capabilities import ability_changes, levels, naming_table
from clip360.world.attribute_questions import SUBSETS, ask, asked_things
from clip360.world.scene import sample_scenes
from clip360.world.vocabulary import COLOURS, SHAPES
from tests.small_clips import small_clip

CUES = {PANORAMA: ["360 panorama", "360 photo"], PERSPECTIVE: ["photo", "image"], CROP: ["photo", "image"]}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return small_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def scenes():
    return list(islice(sample_scenes(5, "probe"), 40))


@pytest.fixture(scope="module")
def seen(clip, scenes):
    generator = torch.Generator().manual_seed(0)
    width = clip.network.text_projection.shape[1]
    return {view: F.normalize(torch.randn(len(scenes), width, generator=generator), dim=-1) for view in CUES}


def unit_text(clip, text: str) -> torch.Tensor:
    with torch.no_grad():
        return F.normalize(clip.network.encode_text(clip.tokenize([text]))[0], dim=-1)


def test_a_crop_shows_what_lies_in_its_direction():
    """A bright meridian at yaw -100 is in the middle of the crop that looks there, and in no other."""
    panorama = torch.zeros(1, 3, 64, 128, dtype=torch.uint8)
    panorama[..., round((180 - 100) / 360 * 128)] = 255
    (cut,) = crops([panorama], [[-100.0, 60.0]], pitch=-10.0, fov=60.0, size=33)
    assert cut.shape == (2, 3, 33, 33) and cut[1].max() == 0
    assert abs(int(cut[0].float().mean((0, 1)).argmax()) - 16) <= 1


def test_crops_are_the_views_of_a_loop():
    panoramas = torch.randint(256, (5, 3, 32, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    directions = [[10.0], [-170.0, 30.0], [], [77.0], [0.0, 1.0, 2.0]]
    directions[2] = [180.0]
    ours = torch.cat(list(crops(panoramas.split(2), directions, pitch=5.0, fov=70.0, size=16)))
    loop = [
        (perspective(panorama.float() / 255, yaw=yaw, pitch=5.0, fov=70.0, size=16) * 255).round().byte()
        for panorama, yaws in zip(panoramas, directions, strict=True)
        for yaw in yaws
    ]
    assert torch.equal(ours, torch.stack(loop))


def test_presence_is_the_area_under_the_roc_curve():
    rng = np.random.default_rng(0)
    scores, present = rng.integers(0, 5, (50, 8)) / 4, rng.random((50, 8)) < 0.5
    present[:, 0], present[:, 1] = True, False  # some of each
    ours = presence(torch.tensor(scores, dtype=torch.float), torch.tensor(present))
    assert ours.tolist() == pytest.approx([roc_auc_score(p, s) for p, s in zip(present, scores, strict=True)])


def test_zero_shot_answers_are_those_of_a_loop(clip, scenes, seen):
    things = asked_things(scenes, seed=0)
    who = Examinee(clip, "made", [f"{k}.png" for k in range(len(scenes))])
    table = naming(who, seen, scenes, things, CUES)
    found = table[(table["view"] == CROP) & (table.ability == "colour") & (table.measure == "rank")]
    for k, row in enumerate(found.itertuples()):
        thing = scenes[k].things[things[k]]
        prompts = [[unit_text(clip, prompt(cue, f"a {c} {thing.shape}")) for cue in CUES[CROP]] for c in COLOURS]
        scores = torch.stack([F.normalize(sum(both), dim=0) @ seen[CROP][k] for both in prompts])
        assert row.label == thing.colour
        assert row.value == (scores >= scores[list(COLOURS).index(thing.colour)] - 1e-6).sum()
    held = table[(table.ability == "presence")]
    assert held["view"].unique() == [PANORAMA] and held.value.between(0, 1).all()
    named = naming_table(table).set_index(["view", "task"])
    assert named.loc[(CROP, "colour"), "top1"] == pytest.approx((found.value == 1).mean())
    assert named.loc[(CROP, "shape"), "chance"] == 1 / len(SHAPES)


def test_questions_are_ranked_as_by_a_loop(clip, scenes, seen):
    things = asked_things(scenes, seed=0)
    read = embed_questions(clip, scenes, things, "photo", seed=3)
    who = Examinee(clip, "made", [f"{k}.png" for k in range(len(scenes))])
    table = telling_apart(who, {CROP: seen[CROP]}, read)
    assert set(table.label) == set(SUBSETS)
    for question, rank in zip(ask(scenes, things, "hard", seed=3), table[table.label == "hard"].value, strict=True):
        scores = [
            float(unit_text(clip, prompt("photo", text)) @ seen[CROP][question.picture]) for text in question.captions
        ]
        assert rank == sum(score >= scores[0] - 1e-6 for score in scores)


def test_retrieval_by_several_captions_and_turns(clip, scenes):
    """Embeddings of pictures that are those of their first captions: all are found, and stay first unless turned away."""
    captions = wordings(scenes, [f"a text of its own, number {k}" for k in range(len(scenes))], count=3, seed=0)
    assert all(len(several) == 3 and several[0].endswith(str(k)) for k, several in enumerate(captions))
    assert wordings(None, ["a", "b"], count=3, seed=0) == [["a"], ["b"]]
    own = torch.stack([unit_text(clip, prompt("360 photo", several[0])) for several in captions])
    cues = {PANORAMA: ["360 photo"] * len(scenes)}
    who = Examinee(clip, "made", [f"{k}.png" for k in range(len(scenes))])
    table = finding(who, {PANORAMA: own}, captions, cues, {0.0: own, 90.0: torch.cat([own[:1], own[1:].flip(0)])})
    assert (table[table.ability == "image_to_text"].value == 1).all()
    assert table[table.ability == "comes_first"].value.all()
    stays = table[table.ability == "stays_first"].value.tolist()
    assert stays[0] == 1 and sum(stays[1:]) == (len(scenes) - 1) % 2
    one = table[(table.ability == "text_to_image") & (table.label == "wording 1")]
    assert len(one) == len(scenes) and (one.value == 1).all()


def test_what_is_seen_from_elsewhere_is_compared_with_where_it_began(clip, seen):
    who = Examinee(clip, "made", ["0.png", "1.png"])
    here, there = seen[PANORAMA][:2], seen[CROP][:2]
    table = knowing_again(who, PANORAMA, "moved", {0.0: here, 0.5: there}, None, "photo")
    assert table[table["at"] == 0.0].value.tolist() == pytest.approx([1.0, 1.0], abs=1e-6)
    assert table[table["at"] == 0.5].value.tolist() == pytest.approx((here * there).sum(-1).tolist())


def test_a_probe_finds_what_is_there_and_guesses_what_is_not():
    rng = random.Random(0)
    labels, asked = ([rng.choice("abcd") for _ in range(n)] for n in (600, 200))
    noise = torch.Generator().manual_seed(0)

    def pictures(values: list[str]) -> torch.Tensor:
        kind = F.one_hot(torch.tensor(["abcd".index(x) for x in values]), 4).float()
        return F.normalize(torch.cat([kind, torch.randn(len(values), 8, generator=noise)], 1), dim=-1)

    found = probe(pictures(labels), labels, pictures(asked), validation=100)
    assert np.mean([a == b for a, b in zip(found, asked, strict=True)]) > 0.6
    unrelated = probe(pictures(labels)[:, 4:], labels, pictures(asked)[:, 4:], validation=100)
    assert np.mean([a == b for a, b in zip(unrelated, asked, strict=True)]) < 0.4


def rows(
    model: str, ability: str, measure: str, values: list[float], *, at: float = np.nan, label: str = ""
) -> pd.DataFrame:
    keys = {"model": model, "image_set": "made", "image": ["0.png", "1.png"], "view": PANORAMA, "ability": ability}
    return pd.DataFrame(keys | {"label": label, "measure": measure, "at": at, "value": values})


def test_levels_and_changes_by_hand():
    def examined(model: str, ranks: list[float], hard: list[float], far: list[float]) -> pd.DataFrame:
        return pd.concat(
            [
                rows(model, "setting", "rank", ranks),
                rows(model, "setting", "confidence", [0.5, 0.5]),
                rows(model, "attributes", "rank", hard, label="hard"),
                rows(model, "attributes", "rank", [1.0, 4.0], label="pattern"),
                rows(model, "moved", "agreement", [1.0, 1.0], at=0.0),
                rows(model, "moved", "agreement", [0.9, 0.9], at=0.5),
                rows(model, "moved", "agreement", far, at=1.0),
            ]
        )

    frozen, tuned = examined("base", [1, 2], [6, 6], [0.5, 0.7]), examined("run", [1, 1], [1, 11], [0.6, 0.9])
    level = levels(frozen)
    assert level["base", "setting", PANORAMA].tolist() == [1.0, 0.0]
    assert level["base", "attributes", PANORAMA].tolist() == [
        (0 + 1) / 2,
        (0 - 1) / 2,
    ]  # 6 of 11 is chance, 4 of 4 the worst
    assert level["base", "moved", PANORAMA].tolist() == [0.5, 0.7]
    runs = {"run": {"model": "base", "strategy": "attention", "weight": 0.5, "shifts": [0.0, 1.0]}}
    changes = ability_changes(frozen, tuned, runs, seed=0, draws=200).set_index("ability")
    assert changes.index.tolist() == ["setting", "attributes", "moved"]
    assert changes.change.tolist() == pytest.approx([0.5, 0.0, 0.15])
    assert changes.loc["setting", ["frozen", "tuned", "change_low", "change_high"]].tolist() == [0.5, 1.0, 0.0, 1.0]
