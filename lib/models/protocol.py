"""How a panorama and a text become a score: every detail in which the paper's released scripts and a careful protocol differ."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch

# How open_clip's transform brings an image to the network's square; `own` is the transform the model was published with.
RESIZE_MODES = {"center_crop": "shortest", "squash": "squash", "letterbox": "longest"}
VIEWS = ("own", *RESIZE_MODES, "wide", "multi_view")
DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
CHOICES = {
    "view": VIEWS,
    "resize": ("pil", "tensor"),
    "activation": ("own", "gelu", "quick_gelu"),
    "precision": tuple(DTYPES),
    "pairing": ("name", "order"),
    "long_texts": ("report", "silent"),
}


@dataclass(frozen=True)
class Protocol:
    """The defaults are the careful choices; "released" marks what the scripts of arXiv 2604.24642 do.

    One detail has no key: the released scripts decode a file by PIL's convert("RGB") and do nothing else. Here an image is also
    turned upright as its EXIF data say, laid on black where it is transparent, and scaled to 8 bits where it has 16 bits
    of grey, which convert would clip. The released decoding shows such images wrongly, and JPEG panoramas without an EXIF
    orientation, grey ones too, give the same pixels by both.

    view           what the network receives of a panorama: ``own`` (the model's own transform; for CLIP, and as released,
                   the square in the middle), ``center_crop``, ``squash``, ``letterbox``, ``wide`` (a network of twice the
                   width), ``multi_view`` (the mean embedding of perspective views around the horizon)
    n_views        number of perspective views under ``multi_view``
    view_fov       their field of view in degrees
    resize         ``pil`` as released, or ``tensor``: batched on the device, which changes one pixel in seven by one level
    activation     of the networks: ``own`` as the architecture says, ``gelu``, ``quick_gelu``
    precision      ``float32``, or autocast to ``bfloat16`` or ``float16`` (released, for the frozen model; its training has
                   no autocast, see ``training_precision``)
    clamp_at_zero  s = max(100 cos, 0); released: s = 100 cos
    decimals       digits that scores are rounded to, or None (released: 4)
    jpeg_quality   None: images are shifted in memory; or the JPEG quality of the shifted images (released: files on
                   disk; their quality is not known, so that the 95 of the profile paper_released is an assumption)
    pairing        images and captions are paired by ``name``, or, as released, by sorted ``order`` of the image files: of
                   all for the probes, of those that end in .jpg for the panoramas of fine-tuning
    long_texts     where a model truncates a text: ``report`` it, or stay ``silent`` as released

    Raises ValueError for a value outside its range.
    """

    view: str = "own"
    n_views: int = 4
    view_fov: float = 90.0
    resize: str = "pil"
    activation: str = "own"
    precision: str = "float32"
    clamp_at_zero: bool = True
    decimals: int | None = None
    jpeg_quality: int | None = None
    pairing: str = "name"
    long_texts: str = "report"

    def __post_init__(self):
        for field in fields(self):
            value, choices = getattr(self, field.name), CHOICES.get(field.name)
            if choices and value not in choices:
                raise ValueError(f"protocol.{field.name} is {value!r}: expected one of {', '.join(choices)}")
        if not 1 <= self.n_views <= 64:
            raise ValueError(f"protocol.n_views is {self.n_views}: expected 1 to 64 views")
        if not 0 < self.view_fov < 180:
            raise ValueError(f"protocol.view_fov is {self.view_fov}: expected an angle between 0 and 180 degrees")
        if self.decimals is not None and not 0 <= self.decimals <= 12:
            raise ValueError(f"protocol.decimals is {self.decimals}: expected 0 to 12 digits, or null")
        if self.jpeg_quality is not None and not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"protocol.jpeg_quality is {self.jpeg_quality}: expected 1 to 100, or null")

    @property
    def dtype(self) -> torch.dtype | None:
        """The dtype that autocast computes in; None without autocast."""
        return DTYPES[self.precision]

    @property
    def training_precision(self) -> str:
        """The precision of fine-tuning: as released, float32 where the frozen model computes in float16."""
        return "float32" if self.precision == "float16" else self.precision


def read_protocol(section: Mapping[str, Any]) -> Protocol:
    """The protocol that a section of params.yaml describes; ValueError for an unknown key or a value outside its range."""
    keys = [field.name for field in fields(Protocol)]
    for key in section:
        if key not in keys:
            raise ValueError(f"protocol has no key {key}: expected one of {', '.join(keys)}")
    return Protocol(**section)
