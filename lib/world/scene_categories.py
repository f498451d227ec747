"""The appearance of each scene category: surfaces, horizon, walls, windows, furniture. All lengths are in metres.

A scene category is a place; it does not determine the objects in it. ``surfaces`` paints the kinds named here.
"""

from dataclasses import dataclass

from clip360.world.vocabulary import RGB


@dataclass(frozen=True)
class Surface:
    """A flat texture: how it mixes two colours (``kind``, a key of ``surfaces.TEXTURES``), and its scale in metres."""

    kind: str
    colour: RGB
    second: RGB
    scale: float


@dataclass(frozen=True)
class Skyline:
    """The horizon: its kind (of ``sky.SKYLINES``), its colours (body, accent) and its maximum height in degrees."""

    kind: str
    colour: RGB
    second: RGB
    height: float


@dataclass(frozen=True)
class Outdoors:
    names: tuple[str, ...]  # in captions, with preposition
    ground: Surface
    skyline: Skyline
    water: bool = False
    lights: tuple[str, ...] = ("sunny", "cloudy", "sunset", "starry")


@dataclass(frozen=True)
class Indoors:
    names: tuple[str, ...]
    floor: Surface
    wall: Surface
    ceiling: Surface
    openings: str  # "windows", "paintings" or "none"
    furniture: str  # "sofas", "counters", "benches", "shelves", "tubs", "crates" or "desks"
    height: float = 3.0
    lights: tuple[str, ...] = ("daylight", "lamplight")


SCENE_CATEGORIES: dict[str, Outdoors | Indoors] = {
    "beach": Outdoors(
        ("on a beach", "at the seaside"),
        Surface("ripples", (0.93, 0.83, 0.62), (0.82, 0.70, 0.48), 0.9),
        Skyline("hills", (0.42, 0.52, 0.50), (0.35, 0.46, 0.40), 3.0),
        water=True,
    ),
    "desert": Outdoors(
        ("in a desert", "among sand dunes"),
        Surface("ripples", (0.88, 0.62, 0.34), (0.70, 0.42, 0.20), 1.8),
        Skyline("hills", (0.80, 0.52, 0.27), (0.62, 0.36, 0.17), 9.0),
    ),
    "meadow": Outdoors(
        ("in a meadow", "on a green field"),
        Surface("flowers", (0.36, 0.62, 0.20), (0.22, 0.45, 0.12), 0.8),
        Skyline("hills", (0.32, 0.52, 0.28), (0.22, 0.40, 0.20), 6.0),
    ),
    "snowfield": Outdoors(
        ("in the snow", "in snowy mountains"),
        Surface("noise", (0.96, 0.97, 1.00), (0.78, 0.84, 0.94), 2.5),
        Skyline("mountains", (0.42, 0.46, 0.55), (0.96, 0.97, 1.00), 24.0),
    ),
    "city square": Outdoors(
        ("on a city square", "in a town square"),
        Surface("paving", (0.66, 0.63, 0.60), (0.50, 0.47, 0.45), 1.2),
        Skyline("buildings", (0.52, 0.47, 0.44), (0.98, 0.86, 0.52), 26.0),
    ),
    "forest": Outdoors(
        ("in a forest clearing", "in the woods"),
        Surface("noise", (0.34, 0.36, 0.16), (0.24, 0.18, 0.10), 1.2),
        Skyline("trees", (0.10, 0.24, 0.10), (0.20, 0.15, 0.09), 24.0),
    ),
    "lava field": Outdoors(
        ("on a lava field", "at a volcano"),
        Surface("cracks", (0.16, 0.14, 0.15), (1.00, 0.38, 0.08), 1.6),
        Skyline("mountains", (0.22, 0.16, 0.17), (0.75, 0.26, 0.12), 14.0),
    ),
    "living room": Indoors(
        ("in a living room", "in a lounge"),
        Surface("planks", (0.66, 0.45, 0.26), (0.52, 0.33, 0.17), 0.25),
        Surface("noise", (0.93, 0.86, 0.74), (0.90, 0.82, 0.69), 1.0),
        Surface("noise", (0.97, 0.96, 0.94), (0.95, 0.94, 0.92), 2.0),
        "windows",
        "sofas",
    ),
    "kitchen": Indoors(
        ("in a kitchen",),
        Surface("checker", (0.92, 0.91, 0.88), (0.30, 0.32, 0.34), 0.6),
        Surface("tiles", (0.72, 0.84, 0.78), (0.95, 0.96, 0.95), 0.30),
        Surface("noise", (0.97, 0.97, 0.96), (0.95, 0.95, 0.94), 2.0),
        "windows",
        "counters",
    ),
    "gallery": Indoors(
        ("in an art gallery", "in a museum"),
        Surface("noise", (0.58, 0.57, 0.55), (0.52, 0.51, 0.50), 1.5),
        Surface("noise", (0.97, 0.97, 0.96), (0.95, 0.95, 0.94), 1.0),
        Surface("tiles", (0.92, 0.92, 0.92), (0.78, 0.78, 0.78), 1.2),
        "paintings",
        "benches",
        height=3.8,
    ),
    "library": Indoors(
        ("in a library", "among bookshelves"),
        Surface("planks", (0.40, 0.22, 0.13), (0.30, 0.16, 0.09), 0.18),
        Surface("books", (0.34, 0.21, 0.12), (0.75, 0.60, 0.40), 0.42),
        Surface("noise", (0.93, 0.90, 0.84), (0.90, 0.87, 0.80), 2.0),
        "none",
        "shelves",
        height=3.4,
    ),
    "bathroom": Indoors(
        ("in a bathroom",),
        Surface("tiles", (0.55, 0.70, 0.80), (0.88, 0.93, 0.96), 0.40),
        Surface("tiles", (0.62, 0.82, 0.92), (0.93, 0.97, 1.00), 0.25),
        Surface("noise", (0.96, 0.98, 1.00), (0.94, 0.96, 0.98), 2.0),
        "windows",
        "tubs",
    ),
    "warehouse": Indoors(
        ("in a warehouse", "in a factory hall"),
        Surface("noise", (0.48, 0.47, 0.45), (0.38, 0.37, 0.36), 2.5),
        Surface("corrugated", (0.55, 0.58, 0.60), (0.40, 0.43, 0.46), 0.35),
        Surface("corrugated", (0.60, 0.62, 0.64), (0.46, 0.48, 0.50), 0.9),
        "none",
        "crates",
        height=5.0,
    ),
    "office": Indoors(
        ("in an office",),
        Surface("noise", (0.33, 0.38, 0.48), (0.27, 0.32, 0.42), 0.4),
        Surface("noise", (0.86, 0.88, 0.90), (0.83, 0.85, 0.88), 1.0),
        Surface("tiles", (0.94, 0.94, 0.93), (0.72, 0.72, 0.72), 0.8),
        "windows",
        "desks",
        height=2.9,
    ),
}

OUTDOOR = tuple(name for name, category in SCENE_CATEGORIES.items() if isinstance(category, Outdoors))
INDOOR = tuple(name for name, category in SCENE_CATEGORIES.items() if isinstance(category, Indoors))

# Phrases of captions for the light.
LIGHTS = {
    "sunny": ("on a sunny day", "under a blue sky"),
    "cloudy": ("on a cloudy day", "under a grey sky"),
    "sunset": ("at sunset", "in the evening sun"),
    "starry": ("on a starry night", "under the stars"),
    "daylight": ("in daylight", "by day"),
    "lamplight": ("in lamplight", "at night"),
}
