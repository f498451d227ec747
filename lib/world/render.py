"""What a camera in a scene sees, as a panorama or a pinhole view, for many scenes at once, on any device.

One sample a pixel everywhere, and ``SUBSAMPLES`` besides where neighbours differ: edges are smooth at little cost.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from clip360.world.backdrop import Rays
from clip360.world.gather import indices, pick, pick_each
from clip360.world.ray_casting import cast
from clip360.world.scene import EYE_HEIGHT, Scene
from clip360.world.scene_batch import Stage, set_stage

SUBSAMPLES = ((-0.35, -0.15), (0.15, -0.35), (0.2, 0.3))  # pixels from the centre: right, down
EDGE = 0.06  # colour difference between neighbours that calls for more samples
CHUNK = 1 << 19  # rays traced at once on a CPU: fewer waste time on small calls, more fall out of its caches
CHUNK_GPU = 1 << 21


@dataclass(frozen=True)
class Camera:
    """Where a view is taken from: angles in degrees, position in metres; ``fov`` None is a full panorama."""

    yaw: float = 0.0
    pitch: float = 0.0
    fov: float | None = None
    position: tuple[float, float, float] = (0.0, 0.0, EYE_HEIGHT)


class Pictures(NamedTuple):
    """``image`` [B, 3, H, W] in [0, 1]; ``solid`` [B, H, W] the index of the body each pixel's centre shows, or -1 (the
    first indices are the scene's things, in order)."""

    image: Tensor
    solid: Tensor


@torch.no_grad()
def render(
    scenes: Sequence[Scene], cameras: Sequence[Camera], height: int, *, device=None, dtype=torch.float32
) -> Pictures:
    """Render each scene by its camera: height x 2 height panoramas, or height x height pinhole views (not both)."""
    if len(scenes) != len(cameras):
        raise ValueError(f"{len(scenes)} scenes and {len(cameras)} cameras: expected one camera for each scene")
    if len({camera.fov is None for camera in cameras}) > 1:
        raise ValueError("panoramas and pinhole views were asked for at once: render them in two calls")
    stage = set_stage(scenes, device=device, dtype=dtype)
    lens = _Lens(cameras, height, stage)
    shape = (len(scenes), height, 2 * height if lens.wide else height)

    # Scenes with equally many bodies are traced together: a chunk of rays looks for as many as its fullest scene has.
    pixel = torch.arange(math.prod(shape), device=device).view(len(scenes), -1)[stage.bodies.argsort()].flatten()
    centre, seen = lens.trace(pixel, pixel.new_zeros(2, 1, dtype=dtype))
    colour, solid = torch.empty_like(centre), torch.empty_like(seen)
    colour[:, pixel], solid[pixel] = centre, seen
    rough = pick(pixel, indices(pick(_edges(colour.view(3, *shape), lens.wide).flatten(), pixel)))
    if len(rough):
        offset = torch.tensor(SUBSAMPLES, device=device, dtype=dtype).T.repeat(1, len(rough))
        around, _ = lens.trace(rough.repeat_interleave(len(SUBSAMPLES)), offset)
        colour[:, rough] += around.view(3, len(rough), -1).sum(2)
        colour[:, rough] /= 1 + len(SUBSAMPLES)
    return Pictures(colour.view(3, *shape).movedim(0, 1).contiguous(), solid.view(shape))


class _Lens:
    """The cameras of a batch: turns pixel numbers (picture, row, column, flattened) into traced rays."""

    def __init__(self, cameras: Sequence[Camera], height: int, stage: Stage):
        def tensor(values) -> Tensor:
            return torch.tensor(list(values), device=stage.sun.device, dtype=stage.sun.dtype)

        self.stage, self.height, self.wide = stage, height, cameras[0].fov is None
        self.width = 2 * height if self.wide else height
        self.yaw = tensor(math.radians(c.yaw) for c in cameras)
        self.pitch = tensor((math.cos(math.radians(c.pitch)), math.sin(math.radians(c.pitch))) for c in cameras).T
        self.position = tensor(c.position for c in cameras).T
        self.half = tensor(math.pi / 2 if c.fov is None else math.tan(math.radians(c.fov) / 2) for c in cameras)
        self.chunk = CHUNK_GPU if stage.sun.is_cuda else CHUNK

    def trace(self, pixel: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        """Colours [3, N] and solids [N] seen by pixels [N], each moved by ``offset`` [2, N or 1] pixels right and down."""
        offsets = offset.expand(2, len(pixel)).split(self.chunk, 1)
        parts = [cast(self.stage, self._rays(*part)) for part in zip(pixel.split(self.chunk), offsets, strict=True)]
        return torch.cat([colour for colour, _ in parts], 1), torch.cat([solid for _, solid in parts])

    def _rays(self, pixel: Tensor, offset: Tensor) -> Rays:
        scene = pixel // (self.height * self.width)
        right, down = (torch.stack([pixel % self.width, pixel // self.width % self.height]) + 0.5) + offset
        column, row = right / self.width * 2 - 1, 1 - down / self.height * 2
        half, yaw, pitch, position = pick_each(scene, self.half, self.yaw, self.pitch, self.position)
        if self.wide:
            longitude, latitude = column * math.pi, row * half
            flat = latitude.cos()
            x, y, z = flat * longitude.sin(), flat * longitude.cos(), latitude.sin()
        else:
            right, up = column * half, row * half
            y = 1 / (1 + right * right + up * up).sqrt()
            x, z = right * y, up * y
        # First pitch (up), then yaw (right), as `panorama.rotate`.
        cos, sin = pitch
        y, z = cos * y - sin * z, sin * y + cos * z
        cos, sin = yaw.cos(), yaw.sin()
        direction = torch.stack([cos * x + sin * y, cos * y - sin * x, z])
        return Rays(position, direction, scene, half * 2 / self.height)


def _edges(image: Tensor, wraps: bool) -> Tensor:
    """Pixels [B, H, W] of images [3, B, H, W] that differ from a neighbour (across the seam too, for panoramas)."""
    right = (image.roll(-1, -1) - image).abs().amax(0) > EDGE
    below = (image[:, :, 1:] - image[:, :, :-1]).abs().amax(0) > EDGE
    if not wraps:
        right[..., -1] = False
    edge = right | right.roll(1, -1)
    edge[:, :-1] |= below
    edge[:, 1:] |= below
    return edge
