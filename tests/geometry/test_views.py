"""Cameras that cover the sphere: faces of a cube, and tangent views."""

import math

import torch

from clip360.geometry.panorama import equirectangular_directions, rotate
from clip360.geometry.views import Shift, cube_faces, tangent_views


def n_cameras_that_see(directions: torch.Tensor, cameras) -> torch.Tensor:
    """How many cameras see each unit direction [..., 3]."""
    count = torch.zeros(directions.shape[:-1])
    for camera in cameras:
        # The inverse of a rotation by pitch, then yaw: turn back by the yaw, then by the pitch.
        right, ahead, up = rotate(rotate(directions, -camera.yaw), 0.0, -camera.pitch).unbind(-1)
        half = math.tan(math.radians(camera.fov) / 2) * ahead
        count += (ahead > 0) & (torch.maximum(right.abs(), up.abs()) <= half)
    return count


def test_cube_faces_show_every_direction_once_and_tangent_views_at_least_once():
    directions = equirectangular_directions(64)
    cube = [camera for group in cube_faces().values() for camera in group]
    tangent = [camera for group in tangent_views().values() for camera in group]
    assert (n_cameras_that_see(directions, cube) == 1).all()
    assert (n_cameras_that_see(directions, tangent) >= 1).all() and len(tangent) == 18


def test_a_camera_shows_what_lies_in_its_direction():
    panorama = torch.zeros(1, 3, 32, 64, dtype=torch.uint8)
    panorama[:, 0, :6], panorama[:, 1, -6:] = 200, 100  # red above, green below
    up, down = (cube_faces()[group][0](panorama) for group in ("up", "down"))
    assert up.shape == (1, 3, 16, 16) and up[0, :, 8, 8].tolist() == [200, 0, 0]
    assert down[0, :, 8, 8].tolist() == [0, 100, 0]


def test_a_quarter_turn_exchanges_the_sides_of_a_cube():
    panorama = torch.randint(256, (1, 3, 32, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    sides = [camera(panorama) for camera in cube_faces()["sides"]]
    shifted = [camera(Shift(-0.25)(panorama)) for camera in cube_faces()["sides"]]
    difference = [a.int() - b.int() for a, b in zip(shifted, sides[1:] + sides[:1], strict=True)]
    assert max(x.abs().max() for x in difference) <= 1  # the rounding of coordinates
