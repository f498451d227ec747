"""A small grammar over scenes: what can truly be said of a picture, apart from its format.

A caption names things by their attributes, then the place and sometimes its light: "a large red cube and a striped
green glass egg in a kitchen by day". It never speaks of left and right, which a panorama does not have.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from clip360.world.scene import Scene, Thing
from clip360.world.scene_categories import LIGHTS, SETTINGS
from clip360.world.vocabulary import ATTRIBUTES

SAID = 0.5  # probability that a caption mentions a thing's size, its pattern, its material; or a scene's light
SUBSTITUTABLE = ("colour", "material", "pattern", "shape")


def scene_caption(scene: Scene, rng: random.Random, shown: Sequence[int] | None = None) -> str:
    """Describe a picture of a scene, in words that ``rng`` varies.

    ``shown`` are the indices of the things in the picture; None means all of them, as in a panorama.
    """
    things = list(scene.things) if shown is None else [scene.things[k] for k in shown]
    rng.shuffle(things)
    phrases = [thing_phrase(thing, rng) for thing in things]
    place = rng.choice(SETTINGS[scene.setting].names)
    if rng.random() < SAID:
        place += " " + rng.choice(LIGHTS[scene.light])
    if not phrases:
        return f"{rng.choice(('a quiet spot', 'an empty corner'))} {place}"
    return f"{_enumerate(phrases)} {place}" if rng.random() < 0.7 else f"a scene {place} with {_enumerate(phrases)}"


def thing_phrase(thing: Thing, rng: random.Random | None = None) -> str:
    """Noun phrase for a thing: its colour and shape always, its other attributes each with probability ``SAID``.

    Without ``rng`` every attribute is named.

    >>> thing_phrase(Thing("egg", "orange", "glass", "plain", "small", 0.0, 2.0, 0.0))
    'a small plain orange glass egg'
    """
    said = {name for name in ("size", "pattern", "material") if rng is None or rng.random() < SAID}
    words = [getattr(thing, name) for name in ATTRIBUTES if name in said or name in ("colour", "shape")]
    return _with_article(" ".join(words))


def substituted_captions(
    scene: Scene, index: int, *, attributes: Sequence[str], count: int, rng: random.Random
) -> tuple[str, list[str]]:
    """The full caption of one thing in its place, and ``count`` distinct captions with ``attributes`` replaced.

    Each replaced value is uniform among the other values of its attribute, a shape only among the shapes that the scene
    does not hold: what results is false whatever else the picture shows. Because a scene's own attributes are uniform
    and independent, true and false captions have the same distribution of values, so text alone does not tell them apart
    (the shortcut found in FG-OVD, see arXiv 2404.03539).
    Raises ValueError if an attribute cannot be substituted, or fewer than ``count`` different captions exist.
    """
    unknown = set(attributes) - set(SUBSTITUTABLE)
    if unknown or not 1 <= len(set(attributes)) == len(attributes) <= 3:
        raise ValueError(
            f"attributes are {list(attributes)}: expected 1 to 3 different ones of {', '.join(SUBSTITUTABLE)}"
        )
    true = scene.things[index]
    present = {thing.shape for thing in scene.things}
    others = {name: [v for v in ATTRIBUTES[name] if v != getattr(true, name)] for name in attributes}
    if "shape" in others:
        others["shape"] = [shape for shape in others["shape"] if shape not in present]
    possible = 1
    for values in others.values():
        possible *= len(values)
    if count > possible:
        raise ValueError(
            f"count is {count} but replacing {', '.join(attributes)} gives only {possible} captions: ask for less"
        )

    place = SETTINGS[scene.setting].names[0]
    false: dict[str, None] = {}
    while len(false) < count:
        changed = replace(true, **{name: rng.choice(values) for name, values in others.items()})
        false[f"{thing_phrase(changed)} {place}"] = None
    return f"{thing_phrase(true)} {place}", list(false)


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _enumerate(phrases: list[str]) -> str:
    """Join in English.

    >>> _enumerate(["a cube"]), _enumerate(["a cube", "an egg"]), _enumerate(["a cube", "an egg", "a cone"])
    ('a cube', 'a cube and an egg', 'a cube, an egg and a cone')
    """
    *first, last = phrases
    return f"{', '.join(first)} and {last}" if first else last
