"""A small grammar over scenes: true statements about an image, without its format.

A caption names objects by their attributes, then the place and sometimes its light: "a large red cube and a striped
green glass egg in a kitchen by day". It never mentions left and right, which a panorama does not have.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import replace

from clip360.world.scene import Scene, SceneObject
from clip360.world.scene_categories import LIGHTS, SCENE_CATEGORIES
from clip360.world.vocabulary import ATTRIBUTES

# Probability that a caption mentions an object's size, its pattern, its material; or the light of a scene.
MENTION_PROBABILITY = 0.5
SUBSTITUTABLE = ("colour", "material", "pattern", "shape")


def scene_caption(scene: Scene, rng: random.Random, visible: Sequence[int] | None = None) -> str:
    """Describe an image of a scene, in words that ``rng`` varies.

    ``visible`` are the indices of the objects in the image; None means all of them, as in a panorama.
    """
    objects = list(scene.objects) if visible is None else [scene.objects[k] for k in visible]
    rng.shuffle(objects)
    phrases = [object_phrase(scene_object, rng) for scene_object in objects]
    place = rng.choice(SCENE_CATEGORIES[scene.category].names)
    if rng.random() < MENTION_PROBABILITY:
        place += " " + rng.choice(LIGHTS[scene.light])
    if not phrases:
        return f"{rng.choice(('a quiet spot', 'an empty corner'))} {place}"
    return f"{_enumerate(phrases)} {place}" if rng.random() < 0.7 else f"a scene {place} with {_enumerate(phrases)}"


def object_phrase(scene_object: SceneObject, rng: random.Random | None = None) -> str:
    """Noun phrase for an object: always its colour and shape, each other attribute with ``MENTION_PROBABILITY``.

    Without ``rng`` the phrase names every attribute.

    >>> object_phrase(SceneObject("egg", "orange", "glass", "plain", "small", 0.0, 2.0, 0.0))
    'a small plain orange glass egg'
    """
    optional = {n for n in ("size", "pattern", "material") if rng is None or rng.random() < MENTION_PROBABILITY}
    words = [getattr(scene_object, n) for n in ATTRIBUTES if n in optional or n in ("colour", "shape")]
    return _with_article(" ".join(words))


def substituted_captions(
    scene: Scene, index: int, *, attributes: Sequence[str], count: int, rng: random.Random
) -> tuple[str, list[str]]:
    """The full caption of object ``index`` in its place, and ``count`` distinct captions with ``attributes`` replaced.

    Each replacement is uniform among the other values of its attribute; a shape is uniform among those absent from the
    scene. So the result is false whatever else the image shows. Because a scene's own attributes are uniform and
    independent, true and false captions have the same distribution of values, and text alone does not separate them
    (the shortcut found in FG-OVD, see arXiv 2404.03539).
    Raises ValueError if an attribute cannot be substituted, or fewer than ``count`` different captions exist.
    """
    unknown = set(attributes) - set(SUBSTITUTABLE)
    if unknown or not 1 <= len(set(attributes)) == len(attributes) <= 3:
        raise ValueError(
            f"attributes are {list(attributes)}: expected 1 to 3 different ones of {', '.join(SUBSTITUTABLE)}"
        )
    true = scene.objects[index]
    present = {scene_object.shape for scene_object in scene.objects}
    alternatives = {name: [v for v in ATTRIBUTES[name] if v != getattr(true, name)] for name in attributes}
    if "shape" in alternatives:
        alternatives["shape"] = [shape for shape in alternatives["shape"] if shape not in present]
    possible = math.prod(map(len, alternatives.values()))
    if count > possible:
        raise ValueError(
            f"count is {count} but replacing {', '.join(attributes)} gives only {possible} captions: choose a smaller count"
        )

    place = SCENE_CATEGORIES[scene.category].names[0]
    false: dict[str, None] = {}
    while len(false) < count:
        changed = replace(true, **{name: rng.choice(values) for name, values in alternatives.items()})
        false[f"{object_phrase(changed)} {place}"] = None
    return f"{object_phrase(true)} {place}", list(false)


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _enumerate(phrases: list[str]) -> str:
    """Join phrases in English.

    >>> _enumerate(["a cube"]), _enumerate(["a cube", "an egg"]), _enumerate(["a cube", "an egg", "a cone"])
    ('a cube', 'a cube and an egg', 'a cube, an egg and a cone')
    """
    *first, last = phrases
    return f"{', '.join(first)} and {last}" if first else last
