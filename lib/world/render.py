"""Renders scenes as panoramas or pinhole views, many at once, on any device.

Every pixel gets one sample, and the ``SUBSAMPLES`` in addition where neighbours differ: this antialiases edges cheaply.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from clip360.world.backdrop import Rays
from clip360.world.gather import indices, pick, pick_each
from clip360.world.ray_casting import trace_rays
from clip360.world.scene import EYE_HEIGHT, Scene
from clip360.world.scene_batch import SceneBatch, batch_scenes

SUBSAMPLES = ((-0.35, -0.15), (0.15, -0.35), (0.2, 0.3))  # pixels from the centre: right, down
EDGE = 0.06  # colour difference between neighbours above which a pixel gets more samples
CHUNK_SIZE = 1 << 19  # rays per call on a CPU: fewer add overhead, more exceed its caches
GPU_CHUNK_SIZE = 1 << 21


@dataclass(frozen=True)
class Camera:
    """Angles in degrees, position in metres; with ``fov`` None the camera takes a full panorama."""

    yaw: float = 0.0
    pitch: float = 0.0
    fov: float | None = None
    position: tuple[float, float, float] = (0.0, 0.0, EYE_HEIGHT)


class RenderedImages(NamedTuple):
    """Images of B scenes."""

    image: Tensor  # float [B, 3, H, W] in [0, 1]
    solid: Tensor  # int64 [B, H, W]: the body at the centre of each pixel (objects first, in their order), or -1


@torch.no_grad()
def render(
    scenes: Sequence[Scene], cameras: Sequence[Camera], height: int, *, device=None, dtype=torch.float32
) -> RenderedImages:
    """Render each scene with its camera: height x 2 height panoramas, or height x height pinhole views, not both.

    Raises ValueError for mixed cameras, and if the numbers of scenes and cameras differ.
    """
    if len(scenes) != len(cameras):
        raise ValueError(f"{len(scenes)} scenes and {len(cameras)} cameras: expected one camera for each scene")
    if len({camera.fov is None for camera in cameras}) > 1:
        raise ValueError("cameras mix panoramas and pinhole views: render them in two calls")
    batch = batch_scenes(scenes, device=device, dtype=dtype)
    lens = _Lens(cameras, height, batch)
    shape = (len(scenes), height, 2 * height if lens.panoramas else height)

    # Trace scenes with similar numbers of bodies together: each chunk of rays tests as many as its fullest scene has.
    pixel = torch.arange(math.prod(shape), device=device).view(len(scenes), -1)[batch.bodies.argsort()].flatten()
    centre, centre_solid = lens.trace(pixel, pixel.new_zeros(2, 1, dtype=dtype))
    colour, solid = torch.empty_like(centre), torch.empty_like(centre_solid)
    colour[:, pixel], solid[pixel] = centre, centre_solid
    rough = pick(pixel, indices(pick(_edges(colour.view(3, *shape), lens.panoramas).flatten(), pixel)))
    if len(rough):
        offset = torch.tensor(SUBSAMPLES, device=device, dtype=dtype).T.repeat(1, len(rough))
        around, _ = lens.trace(rough.repeat_interleave(len(SUBSAMPLES)), offset)
        colour[:, rough] += around.view(3, len(rough), -1).sum(2)
        colour[:, rough] /= 1 + len(SUBSAMPLES)
    return RenderedImages(colour.view(3, *shape).movedim(0, 1).contiguous(), solid.view(shape))


class _Lens:
    """The cameras of a batch: traces rays through pixels, numbered by image, row and column."""

    def __init__(self, cameras: Sequence[Camera], height: int, batch: SceneBatch):
        def tensor(values) -> Tensor:
            return torch.tensor(list(values), device=batch.sun.device, dtype=batch.sun.dtype)

        self.batch, self.height, self.panoramas = batch, height, cameras[0].fov is None
        self.width = 2 * height if self.panoramas else height
        self.yaw = tensor(math.radians(c.yaw) for c in cameras)
        self.pitch = tensor((math.cos(math.radians(c.pitch)), math.sin(math.radians(c.pitch))) for c in cameras).T
        self.position = tensor(c.position for c in cameras).T
        self.half = tensor(math.pi / 2 if c.fov is None else math.tan(math.radians(c.fov) / 2) for c in cameras)
        self.chunk_size = GPU_CHUNK_SIZE if batch.sun.is_cuda else CHUNK_SIZE

    def trace(self, pixel: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        """Colours [3, N] and solids [N] at pixels [N], offset by ``offset`` [2, N or 1] pixels right and down."""
        offsets = offset.expand(2, len(pixel)).split(self.chunk_size, 1)
        parts = [
            trace_rays(self.batch, self._rays(*part))
            for part in zip(pixel.split(self.chunk_size), offsets, strict=True)
        ]
        return torch.cat([colour for colour, _ in parts], 1), torch.cat([solid for _, solid in parts])

    def _rays(self, pixel: Tensor, offset: Tensor) -> Rays:
        scene = pixel // (self.height * self.width)
        right, down = (torch.stack([pixel % self.width, pixel // self.width % self.height]) + 0.5) + offset
        column, row = right / self.width * 2 - 1, 1 - down / self.height * 2
        half, yaw, pitch, position = pick_each(scene, self.half, self.yaw, self.pitch, self.position)
        if self.panoramas:
            longitude, latitude = column * math.pi, row * half
            flat = latitude.cos()
            x, y, z = flat * longitude.sin(), flat * longitude.cos(), latitude.sin()
        else:
            right, up = column * half, row * half
            y = (1 + right * right + up * up).rsqrt()
            x, z = right * y, up * y
        # First pitch (up), then yaw (right), as in `geometry.panorama.rotate`.
        cos, sin = pitch
        y, z = cos * y - sin * z, sin * y + cos * z
        cos, sin = yaw.cos(), yaw.sin()
        direction = torch.stack([cos * x + sin * y, cos * y - sin * x, z])
        return Rays(position, direction, scene, half * 2 / self.height)


def _edges(image: Tensor, periodic: bool) -> Tensor:
    """Mask [B, H, W] of the pixels of images [3, B, H, W] that differ from a neighbour, also across the seam if ``periodic``."""
    right = (image.roll(-1, -1) - image).abs().amax(0) > EDGE
    below = (image[:, :, 1:] - image[:, :, :-1]).abs().amax(0) > EDGE
    if not periodic:
        right[..., -1] = False
    edge = right | right.roll(1, -1)
    edge[:, :-1] |= below
    edge[:, 1:] |= below
    return edge
