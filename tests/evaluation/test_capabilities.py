"""Capabilities of a model against plain loops over its images and texts."""

from itertools import islice

import pytest
import torch
import torch.nn.functional as F

from clip360.data.prompts import prompt
from clip360.evaluation.capabilities import (
    Evaluation,
    captions_of,
    embed_questions,
    fine_grained_discrimination,
    matching,
    retrieval,
    viewpoint_consistency,
    zero_shot_classification,
)
from clip360.evaluation.matching import new_matcher
from clip360.names import CROP, PANORAMA, PERSPECTIVE
from clip360.world.attribute_questions import SUBSETS, ask, choose_objects
from clip360.world.scene import sample_scenes
from clip360.world.vocabulary import COLOURS
from tests.small_clips import small_clip

CUES = {PANORAMA: ["360 panorama", "360 photo"], PERSPECTIVE: ["photo", "image"], CROP: ["photo", "image"]}
COLUMNS = ["model", "image_set", "image", "measure", "condition", "level", "view", "value", "task", "label"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return small_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def scenes():
    return list(islice(sample_scenes(5, "probe"), 40))


@pytest.fixture(scope="module")
def image_embeds(clip, scenes):
    generator = torch.Generator().manual_seed(0)
    width = clip.network.text_projection.shape[1]
    return {view: F.normalize(torch.randn(len(scenes), width, generator=generator), dim=-1) for view in CUES}


def evaluation_of(clip, n: int) -> Evaluation:
    return Evaluation(clip, "made", [f"{k}.png" for k in range(n)])


def embed_text(clip, text: str) -> torch.Tensor:
    with torch.no_grad():
        return F.normalize(clip.network.encode_text(clip.tokenize([text]))[0], dim=-1)


def test_zero_shot_ranks_are_those_of_a_loop(clip, scenes, image_embeds):
    indices = choose_objects(scenes, seed=0)
    table = zero_shot_classification(evaluation_of(clip, len(scenes)), image_embeds, scenes, indices, CUES)
    assert table.columns.tolist() == COLUMNS and table.value.dtype == float and table.level.isna().all()
    on_crops = table[(table["view"] == CROP) & (table.task == "colour") & (table.measure == "rank")]
    for k, row in enumerate(on_crops.itertuples()):
        target = scenes[k].objects[indices[k]]
        prompts = [[embed_text(clip, prompt(cue, f"a {c} {target.shape}")) for cue in CUES[CROP]] for c in COLOURS]
        scores = torch.stack([F.normalize(sum(both), dim=0) @ image_embeds[CROP][k] for both in prompts])
        assert row.label == target.colour
        assert row.value == (scores >= scores[list(COLOURS).index(target.colour)] - 1e-6).sum()
    assert set(table[table.task == "scene_category"]["view"]) == {PANORAMA, PERSPECTIVE}
    presence = table[table.task == "presence"]
    assert presence["view"].unique() == [PANORAMA] and presence.value.dropna().between(0, 1).all()


def test_questions_are_ranked_as_by_a_loop(clip, scenes, image_embeds):
    indices = choose_objects(scenes, seed=0)
    question_embeds = embed_questions(clip, scenes, indices, "photo", seed=3)
    evaluation = evaluation_of(clip, len(scenes))
    table = fine_grained_discrimination(evaluation, {CROP: image_embeds[CROP]}, question_embeds)
    assert set(table.label) == set(SUBSETS)
    questions, ranks = ask(scenes, indices, "hard", seed=3), table[table.label == "hard"].value
    for image_embed, captions, rank in zip(image_embeds[CROP], questions, ranks, strict=True):
        scores = [float(embed_text(clip, prompt("photo", caption)) @ image_embed) for caption in captions]
        assert rank == sum(score >= scores[0] - 1e-6 for score in scores)


def test_the_cosine_matcher_ranks_as_the_cosine(clip, scenes, image_embeds):
    """Its ranks of attributes and in both directions of retrieval are those of a loop over dot products."""
    indices = choose_objects(scenes, seed=0)
    question_embeds = embed_questions(clip, scenes, indices, "photo", seed=3, subsets=["hard"])
    evaluation, texts = evaluation_of(clip, len(scenes)), image_embeds[PANORAMA]
    matcher = {"cosine": new_matcher("cosine", texts.shape[1], seed=0)}
    table = matching(evaluation, matcher, image_embeds[CROP], question_embeds, image_embeds[PERSPECTIVE], texts)
    assert set(table.measure) == {"cosine"}
    by_cosine = fine_grained_discrimination(evaluation, {CROP: image_embeds[CROP]}, question_embeds)
    assert table[table.task == "attributes"].value.tolist() == by_cosine.value.tolist()
    scores = image_embeds[PERSPECTIVE] @ texts.T
    for task, matrix in (("image_to_text", scores), ("text_to_image", scores.T)):
        expected = [int((row >= row[k]).sum()) for k, row in enumerate(matrix)]
        assert table[table.task == task].value.tolist() == expected


def test_retrieval_by_several_captions_and_shifts(clip, scenes):
    """Image embeddings that are those of their first captions: all are hits, at every shift unless it exchanges them."""
    captions = captions_of(
        scenes, [f"a text of its own, number {k}" for k in range(len(scenes))], captions_per_image=3, seed=0
    )
    assert all(len(own) == 3 and own[0].endswith(str(k)) for k, own in enumerate(captions))
    assert captions_of(None, ["a", "b"], captions_per_image=3, seed=0) == [["a"], ["b"]]
    embeds = torch.stack([embed_text(clip, prompt("360 photo", own[0])) for own in captions])
    exchanged = torch.cat([embeds[:1], embeds[1:].flip(0)])
    table = retrieval(
        evaluation_of(clip, len(scenes)),
        {PANORAMA: embeds},
        captions,
        {PANORAMA: ["360 photo"] * len(scenes)},
        {0.0: embeds, 90.0: exchanged},
    )
    assert table.columns.tolist() == COLUMNS
    assert (table[table.task == "image_to_text"].value == 1).all()
    assert (table[table.task == "hit"].value == 1).all()
    worst = table[table.task == "worst_shift_hit"].value.tolist()
    assert worst[0] == 1 and sum(worst[1:]) == (len(scenes) - 1) % 2
    first = table[(table.task == "text_to_image") & (table.label == "caption 1")]
    assert len(first) == len(scenes) and (first.value == 1).all()


def test_viewpoint_consistency_is_the_cosine_with_the_first_viewpoint(clip, image_embeds):
    here, there = image_embeds[PANORAMA][:2], image_embeds[CROP][:2]
    table = viewpoint_consistency(
        evaluation_of(clip, 2), PANORAMA, "offset_consistency", {0.0: here, 0.5: there}, None, "photo"
    )
    assert set(table.measure) == {"cosine", "scene_rank"} and set(table.condition) == {"camera_offset"}
    cosines = table[table.measure == "cosine"]
    assert cosines[cosines.level == 0.0].value.tolist() == pytest.approx([1.0, 1.0], abs=1e-6)
    assert cosines[cosines.level == 0.5].value.tolist() == pytest.approx((here * there).sum(-1).tolist())
    shifted = viewpoint_consistency(
        evaluation_of(clip, 2), PANORAMA, "shift_consistency", {0.0: here, 45.0: there}, ["beach", "forest"], "photo"
    )
    assert set(shifted.condition) == {"shift"} and shifted.measure.value_counts().to_dict() == {
        "cosine": 4,
        "rank": 4,
        "scene_rank": 4,
    }


def test_the_rank_of_the_own_scene_survives_a_collapse(clip, image_embeds):
    """Embeddings moved almost to one point: cosines near 1, and the ranks of a loop as before."""
    here, other = image_embeds[PANORAMA].double(), image_embeds[CROP].double()
    centre = F.normalize(torch.ones_like(here[0]), dim=0)
    flat = [F.normalize(x - (x @ centre)[:, None] * centre, dim=-1) for x in (here, here + 5 * other)]
    tables = []
    for distance in (0.0, 50.0):
        first, second = (F.normalize(x + distance * centre, dim=-1) for x in flat)
        at = {0.0: first, 1.0: second}
        table = viewpoint_consistency(evaluation_of(clip, len(here)), PANORAMA, "offset_consistency", at, None, "photo")
        tables.append(table[table.level == 1.0].set_index("measure").value)
    scattered, collapsed = tables
    expected = [
        sum(float(flat[1][k] @ x) >= float(flat[1][k] @ flat[0][k]) - 1e-9 for x in flat[0]) for k in range(len(here))
    ]
    assert scattered["scene_rank"].tolist() == collapsed["scene_rank"].tolist() == expected and max(expected) > 1
    assert scattered["cosine"].max() < 0.95 and collapsed["cosine"].min() > 0.99
