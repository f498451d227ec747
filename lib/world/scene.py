"""A scene is data: a category, its light, and a few objects around the camera, drawn from a named seed."""

import hashlib
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from clip360.world.scene_categories import INDOOR, OUTDOOR, SCENE_CATEGORIES
from clip360.world.vocabulary import COLOURS, MATERIALS, PATTERNS, SHAPES, SIZES

EYE_HEIGHT = 1.5  # metres above the ground

# The content of a scene decides its split, so two splits never share a scene. Each split has some of 10 buckets.
SPLITS = {"train": range(0, 6), "finetune": range(6, 8), "validation": range(8, 9), "probe": range(9, 10)}


@dataclass(frozen=True)
class SceneObject:
    """One object: its attributes (words of ``vocabulary``) and where it stands on the ground."""

    shape: str
    colour: str
    material: str
    pattern: str
    size: str
    azimuth: float  # degrees, as seen from the origin
    distance: float  # metres from the origin
    heading: float  # degrees, rotation about its own vertical axis

    @property
    def radius(self) -> float:
        """Horizontal half extent in metres."""
        return SIZES[self.size] * max(SHAPES[self.shape][:2])


@dataclass(frozen=True)
class Scene:
    """A place with objects. ``detail`` seeds what captions do not mention: clouds, skyline, furniture."""

    category: str  # a key of SCENE_CATEGORIES
    light: str  # a key of scene_categories.LIGHTS
    objects: tuple[SceneObject, ...]
    detail: int

    @property
    def indoors(self) -> bool:
        return self.category in INDOOR

    @property
    def content(self) -> str:
        """Everything a caption can say about the scene, in a canonical order."""
        objects = sorted((o.shape, o.colour, o.material, o.pattern, o.size) for o in self.objects)
        return repr((self.category, self.light, objects))

    @property
    def split(self) -> str:
        """The one split that this content belongs to, a key of ``SPLITS``."""
        bucket = int(hashlib.sha256(self.content.encode()).hexdigest(), 16) % 10
        return next(name for name, buckets in SPLITS.items() if bucket in buckets)


def sample_scene(rng: random.Random, *, environment: str | None = None) -> Scene:
    """Draw a scene; ``environment`` is "indoor", "outdoor" or None for either.

    The shapes within a scene differ, so "the cube" identifies one object, and a caption that substitutes one of its
    attributes is false. All other attributes are independent and uniform. Raises ValueError for another environment.
    """
    categories = {"indoor": INDOOR, "outdoor": OUTDOOR, None: (*INDOOR, *OUTDOOR)}
    if environment not in categories:
        raise ValueError(f"environment is {environment!r}: expected 'indoor', 'outdoor' or None")
    category = rng.choice(categories[environment])
    objects: list[SceneObject] = []
    for shape in rng.sample(list(SHAPES), rng.randint(2, 5)):
        attributes = (
            rng.choice(list(COLOURS)), rng.choice(MATERIALS), rng.choice(PATTERNS), rng.choice(list(SIZES))
        )  # fmt: skip
        far = 3.0 if category in INDOOR else 4.2
        objects.append(_place_object(rng, shape, attributes, objects, max_distance=far))
    return Scene(category, rng.choice(SCENE_CATEGORIES[category].lights), tuple(objects), rng.randrange(2**32))


def sample_scenes(seed: int | str, split: str, *, environment: str | None = None) -> Iterator[Scene]:
    """An endless, reproducible stream of the scenes of one split ("train", "finetune", "validation", "probe").

    Raises ValueError for another split.

    >>> next(sample_scenes(0, "probe")) == next(sample_scenes(0, "probe"))
    True
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}: expected one of {', '.join(SPLITS)}")
    rng = random.Random(f"{seed}/scenes/{split}/{environment}")
    while True:
        scene = sample_scene(rng, environment=environment)
        if scene.split == split:
            yield scene


def one_in_each_category(seed: int | str, split: str = "probe") -> list[Scene]:
    """The first scene of a split in each category, in the order of ``SCENE_CATEGORIES``."""
    first: dict[str, Scene] = {}
    for scene in sample_scenes(seed, split):
        first.setdefault(scene.category, scene)
        if len(first) == len(SCENE_CATEGORIES):
            return [first[category] for category in SCENE_CATEGORIES]


def _place_object(
    rng: random.Random, shape: str, attributes: tuple, placed: list[SceneObject], max_distance: float
) -> SceneObject:
    """Stand an object where it occludes no other as seen from the origin, if 40 tries find such a place."""
    for _ in range(40):
        min_distance = 1.1 + SIZES[attributes[3]]
        placed_object = SceneObject(
            shape,
            *attributes,
            azimuth=rng.uniform(-180, 180),
            distance=rng.uniform(min_distance, max_distance),
            heading=rng.uniform(0, 90),
        )
        if all(_angular_gap(placed_object, other) > 0 for other in placed):
            break
    return placed_object


def _angular_gap(a: SceneObject, b: SceneObject) -> float:
    """Degrees between the silhouettes of two objects, as seen from the origin; negative where they overlap."""
    between_centres = abs((a.azimuth - b.azimuth + 180) % 360 - 180)
    return between_centres - sum(math.degrees(math.asin(min(1.0, o.radius / o.distance))) for o in (a, b))
