"""The seam measures against plain loops and implanted faults."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clip360.geometry.cube_edges import VISIBLE_CUBE_EDGES, cube_edges
from clip360.geometry.panorama import equirectangular_directions
from clip360.geometry.poles import VISIBLE_POLES, poles
from clip360.geometry.seam import VISIBLE_BLEND, discontinuity, grey, seam, seam_blend
from clip360.geometry.seam_measures import MEASURES, VISIBLE, seam_measures
from tools.benchmark.seams import blend, cube_gains, cut, flat_poles


def textured_sphere(seed: int, height: int = 128) -> Tensor:
    """A panorama of many plane waves on the sphere, intact everywhere: uint8 [3, H, 2H]."""
    generator = torch.Generator().manual_seed(seed)
    waves = torch.randn(3, 3, 60, generator=generator, dtype=torch.float64) * 0.25 * height / 2
    phases = torch.rand(3, 60, generator=generator, dtype=torch.float64) * 2 * math.pi
    colours = (torch.einsum("hwd,dck->chwk", equirectangular_directions(height), waves) + phases[:, None, None]).sin()
    return (128 + colours.mean(-1) * 400).round().clamp(0, 255).byte()


SPHERES = torch.stack([textured_sphere(seed) for seed in range(6)])


def each(fault, *arguments) -> Tensor:
    return torch.stack([fault(panorama, *arguments) for panorama in SPHERES])


def test_the_discontinuity_score_equals_a_plain_loop():
    """Columns 1 to 4 are the last but one, the last, the first and the second: 2 and 3 flank the seam."""
    panorama = torch.randint(256, (3, 12, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    picture = grey(panorama).double().numpy()

    def g(column: int, y: int) -> float:
        rows = [max(y - 1, 0), y, min(y + 1, 11)]
        weights = (3, 10, 3)
        return (
            sum(
                w * (picture[r, (column - 1) % 24] - picture[r, (column + 1) % 24])
                for w, r in zip(weights, rows, strict=True)
            )
            / 16
        )

    expected = np.mean(
        [(abs(g(-1, y)) / (abs(g(-2, y)) + 0.1) + abs(g(0, y)) / (abs(g(1, y)) + 0.1)) / 2 for y in range(12)]
    )
    assert discontinuity(panorama).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("measure", [seam, discontinuity])
def test_a_step_counts_between_the_last_and_the_first_column_only(measure):
    """A step at any other place, even one column beside the seam, scores less than one at the seam."""
    width, at = 64, {}
    for column in range(width):  # one half brighter, the other step 32 columns further is the one not looked at
        panorama = torch.full((3, 32, width), 100, dtype=torch.uint8)
        panorama[..., : width // 2] = 160
        at[column] = measure(panorama.roll(column, dims=-1)).item()
    assert at[0] == at[width // 2] > 0
    assert all(value < at[0] / 4 for column, value in at.items() if column not in (0, width // 2))


def test_a_blended_seam_is_seen_where_it_is_and_by_no_other_measure():
    for n_columns in (8, 16, 32):
        flawed = torch.stack([blend(cut(panorama, 0.1), n_columns) for panorama in SPHERES])
        assert (seam_blend(flawed) > VISIBLE_BLEND).all(), n_columns
        assert (seam_blend(flawed.roll(96, dims=-1)) <= VISIBLE_BLEND).all(), n_columns
        assert (seam(flawed) < VISIBLE["seam"]).all(), n_columns


def test_a_random_direction_rarely_looks_blended():
    """The fraction of directions, all whole blocks, above the threshold is at most 2 %, for any picture."""
    panorama = torch.randint(256, (3, 64, 1024), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    panorama[..., 200:230] = 90  # a flat door
    alarms = [seam_blend(panorama.roll(8 * k, dims=-1)).item() > VISIBLE_BLEND for k in range(128)]
    assert sum(alarms) == 2  # k = 2 of n = 128 places


def test_intact_spheres_show_nothing_and_faults_only_themselves():
    faults = {"poles": each(flat_poles), "cube_edges": each(cube_gains, 0.1)}
    intact = seam_measures(SPHERES)
    assert all((intact[name] <= VISIBLE[name]).all() for name in ("seam", "poles", "cube_edges"))
    for name, flawed in faults.items():
        values = seam_measures(flawed)
        assert (values[name] > VISIBLE[name]).all(), name
        assert all((values[other] <= VISIBLE[other]).all() for other in {"seam", "poles", "cube_edges"} - {name})


def test_a_single_pole_suffices():
    flawed = each(flat_poles)
    for rows in (slice(0, 16), slice(-16, None)):
        one = SPHERES.clone()
        one[..., rows, :] = flawed[..., rows, :]
        assert (poles(one) > VISIBLE_POLES).all()


def test_each_face_of_the_cube_is_looked_at():
    """A brighter face shows whichever it is, and one turned by 45 degrees, whose edges are elsewhere, shows less."""
    directions = equirectangular_directions(128)
    axis = directions.abs().argmax(-1)
    for face in range(6):
        inside = (axis == face // 2) & ((directions[..., face // 2] < 0) == face % 2)
        panorama = torch.where(inside, 140, 100).byte().expand(3, -1, -1)
        assert cube_edges(panorama) > VISIBLE_CUBE_EDGES, face
        assert cube_edges(panorama) == pytest.approx(17 * 4 / 12, rel=0.1), face
        if face < 4:
            assert cube_edges(panorama.roll(32, dims=-1)) < cube_edges(panorama) / 4, face


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), offset=st.integers(-40, 40), height=st.sampled_from([64, 128]))
def test_flips_and_brightness_change_little(seed, offset, height):
    generator = torch.Generator().manual_seed(seed)
    panorama = torch.randint(60, 190, (3, height, 2 * height), dtype=torch.uint8, generator=generator)
    brighter = (panorama.int() + offset).byte()
    for name, measure in MEASURES.items():
        expected = measure(panorama)
        others = [panorama.flip(-1), panorama.flip(-2), brighter]
        if name in ("poles", "cube_edges"):  # whose samples round to other pixels in a mirror
            others = [brighter]
        for other in others:
            assert measure(other).item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-3), name


@pytest.mark.parametrize("height", [1, 2, 3, 17, 32, 64, 100])
def test_any_size_is_finite_and_a_batch_is_its_panoramas(height):
    shape = (2, 3, 3, height, 2 * height)
    batch = torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for name, values in seam_measures(batch).items():
        assert values.shape == (2, 3) and values.dtype == torch.float32 and values.isfinite().all(), name
        assert torch.allclose(values[1, 2], MEASURES[name](batch[1, 2])), name
    for name, value in seam_measures(torch.full((3, height, 2 * height), 200, dtype=torch.uint8)).items():
        assert value == 0, name
