"""Image sets and cards for tests of cards."""

import copy
from pathlib import Path
from typing import Any

import numpy as np

from clip360.data.image_set import ImageSet
from tests.grey_panoramas import HEIGHT, grey_image_set


def ramps(folder: Path, n: int = 8) -> ImageSet:
    """An image set of ``n`` panoramas whose grey columns follow waves of their own."""
    columns = np.arange(2 * HEIGHT)
    rng = np.random.default_rng(3)
    waves = [
        128 + 100 * np.sin(2 * np.pi * columns / len(columns) * rng.integers(1, 4) + rng.uniform(0, 6))
        for _ in range(n)
    ]
    return grey_image_set(folder, *(wave.round() for wave in waves))


def written_card(name: str, **instability: float | None) -> dict[str, Any]:
    """A card as a file holds it, with one number: the instability by view; None where it is not defined."""
    card = copy.deepcopy(CARD)
    card["model"] |= {"name": name, "weights_sha256": name * 8}
    for view, value in instability.items():
        card["views"][view]["numbers"]["instability"] = (
            {"n": 8, "value": None, "low": None, "high": None, "undefined": "nothing varies"}
            if value is None
            else {"n": 8, "value": value, "low": value - 0.1, "high": value + 0.1}
        )
    return card


VIEW = {
    "hash": "0" * 8,
    "sphere_fraction": 1.0,
    "passes": 1,
    "gflop": 8.7,
    "panoramas_per_second": 20.5,
    "negative_fraction": 0.0,
}
CARD = {
    "format": 1,
    "model": {
        "name": "",
        "weights_sha256": "",
        "image_tower": "VisionTransformer",
        "input": [224, 224],
        "context_length": 77,
        "parameters": {"all": 151_277_313, "image_tower": 87_849_216},
    },
    "image_set": {
        "name": "set",
        "sha256": "a" * 64,
        "n": 8,
        "cues": ["360 photo"],
        "n_truncated": 0,
        "n_repeated_texts": 0,
    },
    "protocol": {
        "hash": "12345678",
        "definition": {
            "format": 1,
            "n_shifts": 16,
            "n_windows": 8,
            "generic_cues": ["photo"],
            "control_fov": 75.0,
            "inference": {"alpha": 0.01, "n_bootstrap": 100, "seed": 0},
        },
    },
    "machine": "CPU (x86_64), 1 thread",
    "versions": {"clip360": "1.0.0", "torch": "2", "open_clip_torch": "3"},
    "verdict": "",
    "verdicts": [],
    "measures": {
        "instability": {
            "label": "Instability under shifts",
            "short": "Instability",
            "unit": "",
            "meaning": "What it is.",
            "better": "lower",
            "reference": 1.0,
        }
    },
    "views": {view: VIEW | {"numbers": {}} for view in ("center_crop", "squash")},
    "left_out": {},
}
