"""Depth, offset, 2.5D and coordinate targets, and noise on 2D points."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch import skeletons
from posepile_torch.camera import Camera
from posepile_torch.errors import RecipeError
from posepile_torch.transforms import targets
from posepile_torch.transforms.streams import RandomKey

POSE = np.random.default_rng(3).normal(0, 300, (17, 3))
ALL = np.ones(17, bool)


@settings(deadline=None, max_examples=40)
@given(
    scale=st.floats(0.01, 3),
    angle=st.floats(-math.pi, math.pi),
    shift=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
)
def test_row_46_the_scale_of_a_turned_pose_is_found(scale, angle, shift):
    c, s = math.cos(angle), math.sin(angle)
    points = scale * POSE[:, :2] @ np.array([[c, s], [-s, c]]) + shift
    assert targets.pixel_scale(POSE, points, ALL) == pytest.approx(scale, rel=1e-6)


def test_row_46_a_pose_scaled_by_a_fifth_returns_a_fifth():
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    assert targets.pixel_scale(POSE, 0.2 * POSE[:, :2] @ turn, ALL) == pytest.approx(0.2)
    # A mirrored pose is no similar pose: a reflection does not count.
    mirrored = 0.2 * POSE[:, :2] * (-1, 1)
    assert targets.pixel_scale(POSE, mirrored, ALL) < 0.19


def test_row_46_unknown_joints_do_not_count_and_batches_work():
    points = 0.2 * POSE[:, :2] + 50
    known = ALL.copy()
    known[[2, 5]] = False
    points[2], points[5] = np.nan, 1e6
    pose = POSE.copy()
    pose[5] = np.nan
    assert targets.pixel_scale(pose, points, known) == pytest.approx(0.2)
    batch = targets.pixel_scale(
        np.stack([pose, 2 * pose]), np.stack([points, points]), np.stack([known, known])
    )
    np.testing.assert_allclose(batch, [0.2, 0.1])


def test_row_46_degenerate_poses_have_no_scale():
    one, none = np.eye(17, dtype=bool)[0], np.zeros(17, bool)
    for pose, known in ((POSE, one), (POSE, none), (np.full((17, 3), 7.0), ALL)):
        assert np.isnan(targets.pixel_scale(pose, POSE[:, :2], known))
    # And no depth is made of it.
    depth = targets.pixel_scale(POSE, POSE[:, :2], one) * POSE[:, 2]
    found = targets.depth_targets(
        np.full((17, 2), 5.0), depth, ALL, map_size=(64, 64), crop_width_px=200.0
    )
    assert not found.mask.any()
    assert np.isfinite(found.depth).all()


def test_row_45_index_depth_and_mask():
    points = np.zeros((16, 2)) + 10.0
    points[5] = (3.7, 2.2)
    depth = np.zeros(16)
    depth[5] = 30.0
    found = targets.depth_targets(
        points, depth, np.ones(16, bool), map_size=(64, 64), crop_width_px=240.0
    )
    assert found.index[5] == 2 * 64 * 16 + 3 * 16 + 5
    assert found.depth[5] == pytest.approx(0.125)
    assert found.mask.tolist() == [1] * 16
    assert (found.index.dtype, found.depth.dtype, found.mask.dtype) == (
        np.int64,
        np.float32,
        np.uint8,
    )


def test_row_45_joints_outside_the_map_or_unknown_are_masked():
    points = np.array([[-0.1, 5], [63.9, 5], [64.0, 5], [5, 5], [5, 5], [np.nan, 5]])
    depth = np.array([1.0, 1, 1, np.nan, 1, 1])
    known = np.array([True, True, True, True, False, True])
    found = targets.depth_targets(points, depth, known, map_size=(64, 64), crop_width_px=1.0)
    assert found.mask.tolist() == [0, 1, 0, 0, 0, 0]
    assert found.index.tolist() == [0, 5 * 64 * 6 + 63 * 6 + 1, 0, 0, 0, 0]
    assert found.depth.tolist() == [0, 1, 0, 0, 0, 0]


def test_row_45_the_index_finds_the_value_in_a_networks_maps():
    maps = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5).requires_grad_()
    points = np.array([[[1, 2], [4, 3], [0, 0]], [[2, 1], [3, 3], [4, 0]]], float)
    found = targets.depth_targets(
        points, np.zeros((2, 3)), np.ones((2, 3), bool), map_size=(5, 4), crop_width_px=np.ones(2)
    )
    values = targets.gathered(maps, torch.from_numpy(found.index))
    for sample in range(2):
        for joint in range(3):
            x, y = points[sample, joint].astype(int)
            assert values[sample, joint] == maps[sample, joint, y, x]
    values.sum().backward()
    assert maps.grad.sum() == 6


def test_depth_and_offset_maps_fill_discs():
    points, known = np.array([[10.25, 8.5], [3.0, 3.0]]), np.array([True, False])
    maps, discs = targets.depth_maps([-120.0, 5.0], points, known, map_size=(24, 20), radius=3.0)
    assert maps.shape == discs.shape == (2, 20, 24)
    rows, columns = np.nonzero(discs[0])
    assert (np.hypot(columns - 10.25, rows - 8.5) <= 3).all()
    assert discs[0].sum() == pytest.approx(math.pi * 9, abs=4)
    assert (maps[0][discs[0]] == -120).all()
    assert (maps[0][~discs[0]] == 0).all()
    assert not discs[1].any()
    offsets, same = targets.offset_maps(points, known, map_size=(24, 20), radius=3.0)
    np.testing.assert_array_equal(same, discs)
    assert offsets.shape == (2, 2, 20, 24)
    for y, x in zip(rows, columns, strict=True):
        np.testing.assert_allclose((x, y) + offsets[0, :, y, x], points[0], atol=1e-6)
    assert not offsets[1].any()


def test_normalised_points_keep_proportions_and_come_back():
    corners = np.array([[-0.5, -0.5], [199.5, 99.5], [99.5, 49.5]])
    found = targets.normalised_points(corners, (200, 100))
    np.testing.assert_allclose(found, [[-1, -0.5], [1, 0.5], [0, 0]])
    np.testing.assert_allclose(targets.pixel_points(found, (200, 100)), corners)


def test_25d_targets_lead_back_to_the_pose():
    camera = Camera.from_fov((256, 192), 0.8, world_up=(0, -1, 0))
    pose = POSE + (50, -20, 3500)
    joints2d = camera.project_camera(pose)
    found = targets.pose_25d(joints2d, pose, ALL, root=4, image_size=(256, 192))
    assert found.mask.all()
    assert found.coordinates[4, 2] == 0.5
    back = targets.camera_pose(found.coordinates, pose[4, 2], camera.K, image_size=(256, 192))
    np.testing.assert_allclose(back, pose, atol=0.05)
    edges = targets.pose_25d(
        [[-0.5, -0.5], [255.5, 191.5]], np.zeros((2, 3)), ALL[:2], root=0, image_size=(256, 192)
    )
    np.testing.assert_allclose(edges.coordinates[:, :2], [[0, 0], [1, 1]])


def test_25d_without_a_root_knows_nothing():
    known = ALL.copy()
    known[4] = False
    found = targets.pose_25d(POSE[:, :2], POSE, known, root=4, image_size=(256, 256))
    assert not found.mask.any()
    assert not found.coordinates.any()


def test_row_44_limbs_weigh_more_as_in_posewarper():
    skeleton = skeletons.get("posetrack_17")
    weights = dict(zip(skeleton.joints, targets.limb_weights(skeleton).tolist(), strict=True))
    for name, weight in weights.items():
        expected = {"elb": 1.2, "kne": 1.2, "wri": 1.5, "ank": 1.5}.get(name[1:], 1.0)
        assert weight == pytest.approx(expected), name
    assert sum(weight > 1 for weight in weights.values()) == 8


@pytest.mark.parametrize(
    ("unit", "std", "in_pixels"), [("px", 2.5, 2.5), ("normalised", 0.02, 5.0)]
)
def test_row_59_noise_has_the_stated_standard_deviation(unit, std, in_pixels):
    points = np.zeros((4000, 17, 2)) + 100
    random = RandomKey(1).generator("points")
    noise = targets.noisy_points(points, std, random, unit=unit, size=(500, 400)) - points
    np.testing.assert_allclose(noise.std(axis=(0, 1)), in_pixels, rtol=0.02)
    np.testing.assert_allclose(noise.mean(axis=(0, 1)), 0, atol=0.1)


def test_row_59_noise_keeps_nan_and_refuses_nonsense():
    random = np.random.default_rng(0)
    assert np.isnan(targets.noisy_points(np.full((3, 2), np.nan), 1.0, random)).all()
    for bad in ({"std": -1.0}, {"std": math.nan}, {"std": 1.0, "unit": "mm"}):
        with pytest.raises(RecipeError):
            targets.noisy_points(np.zeros((1, 2)), random=random, **bad)
    with pytest.raises(RecipeError, match="size"):
        targets.noisy_points(np.zeros((1, 2)), 1.0, random, unit="normalised")
