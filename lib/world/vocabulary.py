"""The words for objects and their values: shapes, colours, materials, patterns, sizes.

Each attribute of an object is drawn uniformly and independently of the others (``scene``), so the rest of a caption
reveals nothing about it.
"""

RGB = tuple[float, float, float]

COLOURS: dict[str, RGB] = {
    "red": (0.85, 0.10, 0.10),
    "orange": (0.98, 0.52, 0.06),
    "yellow": (0.97, 0.87, 0.12),
    "green": (0.12, 0.62, 0.18),
    "teal": (0.05, 0.66, 0.66),
    "blue": (0.12, 0.25, 0.85),
    "purple": (0.50, 0.14, 0.68),
    "pink": (0.98, 0.50, 0.72),
    "brown": (0.42, 0.24, 0.10),
    "grey": (0.50, 0.50, 0.50),
    "white": (0.95, 0.95, 0.93),
    "black": (0.06, 0.06, 0.07),
}
MATERIALS = ("matte", "metallic", "glass", "glowing")
PATTERNS = ("plain", "striped", "chequered", "dotted")
SIZES: dict[str, float] = {"small": 0.60, "large": 1.05}  # half of the largest extent, metres

# Half extents (x, y, z) relative to the size; `solids` defines the bodies.
SHAPES: dict[str, tuple[float, float, float]] = {
    "sphere": (0.90, 0.90, 0.90),
    "cube": (0.78, 0.78, 0.78),
    "cylinder": (0.70, 0.70, 0.85),
    "cone": (0.85, 0.85, 1.00),
    "pyramid": (0.85, 0.85, 0.95),
    "dome": (1.00, 1.00, 0.50),
    "diamond": (0.85, 0.85, 1.00),
    "pillar": (0.34, 0.34, 1.25),
    "egg": (0.62, 0.62, 1.00),
    "wedge": (0.95, 0.60, 0.70),
}

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "size": tuple(SIZES),
    "pattern": PATTERNS,
    "colour": tuple(COLOURS),
    "material": MATERIALS,
    "shape": tuple(SHAPES),
}
