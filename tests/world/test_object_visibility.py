"""Where a panorama shows the objects of its scene; and panoramas rendered again."""

import math
from pathlib import Path

import numpy as np
import pytest

from clip360.data.image_set import write_image_set
from clip360.world.object_visibility import object_visibility
from clip360.world.scene import sample_scenes
from pipeline.render_embedded_data import render_panoramas


def test_objects_are_visible_where_the_scene_places_them():
    scenes = [scene for _, scene in zip(range(6), sample_scenes(1, "probe"), strict=False)]
    table = object_visibility(scenes, [f"{k}" for k in range(6)], height=64)
    assert table.groupby(["image", "object"]).fraction.sum().to_numpy() == pytest.approx(1)
    checked = 0
    for (image, index), rows in table.groupby(["image", "object"]):
        scene_object = scenes[int(image)].objects[index]
        angle = np.radians((rows.column + 0.5) / 128 * 360 - 180)
        middle = np.degrees(np.angle((rows.fraction * np.exp(1j * angle)).sum()))
        reach = math.degrees(math.asin(min(1, scene_object.radius / scene_object.distance)))
        assert abs((middle - scene_object.azimuth + 180) % 360 - 180) <= reach + 3
        checked += 1
    assert checked >= 12


@pytest.mark.parametrize(("yaw", "same"), [(0.0, True), (1.875, False)])
def test_panoramas_rendered_again_from_the_same_camera_are_those_of_the_image_set(tmp_path, yaw, same):
    recipe = {"split": "probe", "environment": "outdoor", "seed": 360, "height": 256, "n_images": 2}
    write_image_set(tmp_path, render_panoramas("world_outdoor", format_cues=["360 photo"], yaw=yaw, **recipe))
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert len(names) == 2
    for name in names:
        assert (
            Path(tmp_path, "images", name).read_bytes() == Path("data/world_outdoor/images", name).read_bytes()
        ) == same
