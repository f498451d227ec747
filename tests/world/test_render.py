"""The renderer against the geometry of panoramas, its bodies against brute force, and the tables of what it shows."""

import math
import random

import pytest
import torch

from clip360.geometry import panorama
from clip360.world import solids
from clip360.world.cameras import visible_objects
from clip360.world.render import Camera, render
from clip360.world.scene import Scene, SceneObject, sample_scene
from clip360.world.scene_categories import INDOOR, OUTDOOR, SCENE_CATEGORIES
from clip360.world.vocabulary import SHAPES, SIZES


def scene_in(category: str, seed: int = 0) -> Scene:
    rng = random.Random(f"{category}/{seed}")
    environment = "indoor" if category in INDOOR else "outdoor"
    while (scene := sample_scene(rng, environment=environment)).category != category:
        pass
    return scene


ALL = [scene_in(category) for category in SCENE_CATEGORIES]


def panoramas(scenes, height, yaw=0.0):
    return render(scenes, [Camera(yaw=yaw)] * len(scenes), height, dtype=torch.float64).image


def test_there_are_as_many_indoor_as_outdoor_categories():
    assert len(SCENE_CATEGORIES) >= 12 and len(INDOOR) == len(OUTDOOR)


@pytest.mark.parametrize("columns", [1, 16, 37, -20])
def test_turning_the_camera_is_a_circular_shift(columns):
    """Yaw by whole pixels: equal up to rounding, except where rounding moves a ray across an edge."""
    height = 32
    still = panoramas(ALL, height)
    turned = panoramas(ALL, height, yaw=columns / (2 * height) * 360)
    difference = (turned - panorama.circular_shift(still, -columns)).abs().amax(1)
    assert difference.quantile(0.999) < 1e-9
    assert (difference > 1e-9).double().mean() < 5e-4


def test_the_seam_is_no_edge():
    """Across the seam neighbours differ as much as elsewhere: on average over many panoramas, less than 1.3 times."""
    scenes = [scene_in(category, seed) for category in SCENE_CATEGORIES for seed in range(4)]
    image = panoramas(scenes, 32)
    step = (image - image.roll(1, -1)).abs().mean((0, 1, 2))
    assert step[0] < 1.3 * step.mean()


def test_a_pinhole_view_agrees_with_the_resampled_panorama():
    """Mean difference at most 0.025 in a view and 0.008 over all: edges, which the two sample at other resolutions.

    For a camera three degrees off the difference is more than four times as large, so the tolerance detects errors.
    """
    wide, difference, off = panoramas(ALL, 256), [], []
    for yaw, pitch, fov in ((0, 0, 75), (178, -20, 75), (60, 40, 60)):
        view = render(ALL, [Camera(yaw=yaw, pitch=pitch, fov=fov)] * len(ALL), 64, dtype=torch.float64).image
        for error, distances in ((0, difference), (3, off)):
            resampled = panorama.perspective(wide, yaw=yaw + error, pitch=pitch, fov=fov, size=64)
            distances += (resampled - view).abs().mean((1, 2, 3)).tolist()
    assert max(difference) < 0.025
    assert sum(difference) / len(difference) < 0.008
    assert sum(off) > 4 * sum(difference)


def test_an_image_does_not_depend_on_its_batch():
    together = panoramas(ALL, 16)
    for k, scene in enumerate(ALL):
        alone = panoramas([scene], 16)[0]
        assert torch.allclose(alone, together[k], atol=1e-12)


def test_an_object_appears_where_it_stands():
    scene = scene_in("beach")
    for azimuth in (-150.0, 0.0, 75.0):
        ball = SceneObject("sphere", "red", "matte", "plain", "large", azimuth, 3.0, 0.0)
        changed = type(scene)(scene.category, "sunny", (ball,), scene.detail)
        visible = render([changed], [Camera()], 64).solid[0] == 0
        columns = torch.where(visible)[1].double()
        angles = ((columns + 0.5) / 128 * 360 - 180 - azimuth + 180) % 360 - 180
        assert abs(float(angles.mean())) < 1.5
        half = math.degrees(math.asin(0.9 * SIZES["large"] / math.dist((0, 0, 1.5), (0, 3.0, 0.9 * SIZES["large"]))))
        assert float(angles.max() - angles.min()) == pytest.approx(2 * half, abs=6)


def test_a_view_shows_the_objects_in_front_of_the_camera_that_no_other_occludes():
    scene = scene_in("meadow")
    near = SceneObject("cube", "red", "matte", "plain", "large", 20.0, 2.5, 0.0)
    hidden = SceneObject("egg", "blue", "matte", "plain", "small", 20.0, 4.2, 0.0)
    behind = SceneObject("cone", "pink", "matte", "plain", "large", 200.0, 2.5, 0.0)
    scene = type(scene)("meadow", "sunny", (near, hidden, behind), scene.detail)
    cameras = [Camera(yaw=20, fov=75), Camera(yaw=200, fov=75), Camera(yaw=110, fov=60)]
    assert visible_objects([scene] * 3, render([scene] * 3, cameras, 64).solid) == [[0], [2], []]


@pytest.mark.parametrize("shape", SHAPES)
def test_rays_enter_bodies_where_marching_finds_them(shape):
    """Brute force: march along each ray in small steps until a point satisfies the body's inequalities."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(3, 200, generator=generator, dtype=torch.float64)
    origin = 4 * start / start.norm(dim=0)
    direction = torch.randn(3, 200, generator=generator, dtype=torch.float64) - origin
    planes, (ax, ay, az, b, c) = solids.BODIES[shape]
    body = torch.full((200,), solids.NAMES.index(shape))
    enter = solids.intersect(origin, direction, body).enter

    steps = torch.linspace(0, 2, 4001, dtype=torch.float64)
    x, y, z = origin[..., None] + direction[..., None] * steps
    inside = ax * x * x + ay * y * y + az * z * z + b * z + c <= 0
    for nx, ny, nz, d in planes:
        inside &= nx * x + ny * y + nz * z <= d
    marched = torch.where(inside.any(-1), steps[inside.int().argmax(-1)], math.inf)
    agree = ((enter - marched).abs() < 6e-4) | (enter.isinf() & marched.isinf())
    grazing = inside.sum(-1) <= 2  # the march may step over these
    assert (agree | grazing).all()
    assert 20 < enter.isfinite().sum() < 200  # both hits and misses were tried


def test_refuses_mixed_batches():
    with pytest.raises(ValueError, match="one camera for each scene"):
        render(ALL, [Camera()], 16)
    with pytest.raises(ValueError, match="two calls"):
        render(ALL[:2], [Camera(), Camera(fov=60)], 16)
