"""Fine-grained questions about rendered scenes, in the subsets of FG-OVD (arXiv 2311.17518): which caption is true?"""

import random
from collections.abc import Sequence

from clip360.world.captions import SUBSTITUTABLE, substituted_captions
from clip360.world.scene import Scene

# Number of false captions per question of each subset: as many as there are other values, at most 10.
SUBSETS = {
    "colour": 10, "material": 3, "pattern": 3, "shape": 5,  # that attribute is substituted
    "hard": 10, "medium": 10, "easy": 10,  # 1, 2 or 3 attributes are substituted, chosen anew for each caption
    "trivial": 10,  # true captions of objects in other scenes
}  # fmt: skip
N_SUBSTITUTED = {"hard": 1, "medium": 2, "easy": 3}


def choose_objects(scenes: Sequence[Scene], *, seed: int) -> list[int]:
    """For each scene the index of the object to ask about, drawn at random."""
    rng = random.Random(f"{seed}/asked")
    return [rng.randrange(len(scene.objects)) for scene in scenes]


def ask(scenes: Sequence[Scene], objects: Sequence[int], subset: str, *, seed: int) -> list[list[str]]:
    """One question per scene about the object with the given index: its captions, the true one first.

    ``subset`` is a key of ``SUBSETS``. Raises ValueError for another subset and, for "trivial", if too few scenes hold
    other objects.
    """
    if subset not in SUBSETS:
        raise ValueError(f"subset is {subset!r}: expected one of {', '.join(SUBSETS)}")
    rng = random.Random(f"{seed}/questions/{subset}")
    true_captions = [_true_caption(scene, index) for scene, index in zip(scenes, objects, strict=True)]
    questions = []
    for row, (scene, index) in enumerate(zip(scenes, objects, strict=True)):
        if subset == "trivial":
            false = _captions_of_other_scenes(scenes, objects, true_captions, row, rng)
        else:
            false = _false_captions(scene, index, subset, rng)
        questions.append([true_captions[row], *false])
    return questions


def _true_caption(scene: Scene, index: int) -> str:
    """The true caption of ``substituted_captions``."""
    return substituted_captions(scene, index, attributes=["colour"], count=0, rng=random.Random(0))[0]


def _false_captions(scene: Scene, index: int, subset: str, rng: random.Random) -> list[str]:
    if subset in SUBSTITUTABLE:
        return substituted_captions(scene, index, attributes=[subset], count=SUBSETS[subset], rng=rng)[1]
    false: dict[str, None] = {}
    while len(false) < SUBSETS[subset]:
        attributes = rng.sample(SUBSTITUTABLE, N_SUBSTITUTED[subset])
        false |= dict.fromkeys(substituted_captions(scene, index, attributes=attributes, count=1, rng=rng)[1])
    return list(false)


def _captions_of_other_scenes(
    scenes: Sequence[Scene], objects: Sequence[int], true_captions: Sequence[str], row: int, rng: random.Random
) -> list[str]:
    """Captions of objects in other scenes whose shapes scene ``row`` does not hold, so that none is true of it."""
    present = {scene_object.shape for scene_object in scenes[row].objects}
    foreign = {
        caption: None
        for scene, index, caption in zip(scenes, objects, true_captions, strict=True)
        if scene.objects[index].shape not in present
    }
    if len(foreign) < SUBSETS["trivial"]:
        raise ValueError(
            f"scenes offer only {len(foreign)} objects of shapes that scene {row} does not hold, expected "
            f"{SUBSETS['trivial']}: use more scenes"
        )
    return rng.sample(list(foreign), SUBSETS["trivial"])
