"""Ordinary photographs of a scene: where the camera looks, and which things the picture shows."""

import random
from collections.abc import Sequence

from torch import Tensor

from clip360.world.render import Camera
from clip360.world.scene import Scene

SHOWN = 0.005  # share of the picture that a thing must cover to be spoken of


def draw_camera(scene: Scene, rng: random.Random) -> Camera:
    """A hand-held camera at the origin, turned roughly towards one of the scene's things."""
    thing = rng.choice(scene.things)
    return Camera(yaw=thing.azimuth + rng.uniform(-20, 20), pitch=rng.uniform(-20, 5), fov=rng.uniform(60, 90))


def shown_things(scenes: Sequence[Scene], solid: Tensor) -> list[list[int]]:
    """For each picture the indices of its scene's things that cover at least the share ``SHOWN`` of it.

    ``solid`` [B, H, W] is that of ``render.Pictures``.
    """
    flat = solid.flatten(1)
    least = SHOWN * flat.shape[1]
    covered = [(flat == k).sum(1).tolist() for k in range(max(len(scene.things) for scene in scenes))]
    return [[k for k in range(len(scene.things)) if covered[k][b] >= least] for b, scene in enumerate(scenes)]
