"""Rays meet solids where brute force says they do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.mannequin.solids import Solids, turned


def rotation(rng):
    q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    return q * np.sign(np.linalg.det(q))


def random_solids(rng, cones=3, ellipsoids=3):
    starts = rng.uniform(-300, 300, (cones, 3)) + (0, 0, 2500)
    axis = rng.standard_normal((cones, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    radii = rng.uniform(15, 120, (cones, 2))
    # Neither ball may contain the other.
    length = np.abs(radii[:, 0] - radii[:, 1]) + rng.uniform(5, 400, cones)
    maps = [rotation(rng) / rng.uniform(15, 200, 3)[:, None] for _ in range(ellipsoids)]
    return Solids(
        starts,
        starts + axis * length[:, None],
        radii[:, 0],
        radii[:, 1],
        rng.uniform(-300, 300, (ellipsoids, 3)) + (0, 0, 2500),
        np.array(maps),
    )


def outside(solids, index, points):
    """How far points are outside a solid: negative inside, zero on it; found by brute force."""
    if index >= len(solids.starts):
        e = index - len(solids.starts)
        return np.linalg.norm((points - solids.centres[e]) @ solids.maps[e].T, axis=-1) - 1
    share = np.linspace(0, 1, 401)[:, None]
    centres = solids.starts[index] * (1 - share) + solids.ends[index] * share
    radii = solids.start_radii[index] * (1 - share) + solids.end_radii[index] * share
    away = np.linalg.norm(points[:, None] - centres, axis=-1) - radii[:, 0]
    return away.min(axis=1)


def aimed_rays(rng, solids, count):
    """Rays from the origin that mostly pass near the solids, as z = 1 directions."""
    centres = np.concatenate([solids.starts, solids.ends, solids.centres])
    targets = centres[rng.integers(len(centres), size=count)] + rng.normal(0, 130, (count, 3))
    return targets / targets[:, 2:]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_entry_is_the_first_point_on_the_surface(seed):
    rng = np.random.default_rng(seed)
    solids = random_solids(rng)
    rays = aimed_rays(rng, solids, 40)
    entries = solids.all_entries(np.zeros(3), rays)
    before = np.linspace(0.8, 1, 60)
    everywhere = np.linspace(1500, 3800, 800)
    for index in range(len(solids)):
        hit = np.isfinite(entries[:, index])
        for ray, entry in zip(rays[hit][:6], entries[hit, index], strict=False):
            unit = 1.0 if index < len(solids.starts) else 1e-2
            assert abs(outside(solids, index, (ray * entry)[None])[0]) < 0.1 * unit
            assert outside(solids, index, ray * (entry * before)[:, None]).min() > -0.1 * unit
        for ray in rays[~hit][:2]:
            assert outside(solids, index, ray * everywhere[:, None]).min() > -0.1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_single_solids_agree_with_all_solids(seed):
    rng = np.random.default_rng(seed)
    solids = random_solids(rng)
    rays = aimed_rays(rng, solids, 60)
    together = solids.all_entries(np.zeros(3), rays)
    x, y = rays[:, 0].astype(np.float32), rays[:, 1].astype(np.float32)
    for index in range(len(solids)):
        alone = solids.single_precision().entry(index, (0.0, 0.0, 0.0), (x, y, 1.0))
        assert alone.dtype == np.float32
        both = np.isfinite(alone) & np.isfinite(together[:, index])
        # A grazing ray may hit in one precision and miss in the other.
        assert (np.isfinite(alone) != np.isfinite(together[:, index])).sum() <= 1
        assert np.abs(alone[both] - together[both, index]).max(initial=0) < 5


def test_what_lies_behind_the_start_is_missed():
    rng = np.random.default_rng(5)
    solids = random_solids(rng)
    rays = aimed_rays(rng, solids, 50)
    assert np.isfinite(solids.all_entries(np.zeros(3), rays)).any()
    assert not np.isfinite(solids.all_entries(np.zeros(3), -rays)).any()


@pytest.mark.parametrize("index", range(6))
def test_normals_point_outwards_along_the_gradient(index):
    rng = np.random.default_rng(7)
    solids = random_solids(rng)
    rays = aimed_rays(rng, solids, 400)
    entry = solids.all_entries(np.zeros(3), rays)[:, index]
    points = (rays * entry[:, None])[np.isfinite(entry)][:20]
    assert len(points) >= 5
    normals = solids.normals(index, points)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    step = 0.5
    gradient = np.stack(
        [
            outside(solids, index, points + step * axis)
            - outside(solids, index, points - step * axis)
            for axis in np.eye(3)
        ],
        axis=-1,
    )
    gradient /= np.linalg.norm(gradient, axis=1, keepdims=True)
    assert np.sum(gradient * normals, axis=1).min() > 0.999


@pytest.mark.parametrize("index", range(6))
def test_bounds_hold_the_solid_and_touch_it(index):
    rng = np.random.default_rng(11)
    solids = random_solids(rng)
    low, high = solids.bounds()
    directions = rng.standard_normal((4000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    if index < 3:
        balls = np.stack([solids.starts[index], solids.ends[index]])
        radii = np.array([solids.start_radii[index], solids.end_radii[index]])
        surface = (balls[:, None] + radii[:, None, None] * directions).reshape(-1, 3)
    else:
        centre, inverse = solids.centres[index - 3], np.linalg.inv(solids.maps[index - 3])
        surface = centre + directions @ inverse.T
    assert (surface >= low[index] - 1e-9).all()
    assert (surface <= high[index] + 1e-9).all()
    assert np.allclose(surface.min(0), low[index], atol=4)
    assert np.allclose(surface.max(0), high[index], atol=4)


def test_moving_solids_moves_their_entries_with_them():
    rng = np.random.default_rng(3)
    solids, turn, origin = random_solids(rng), rotation(rng), rng.uniform(-100, 100, 3)
    rays = aimed_rays(rng, solids, 30)
    moved = solids.moved(turn, origin)
    start = turn @ (np.zeros(3) - origin)
    assert np.allclose(
        np.nan_to_num(moved.all_entries(start, rays @ turn.T), posinf=-1),
        np.nan_to_num(solids.all_entries(np.zeros(3), rays), posinf=-1),
    )


def test_places_along_a_cone_are_measured_between_the_ball_centres():
    cone = Solids(
        np.array([[0.0, 0, 0]]),
        np.array([[0.0, 100, 0]]),
        np.array([20.0]),
        np.array([20.0]),
        np.zeros((0, 3)),
        np.zeros((0, 3, 3)),
    )
    points = np.array([[20.0, 25, 0], [0, -20, 0], [0, 120, 0], [-20, 100, 0]])
    assert np.allclose(cone.along(0, points), [0.25, 0, 1, 1])


def test_turning_is_a_matrix_product():
    rng = np.random.default_rng(1)
    vectors, matrix = rng.standard_normal((4, 5, 3)), rng.standard_normal((3, 3))
    assert np.allclose(turned(vectors, matrix), vectors @ matrix.T)
