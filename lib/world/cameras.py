"""Perspective views of a scene: the direction of the camera, and the objects that a view shows."""

import random
from collections.abc import Sequence

from torch import Tensor

from clip360.world.render import Camera
from clip360.world.scene import Scene

MIN_VISIBLE_FRACTION = 0.005  # fraction of a view's pixels that an object covers to count as visible


def draw_camera(scene: Scene, rng: random.Random) -> Camera:
    """A hand-held camera at the origin that points roughly at one of the scene's objects."""
    target = rng.choice(scene.objects)
    return Camera(yaw=target.azimuth + rng.uniform(-20, 20), pitch=rng.uniform(-20, 5), fov=rng.uniform(60, 90))


def visible_objects(scenes: Sequence[Scene], solid: Tensor) -> list[list[int]]:
    """For each view the indices of its scene's objects that cover at least ``MIN_VISIBLE_FRACTION`` of its pixels.

    ``solid`` int [B, H, W] is that of ``render.RenderedImages``.
    """
    flat = solid.flatten(1)
    min_pixels = MIN_VISIBLE_FRACTION * flat.shape[1]
    pixels = [(flat == k).sum(1).tolist() for k in range(max(len(scene.objects) for scene in scenes))]
    return [[k for k in range(len(scene.objects)) if pixels[k][b] >= min_pixels] for b, scene in enumerate(scenes)]
