"""Fine-grained questions about rendered scenes, in the subsets of FG-OVD (arXiv 2311.17518): which caption is true?"""

import random
from collections.abc import Sequence

from clip360.world.captions import SUBSTITUTABLE, substituted_captions
from clip360.world.scene import Scene

# How many false captions a question of each subset has: as many as there are other values, at most 10.
SUBSETS = {
    "colour": 10, "material": 3, "pattern": 3, "shape": 5,  # that attribute is substituted
    "hard": 10, "medium": 10, "easy": 10,  # 1, 2 or 3 attributes, which ones differs between captions
    "trivial": 10,  # things of other scenes
}  # fmt: skip
SUBSTITUTED = {"hard": 1, "medium": 2, "easy": 3}


def asked_things(scenes: Sequence[Scene], *, seed: int) -> list[int]:
    """Which thing of each scene is asked about: the index of one, drawn at random."""
    rng = random.Random(f"{seed}/asked")
    return [rng.randrange(len(scene.things)) for scene in scenes]


def ask(scenes: Sequence[Scene], things: Sequence[int], subset: str, *, seed: int) -> list[list[str]]:
    """One question of a subset about the given thing of each scene: its captions, the true one first.

    ValueError if there is no such subset, or, of the trivial ones, too few scenes with other things.
    """
    if subset not in SUBSETS:
        raise ValueError(f"subset is {subset!r}: expected one of {', '.join(SUBSETS)}")
    rng = random.Random(f"{seed}/questions/{subset}")
    phrases = [_full_caption(scene, thing) for scene, thing in zip(scenes, things, strict=True)]
    questions = []
    for row, (scene, thing) in enumerate(zip(scenes, things, strict=True)):
        if subset == "trivial":
            false = _of_others(scenes, things, phrases, row, rng)
        else:
            false = _substituted(scene, thing, subset, rng)
        questions.append([phrases[row], *false])
    return questions


def _full_caption(scene: Scene, thing: int) -> str:
    """The caption that ``substituted_captions`` calls true."""
    return substituted_captions(scene, thing, attributes=["colour"], count=0, rng=random.Random(0))[0]


def _substituted(scene: Scene, thing: int, subset: str, rng: random.Random) -> list[str]:
    if subset in SUBSTITUTABLE:
        return substituted_captions(scene, thing, attributes=[subset], count=SUBSETS[subset], rng=rng)[1]
    false: dict[str, None] = {}
    while len(false) < SUBSETS[subset]:
        attributes = rng.sample(SUBSTITUTABLE, SUBSTITUTED[subset])
        false |= dict.fromkeys(substituted_captions(scene, thing, attributes=attributes, count=1, rng=rng)[1])
    return list(false)


def _of_others(
    scenes: Sequence[Scene], things: Sequence[int], phrases: Sequence[str], row: int, rng: random.Random
) -> list[str]:
    """Captions of things of other scenes, of shapes that this scene does not hold, so that none is true here."""
    present = {thing.shape for thing in scenes[row].things}
    foreign = {
        phrase: None
        for scene, thing, phrase in zip(scenes, things, phrases, strict=True)
        if scene.things[thing].shape not in present
    }
    if len(foreign) < SUBSETS["trivial"]:
        raise ValueError(
            f"only {len(foreign)} things of other scenes can be told from those of scene {row}, expected "
            f"{SUBSETS['trivial']}: ask about more scenes"
        )
    return rng.sample(list(foreign), SUBSETS["trivial"])
