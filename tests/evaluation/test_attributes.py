"""Fine-grained questions: one caption is true, the text alone does not reveal which; annotation files of FG-OVD."""

import json

import pytest
import torch

from clip360.evaluation.attributes import Question, blind_weights, read_fg_ovd, true_rank
from clip360.stats.capabilities import chance_rank
from clip360.world.attribute_questions import SUBSETS, ask, choose_objects
from clip360.world.scene import sample_scenes
from clip360.world.scene_categories import SCENE_CATEGORIES
from clip360.world.vocabulary import ATTRIBUTES

WORDS = {
    "unused",
    *(word for values in ATTRIBUTES.values() for word in values),
    *(word for category in SCENE_CATEGORIES.values() for word in category.names[0].split()),
}


@pytest.fixture(scope="module")
def scenes():
    stream = sample_scenes(5, "probe")
    return [next(stream) for _ in range(650)]


def test_equal_scores_put_the_true_caption_last_and_guessing_is_at_chance():
    assert true_rank(torch.zeros(3, 11)).tolist() == [11, 11, 11]
    guesses = torch.rand(20_000, 11, generator=torch.Generator().manual_seed(0))
    assert true_rank(guesses).double().mean().item() == pytest.approx(chance_rank(10), abs=0.1)


@pytest.mark.parametrize("subset", SUBSETS)
def test_of_the_captions_of_a_question_one_is_true(scenes, subset):
    first = scenes[:60]
    indices = choose_objects(first, seed=0)
    questions = ask(first, indices, subset, seed=0)
    for scene, index, (true, *false) in zip(first, indices, questions, strict=True):
        attributes = {name: getattr(scene.objects[index], name) for name in ATTRIBUTES}
        assert len(set(false)) == len(false) == SUBSETS[subset]
        assert set(attributes.values()) <= set(true.split())
        for caption in false:
            wrong = {name for name, value in attributes.items() if value not in caption.split()}
            if subset == "trivial":
                assert not {x.shape for x in scene.objects} & set(caption.split())
            elif subset in ATTRIBUTES:
                assert wrong == {subset}
            else:
                assert len(wrong) == {"hard": 1, "medium": 2, "easy": 3}[subset]


def bags_of_words(scenes: list, subset: str) -> torch.Tensor:
    """Which words of the world each caption contains, [Q, 1 + N, W]."""
    words = {word: k for k, word in enumerate(sorted(WORDS))}
    questions = ask(scenes, choose_objects(scenes, seed=1), subset, seed=1)
    bags = torch.zeros(len(questions), 1 + SUBSETS[subset], len(words))
    for q, captions in enumerate(questions):
        for c, caption in enumerate(captions):
            bags[q, c, [words[word] for word in caption.split() if word in words]] = 1
    return bags


@pytest.mark.parametrize("subset", SUBSETS)
def test_the_text_alone_does_not_reveal_the_true_caption(scenes, subset):
    """A scorer of words, learned from one part of the scenes, is at chance on the rest; on captions with a mark it is not."""
    training, test = (bags_of_words(part, subset) for part in (scenes[:400], scenes[400:]))
    noise = 1e-6 * torch.rand(test.shape[:2], generator=torch.Generator().manual_seed(0))  # breaks ties by guessing
    ranks = true_rank(test @ blind_weights(training) + noise).double()
    chance = chance_rank(SUBSETS[subset])
    assert abs(ranks.mean() - chance) < 4 * ranks.std() / len(ranks) ** 0.5
    for bags in (training, test):
        bags[:, 1:, sorted(WORDS).index("unused")] = 1
    assert true_rank(test @ blind_weights(training)).double().mean() == 1


def write_fg_ovd(path, **changes):
    content = {
        "images": [{"id": 7, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "a red cup"}, {"id": 2, "name": "a blue cup"}, {"id": 3, "name": "a green cup"}],
        "annotations": [
            {"id": 0, "image_id": 7, "bbox": [1, 2, 30, 40], "category_id": 1, "neg_category_ids": [2, 3]},
            {"id": 1, "image_id": 7, "bbox": [5, 5, 10, 10], "category_id": 2, "neg_category_ids": []},
        ],
    }  # fmt: skip
    path.write_text(json.dumps(content | changes))


def test_an_annotation_file_of_fg_ovd_is_read(tmp_path):
    write_fg_ovd(tmp_path / "1_attributes.json")
    (question,) = read_fg_ovd(tmp_path / "1_attributes.json")
    assert question == Question("a.jpg", "a red cup", ("a blue cup", "a green cup"), (1, 2, 30, 40))
    assert question.captions == ["a red cup", "a blue cup", "a green cup"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"categories": None}, "has no list `categories`"),
        ({"images": [{"id": 7}]}, "an entry of `images` lacks file_name"),
        ({"images": []}, "an annotation names image 7"),
        ({"categories": [{"id": 1, "name": "a red cup"}]}, "an annotation names category 2"),
    ],
)
def test_an_error_in_an_annotation_file_is_reported(tmp_path, changes, message):
    write_fg_ovd(tmp_path / "made.json", **changes)
    with pytest.raises(ValueError, match=message):
        read_fg_ovd(tmp_path / "made.json")


def test_a_missing_or_damaged_annotation_file_is_reported(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.json does not exist"):
        read_fg_ovd(tmp_path / "nowhere.json")
    (tmp_path / "made.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        read_fg_ovd(tmp_path / "made.json")
