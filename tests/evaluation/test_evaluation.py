"""The benchmark's metrics against hand-made cases, brute force and scikit-learn; its heads and questions on known answers."""

import json
import random
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import coverage_error, recall_score, top_k_accuracy_score

from clip360.benchmark import attributes, classification, folders, matching, retrieval
from clip360.data.prompts import prompt
from clip360.world.attribute_questions import SUBSETS, ask, asked_things
from clip360.world.scene import sample_scenes
from clip360.world.scene_categories import SETTINGS
from clip360.world.vocabulary import ATTRIBUTES
from tests.small_clips import small_clip

WORDS = {
    "unused",
    *(word for values in ATTRIBUTES.values() for word in values),
    *(word for setting in SETTINGS.values() for word in setting.names[0].split()),
}
# Few values, so that ties are common.
tied = st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=1, max_size=12)


def unit(*shape: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_an_ensemble_is_the_normalised_mean_of_its_prompts():
    prompts = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [-1.0, 0.0]]])
    scores = classification.class_scores(torch.tensor([[1.0, 0.0]]), prompts)
    assert torch.allclose(scores, torch.tensor([[0.5**0.5, -1.0]]))


def test_top_k_and_per_class_are_those_of_scikit_learn():
    scores, labels = torch.randn(200, 7, generator=torch.Generator().manual_seed(0)), torch.arange(200) % 7
    answered = classification.answers(scores, labels, list("abcdefg"), scale=3.0)
    for k in (1, 5):
        assert (answered["rank"] <= k).mean() == pytest.approx(top_k_accuracy_score(labels, scores, k=k))
    table = classification.per_class(answered)
    assert table.top1.tolist() == pytest.approx(recall_score(labels, scores.argmax(1), average=None))
    assert table["n"].sum() == 200 and table["class"].tolist() == list("abcdefg")


@given(tied)
def test_an_own_rank_counts_ties_against(rows):
    """Its mean is scikit-learn's coverage error: how far down the ranking one has to go."""
    scores = torch.tensor(rows, dtype=torch.double)
    own = torch.arange(len(rows)) % 5
    ours = retrieval.own_rank(scores, own).double().mean().item()
    assert ours == pytest.approx(coverage_error(F.one_hot(own, 5), scores))


def test_calibration_error_by_hand():
    """Four of 0.8 of which three are right, and two of 0.5 that are both wrong: (4 · 0.05 + 2 · 0.5) / 6."""
    confidence = torch.tensor([0.8, 0.8, 0.8, 0.8, 0.5, 0.5])
    correct = torch.tensor([True, True, True, False, False, False])
    assert classification.calibration_error(confidence, correct) == pytest.approx((4 * 0.05 + 2 * 0.5) / 6)


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(0, 12))
@settings(max_examples=50)
def test_retrieval_with_several_captions_is_that_of_a_loop(seed, images, more):
    rng = random.Random(seed)
    owners = list(range(images)) + [rng.randrange(images) for _ in range(more)]
    rng.shuffle(owners)
    seen = torch.tensor([[rng.randint(-2, 2) for _ in range(3)] for _ in range(images)], dtype=torch.double)
    read = torch.tensor([[rng.randint(-2, 2) for _ in range(3)] for _ in owners], dtype=torch.double)
    to_text, to_image = retrieval.ranks_of_several(seen, read, torch.tensor(owners))
    for k in range(images):
        scores = [float(seen[k] @ text) for text in read]
        best = max(score for score, owner in zip(scores, owners, strict=True) if owner == k)
        others = sum(score >= best for score, owner in zip(scores, owners, strict=True) if owner != k)
        assert to_text[k] == 1 + others
    for t, owner in enumerate(owners):
        scores = [float(image @ read[t]) for image in seen]
        assert to_image[t] == sum(score >= scores[owner] for score in scores)


def test_one_caption_each_is_plain_retrieval():
    seen, read = unit(40, 8, seed=1), unit(40, 8, seed=2)
    to_text, to_image = retrieval.ranks_of_several(seen, read, torch.arange(40))
    assert to_text.tolist() == retrieval.ranks(seen, read).tolist()
    assert to_image.tolist() == retrieval.ranks(read, seen).tolist()


def test_retrieval_by_hand():
    found = retrieval.retrieval(torch.tensor([1, 1, 3, 12]))
    assert found == {"R@1": 0.5, "R@5": 0.75, "R@10": 0.75, "median_rank": 2.0}
    with pytest.raises(ValueError, match="image 1 has no text"):
        retrieval.ranks_of_several(torch.eye(2), torch.eye(2), torch.tensor([0, 0]))


def test_a_caption_stays_first_only_if_no_shift_moves_it():
    still, moved = torch.eye(3), torch.eye(3)[[1, 0, 2]]
    assert retrieval.stays_first({0.0: still, 0.5: moved}, torch.eye(3)).tolist() == [False, False, True]


def test_a_scorer_that_cannot_tell_is_last_and_guessing_is_at_chance():
    assert attributes.true_rank(torch.zeros(3, 11)).tolist() == [11, 11, 11]
    guesses = torch.rand(20_000, 11, generator=torch.Generator().manual_seed(0))
    assert attributes.true_rank(guesses).double().mean().item() == pytest.approx(attributes.chance_rank(10), abs=0.1)


@pytest.fixture(scope="module")
def scenes():
    stream = sample_scenes(5, "probe")
    return [next(stream) for _ in range(650)]


@pytest.mark.parametrize("subset", SUBSETS)
def test_of_the_captions_of_a_question_one_is_true(scenes, subset):
    few = scenes[:60]
    things = asked_things(few, seed=0)
    for question in ask(few, things, subset, seed=0):
        scene, thing = few[question.picture], few[question.picture].things[things[question.picture]]
        said = {name: getattr(thing, name) for name in ATTRIBUTES}
        assert len(set(question.false)) == len(question.false) == SUBSETS[subset]
        assert set(said.values()) <= set(question.true.split())
        for caption in question.false:
            wrong = {name for name, value in said.items() if value not in caption.split()}
            if subset == "trivial":
                assert not {thing.shape for thing in scene.things} & set(caption.split())
            elif subset in ATTRIBUTES:
                assert wrong == {subset}
            else:
                assert len(wrong) == {"hard": 1, "medium": 2, "easy": 3}[subset]


def bags_of_words(scenes: list, subset: str) -> torch.Tensor:
    """Which of the world's words each caption holds, [Q, 1 + N, W]."""
    words = {word: k for k, word in enumerate(sorted(WORDS))}
    questions = ask(scenes, asked_things(scenes, seed=1), subset, seed=1)
    bags = torch.zeros(len(questions), 1 + SUBSETS[subset], len(words))
    for q, question in enumerate(questions):
        for c, caption in enumerate(question.captions):
            bags[q, c, [words[word] for word in caption.split() if word in words]] = 1
    return bags


@pytest.mark.parametrize("subset", SUBSETS)
def test_the_text_alone_gives_nothing_away(scenes, subset):
    """A scorer of words, learned from some scenes, is at chance on others; on captions with a tell it is not."""
    known, held = (bags_of_words(part, subset) for part in (scenes[:400], scenes[400:]))
    noise = 1e-6 * torch.rand(held.shape[:2], generator=torch.Generator().manual_seed(0))  # ties are guesses
    ranks = attributes.true_rank(held @ attributes.blind_weights(known) + noise).double()
    chance = attributes.chance_rank(SUBSETS[subset])
    assert abs(ranks.mean() - chance) < 4 * ranks.std() / len(ranks) ** 0.5
    for bags in (known, held):
        bags[:, 1:, sorted(WORDS).index("unused")] = 1
    assert attributes.true_rank(held @ attributes.blind_weights(known)).double().mean() == 1


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
    (question,) = attributes.read_fg_ovd(tmp_path / "1_attributes.json")
    assert question == attributes.Question("a.jpg", "a red cup", ("a blue cup", "a green cup"), (1, 2, 30, 40))
    assert question.captions == ["a red cup", "a blue cup", "a green cup"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"categories": None}, "has no list `categories`"),
        ({"images": [{"id": 7}]}, "an entry of `images` lacks file_name"),
        ({"images": []}, "an annotation names image 7"),
        ({"categories": [{"id": 1, "name": "a red cup"}]}, "an annotation names category 2"),
    ],
)
def test_a_fault_in_an_annotation_file_is_told(tmp_path, changes, sentence):
    write_fg_ovd(tmp_path / "made.json", **changes)
    with pytest.raises(ValueError, match=sentence):
        attributes.read_fg_ovd(tmp_path / "made.json")
    with pytest.raises(FileNotFoundError, match="nowhere.json does not exist"):
        attributes.read_fg_ovd(tmp_path / "nowhere.json")
    (tmp_path / "made.json").write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        attributes.read_fg_ovd(tmp_path / "made.json")


def test_pictures_in_folders_are_classified(tmp_path):
    """As by a loop over the files with the model's own functions."""
    clip = small_clip(tmp_path / "clip")
    rng = np.random.default_rng(0)
    for name in ("red_cup", "blue_cup"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in range(3):
            picture = Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
            picture.save(tmp_path / "set" / name / f"{k}.png")
    templates = [partial(prompt, "photo"), partial(prompt, "image")]
    table = folders.classify_folders(clip, folders.class_folders(tmp_path / "set", clip), templates, batch=4)
    assert table.image.tolist() == [f"{name}/{k}.png" for name in ("blue_cup", "red_cup") for k in range(3)]
    names = ["blue cup", "red cup"]
    with torch.no_grad():
        read = [[clip.network.encode_text(clip.tokenize([t(name)]))[0] for t in templates] for name in names]
        weights = [F.normalize(sum(F.normalize(text, dim=0) for text in texts), dim=0) for texts in read]
        for row in table.itertuples():
            picture = clip.preprocess(Image.open(tmp_path / "set" / row.image))[None]
            seen = F.normalize(clip.network.encode_image(picture)[0], dim=0)
            scores = torch.stack([seen @ weight for weight in weights])
            assert row.found == names[int(scores.argmax())]
            odds = (clip.network.logit_scale.exp() * scores).softmax(0)
            assert row.confidence == pytest.approx(odds.max().item(), abs=1e-5)


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    clip = small_clip(tmp_path / "clip")
    with pytest.raises(FileNotFoundError, match="set is no folder"):
        folders.class_folders(tmp_path / "set", clip)
    (tmp_path / "set" / "cup").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="expected a folder of pictures for each class"):
        folders.class_folders(tmp_path / "set", clip)
    (tmp_path / "set" / "cup" / "broken.png").write_bytes(b"x")
    pictures = folders.class_folders(tmp_path / "set", clip)
    with pytest.raises(ValueError, match="broken.png cannot be read as a picture"):
        folders.classify_folders(clip, pictures, [str], batch=2)


@pytest.mark.parametrize("kind", matching.MATCHERS)
def test_a_matcher_scores_own_captions_as_it_scores_all(kind):
    matcher = matching.new_matcher(kind, 8, seed=0)
    images, texts = unit(5, 8, seed=0), unit(4, 8, seed=1)
    whole, own = matcher(images, texts), matcher(images, texts.expand(5, 4, 8))
    assert whole.shape == (5, 4) and torch.allclose(whole, own, atol=1e-6)
    if kind in ("cosine", "linear", "image", "text"):
        assert torch.allclose(whole, images @ texts.T, atol=1e-6)


def test_losses_are_those_of_a_loop():
    scores = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    terms = [
        max(0.0, 0.2 + float(false - scores[k, k]))
        for k in range(4)
        for j in range(4)
        if j != k
        for false in (scores[k, j], scores[j, k])
    ]
    assert matching.triplet_loss(scores).item() == pytest.approx(sum(terms) / len(terms), abs=1e-6)
    hinges = [sum(max(0.0, 0.05 + float(row[k] - row[0])) for k in range(1, 4)) for row in scores]
    assert matching.fine_loss(scores).item() == pytest.approx(sum(hinges) / 4, abs=1e-6)


@pytest.mark.parametrize("kind", ["linear", "image", "mlp", "attention"])
def test_what_is_in_the_embeddings_and_lost_by_the_cosine_is_found_again(kind):
    """The attribute stands in other axes of a picture than of its caption: the cosine cannot see it, a head can."""
    generator = torch.Generator().manual_seed(0)
    value = torch.randint(4, (600, 4), generator=generator)  # of each caption, the first is the picture's
    value = torch.stack([torch.randperm(4, generator=generator) for _ in value])
    images = F.normalize(
        torch.cat([torch.ones(600, 1), F.one_hot(value[:, 0], 4), torch.zeros(600, 4)], 1).float(), dim=1
    )
    captions = torch.cat([torch.ones(600, 4, 1), torch.zeros(600, 4, 4), F.one_hot(value, 4)], 2).float()
    captions = F.normalize(captions, dim=-1)
    images, captions = (F.pad(part, (0, 7)) for part in (images, captions))  # a width that four heads divide
    matcher = matching.new_matcher(kind, 16, seed=0)
    test = slice(400, None)
    cosine = attributes.true_rank(matching.new_matcher("cosine", 16, seed=0)(images[test], captions[test]))
    assert (cosine == 4).all()  # all alike
    history = matching.train_matcher(
        matcher,
        (images[:400], captions[:400, 0]),
        (images[:400], captions[:400]),
        validation=100,
        epochs=12,
        batch=50,
        rates=(0.003, 0.003),
        seed=0,
    )
    with torch.no_grad():
        found = attributes.true_rank(matcher(images[test], captions[test])).double().mean().item()
    assert found < 1.2
    assert set(history.stage) == {"warm-up", "fine"} and len(history) == 2 * 13


def test_the_best_epoch_is_kept_and_too_few_pictures_are_told():
    images, texts = unit(30, 8, seed=0), unit(30, 8, seed=1)
    matcher, settings = matching.new_matcher("linear", 8, seed=0), {"epochs": 3, "batch": 10, "seed": 0}
    history = matching.train_matcher(matcher, (images, texts), None, validation=10, rates=(0.01, 0.01), **settings)
    with torch.no_grad():
        held = matching.triplet_loss(matcher(images[-10:], texts[-10:])).item()
    assert held == pytest.approx(history.validation.min())
    with pytest.raises(ValueError, match="30 pictures to match are no more than the 30"):
        matching.train_matcher(matcher, (images, texts), None, validation=30, rates=(0.01, 0.01), **settings)
    assert matching.train_matcher(matching.new_matcher("cosine", 8, seed=0), (images, texts), None, validation=1,
                                  rates=(1.0, 1.0), **settings).empty  # fmt: skip
    with pytest.raises(ValueError, match="matcher is 'round'"):
        matching.new_matcher("round", 8, seed=0)
