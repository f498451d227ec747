"""How a panorama and a text become a score: every detail in which the paper's released scripts and a careful one differ."""

from dataclasses import dataclass, fields

import torch

# How open_clip's transform brings a picture to the network's square; `own` is what the model was published with.
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
    """The defaults are the careful choices; what the released scripts do is said beside each.

    view        what the network sees of a panorama: ``own`` (the model's own transform; for CLIP, and as released, the
                square in the middle), ``center_crop``, ``squash``, ``letterbox``, ``wide`` (a network of twice the width),
                ``multi_view`` (the mean embedding of perspective views around the horizon)
    view_count, view_fov   how many perspective views, and their angle in degrees
    resize      ``pil`` as released, or ``tensor``: batched on the device, which moves one pixel in seven by one level
    activation  of the networks: ``own`` as the architecture says, ``gelu``, ``quick_gelu``
    precision   ``float32``, or autocast to ``bfloat16`` or ``float16`` (released, for the frozen model)
    floor       s = max(100 cos, 0); released: no floor
    decimals    None, or the digits that scores are rounded to (released: 4)
    copies      None: shifted in memory; or the JPEG quality of shifted copies (released: copies on disk)
    pairing     pictures and captions by ``name``, or, as released, by sorted ``order``
    long_texts  that a model reads only the beginning of a text: ``report`` it, or stay ``silent`` as released
    """

    view: str = "own"
    view_count: int = 4
    view_fov: float = 90.0
    resize: str = "pil"
    activation: str = "own"
    precision: str = "float32"
    floor: bool = True
    decimals: int | None = None
    copies: int | None = None
    pairing: str = "name"
    long_texts: str = "report"

    def __post_init__(self):
        for field in fields(self):
            value, choices = getattr(self, field.name), CHOICES.get(field.name)
            if choices and value not in choices:
                raise ValueError(f"protocol.{field.name} is {value!r}: expected one of {', '.join(choices)}")
        if not 1 <= self.view_count <= 64:
            raise ValueError(f"protocol.view_count is {self.view_count}: expected 1 to 64 views")
        if not 0 < self.view_fov < 180:
            raise ValueError(f"protocol.view_fov is {self.view_fov}: expected an angle between 0 and 180 degrees")
        if self.decimals is not None and not 0 <= self.decimals <= 12:
            raise ValueError(f"protocol.decimals is {self.decimals}: expected 0 to 12 digits, or null")
        if self.copies is not None and not 1 <= self.copies <= 100:
            raise ValueError(f"protocol.copies is {self.copies}: expected a JPEG quality of 1 to 100, or null")

    @property
    def dtype(self) -> torch.dtype | None:
        """What autocast computes in; None without autocast."""
        return DTYPES[self.precision]


def read_protocol(section: dict) -> Protocol:
    """The protocol that a section of params.yaml describes; ValueError for a name or a value it cannot have."""
    known = [field.name for field in fields(Protocol)]
    for name in section.keys() - set(known):
        raise ValueError(f"protocol has no {name}: expected one of {', '.join(known)}")
    return Protocol(**section)
