"""A scene is data: a setting, its light, and a few things standing around the camera, drawn from a named seed."""

import hashlib
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from clip360.world.scene_categories import INDOOR, OUTDOOR, SETTINGS
from clip360.world.vocabulary import COLOURS, MATERIALS, PATTERNS, SHAPES, SIZES

EYE_HEIGHT = 1.5  # metres above the ground

# A scene's content decides which split it belongs to, so two splits can never share a scene (shares out of 10).
SPLITS = {"train": range(0, 6), "finetune": range(6, 8), "validation": range(8, 9), "probe": range(9, 10)}


@dataclass(frozen=True)
class Thing:
    """One object: its attributes (words of ``vocabulary``) and where it stands on the ground."""

    shape: str
    colour: str
    material: str
    pattern: str
    size: str
    azimuth: float  # degrees, as seen from the origin
    distance: float  # metres from the origin
    heading: float  # degrees, its own turn about the vertical

    @property
    def radius(self) -> float:
        """Horizontal half extent in metres."""
        return SIZES[self.size] * max(SHAPES[self.shape][:2])


@dataclass(frozen=True)
class Scene:
    """A world to stand in. ``detail`` seeds what captions do not speak of: clouds, skyline, furniture."""

    setting: str
    light: str
    things: tuple[Thing, ...]
    detail: int

    @property
    def indoors(self) -> bool:
        return self.setting in INDOOR

    @property
    def content(self) -> str:
        """Everything a caption can say of the scene, in a canonical order."""
        things = sorted((t.shape, t.colour, t.material, t.pattern, t.size) for t in self.things)
        return repr((self.setting, self.light, things))

    @property
    def split(self) -> str:
        """The one split this content belongs to."""
        share = int(hashlib.sha256(self.content.encode()).hexdigest(), 16) % 10
        return next(name for name, shares in SPLITS.items() if share in shares)


def sample_scene(rng: random.Random, *, where: str | None = None) -> Scene:
    """Draw a scene; ``where`` is "indoor", "outdoor" or None for either.

    Shapes within a scene differ, so "the cube" names one thing and a caption that substitutes one of its attributes is
    false. All other attributes are independent and uniform.
    """
    pools = {"indoor": INDOOR, "outdoor": OUTDOOR, None: (*INDOOR, *OUTDOOR)}
    if where not in pools:
        raise ValueError(f"where is {where!r}: expected 'indoor', 'outdoor' or None")
    setting = rng.choice(pools[where])
    things: list[Thing] = []
    for shape in rng.sample(list(SHAPES), rng.randint(2, 5)):
        attributes = (
            rng.choice(list(COLOURS)), rng.choice(MATERIALS), rng.choice(PATTERNS), rng.choice(list(SIZES))
        )  # fmt: skip
        things.append(_place(rng, shape, attributes, things, far=3.0 if setting in INDOOR else 4.2))
    return Scene(setting, rng.choice(SETTINGS[setting].lights), tuple(things), rng.randrange(2**32))


def sample_scenes(seed: int | str, split: str, *, where: str | None = None) -> Iterator[Scene]:
    """An endless, reproducible stream of the scenes of one split ("train", "finetune", "validation", "probe").

    >>> next(sample_scenes(0, "probe")) == next(sample_scenes(0, "probe"))
    True
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}: expected one of {', '.join(SPLITS)}")
    rng = random.Random(f"{seed}/scenes/{split}/{where}")
    while True:
        scene = sample_scene(rng, where=where)
        if scene.split == split:
            yield scene


def one_in_each_setting(seed: int | str, split: str = "probe") -> list[Scene]:
    """The first scene of a split in each setting, in the order of ``SETTINGS``."""
    found: dict[str, Scene] = {}
    for scene in sample_scenes(seed, split):
        found.setdefault(scene.setting, scene)
        if len(found) == len(SETTINGS):
            return [found[setting] for setting in SETTINGS]


def _place(rng: random.Random, shape: str, attributes: tuple, placed: list[Thing], far: float) -> Thing:
    """Stand a thing where it hides no other, as seen from the origin, if that can be found in a few tries."""
    for _ in range(40):
        near = 1.1 + SIZES[attributes[3]]
        thing = Thing(shape, *attributes, rng.uniform(-180, 180), rng.uniform(near, far), rng.uniform(0, 90))
        if all(_gap(thing, other) > 0 for other in placed):
            break
    return thing


def _gap(a: Thing, b: Thing) -> float:
    """Degrees of free sight between two things."""
    apart = abs((a.azimuth - b.azimuth + 180) % 360 - 180)
    return apart - sum(math.degrees(math.asin(min(1.0, t.radius / t.distance))) for t in (a, b))
