"""A colour has one meaning, and colours of one meaning differ for colour-blind readers."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from clip360.figures.style import (
    IMAGE_COLOURS,
    MARKERS,
    PART_COLOURS,
    VIEW_COLOURS,
    VIEW_MARKERS,
    lam_colour,
    model_colours,
    set_colours,
)

# Machado, Oliveira and Fernandes (IEEE TVCG 15, 2009), severity 1; rows of linear sRGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
MODELS, SETS = ("clip_p00", "clip_p03", "clip_p30"), ("world_outdoor", "world_indoor")
MEANINGS = {
    "image": [*IMAGE_COLOURS.values()],
    "model": [*model_colours(MODELS).values()],
    "set": [*set_colours(SETS).values()],
    "part": [*PART_COLOURS.values()],
    "view": [*VIEW_COLOURS.values()],
    "lambda": [lam_colour(lam) for lam in (0, 0.25, 0.5, 0.75, 1)],
}


def lab(colour, vision: str) -> np.ndarray:
    """A colour in CIELAB as a reader sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(np.array(VISION[vision]) @ linear, 0, 1) / TO_XYZ.sum(axis=1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("meaning", MEANINGS)
def test_colours_of_one_meaning_differ_for_every_reader(meaning, vision):
    distances = [np.linalg.norm(lab(a, vision) - lab(b, vision)) for a, b in combinations(MEANINGS[meaning], 2)]
    assert min(distances) > 15  # CIE76; about 2 is just noticeable side by side


def test_no_colour_has_two_meanings():
    for one, other in combinations(MEANINGS, 2):
        distances = [
            np.linalg.norm(lab(a, "normal") - lab(b, "normal")) for a in MEANINGS[one] for b in MEANINGS[other]
        ]
        assert min(distances) > 15, (one, other)


def test_ordered_colours_are_ordered_in_grey_too():
    for meaning, sign in (("model", -1), ("lambda", 1)):
        lightness = [lab(colour, "normal")[0] for colour in MEANINGS[meaning]]
        assert (sign * np.diff(lightness) > 10).all(), meaning


def test_names_from_elsewhere_get_colours_of_their_own():
    names = [f"model {k}" for k in range(9)]
    assert len(set(model_colours([*MODELS, *names]).values())) == 12
    assert len(set(set_colours([*SETS, "real", "generated"]).values())) == 4
    assert len(set(VIEW_MARKERS.values())) == len(VIEW_COLOURS) <= len(MARKERS)
