"""Affine crops: goldens of corners, inverses, resolutions, and cameras of warped images."""

from __future__ import annotations

import numpy as np
import pytest
import toy_crops
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import CameraError
from posepile_torch.transforms import affine
from posepile_torch.transforms.families import Framing
from posepile_torch.transforms.geometry import PLAIN_VIEW, ViewChange

EXACT, HALF = Framing(mode="affine"), Framing(mode="affine", centre="half")
BOX = np.array([100.0, 50.0, 80.0, 160.0])  # centre (140, 130)
CORNERS = np.array([(100, 50), (180, 50), (180, 210), (100, 210)], float)


def crop(size, framing=HALF, change=PLAIN_VIEW, stored=(640, 480), box=BOX):
    return affine.crop_matrix(box, size, stored, framing, change)


def test_row_41_corners_of_the_published_crop():
    # Height grows the width to 160: factor 256 / 160, the centre lands on (128, 128).
    found = affine.apply(crop((256, 256)), CORNERS)
    np.testing.assert_allclose(found, [(64, 0), (192, 0), (192, 256), (64, 256)], atol=1e-9)
    # The same crop at heatmap resolution is a quarter of it.
    small = affine.at_resolution(crop((256, 256)), 1 / 4, grid="scaled")
    np.testing.assert_allclose(affine.apply(small, CORNERS), found / 4, atol=1e-9)
    np.testing.assert_allclose(small, crop((64, 64)), atol=1e-9)


def test_row_41_not_square_images_keep_the_aspect():
    # 192 by 256: the box is narrower than 3 to 4, so its width is grown to 120.
    found = affine.apply(crop((192, 256)), CORNERS)
    np.testing.assert_allclose(found, [(32, 0), (160, 0), (160, 256), (32, 256)], atol=1e-9)
    # 256 wide, 192 high: the width is grown to 160 * 4 / 3.
    found = affine.apply(crop((256, 192)), CORNERS)
    np.testing.assert_allclose(found, [(80, 0), (176, 0), (176, 192), (80, 192)], atol=1e-9)


def test_row_41_fitting_the_short_side_cuts_the_long_one():
    framing = Framing(mode="affine", centre="half", fits_short_side=True)
    found = affine.apply(crop((256, 256), framing), CORNERS)
    np.testing.assert_allclose(found[:, 0], [0, 256, 256, 0], atol=1e-9)
    np.testing.assert_allclose(found[:, 1], [-128, -128, 384, 384], atol=1e-9)


def test_row_41_the_box_is_limited_to_the_stored_image():
    framing = Framing(mode="affine", centre="half", padding=4.0, limit_to_image=True)
    found = crop((256, 256), framing, stored=(300, 200))
    assert found[0, 0] == pytest.approx(256 / 300)
    unlimited = crop((256, 256), Framing(mode="affine", padding=4.0), stored=(300, 200))
    assert unlimited[0, 0] == pytest.approx(256 / 640)


def test_row_41_padding_grows_the_box():
    framing = Framing(mode="affine", centre="half", padding=1.25)
    assert crop((288, 384), framing)[0, 0] == pytest.approx(384 / 200)


def test_row_41_exact_crops_map_areas_onto_each_other():
    # The outer edges of the box land on the outer edges of the image.
    found = affine.apply(crop((256, 256), EXACT), [(140 - 80, 50), (140 + 80, 210)])
    np.testing.assert_allclose(found, [(-0.5, -0.5), (255.5, 255.5)], atol=1e-9)
    small = affine.at_resolution(crop((256, 256), EXACT), 1 / 4)
    np.testing.assert_allclose(small, crop((64, 64), EXACT), atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(
    zoom=st.floats(0.3, 3),
    roll=st.floats(-4, 4),
    flip=st.booleans(),
    points=st.lists(st.tuples(st.floats(-500, 900), st.floats(-500, 900)), min_size=1, max_size=5),
)
def test_row_41_the_inverse_leads_back(zoom, roll, flip, points):
    matrix = crop((192, 256), change=ViewChange(zoom=zoom, roll_rad=roll, is_flipped=flip))
    there = affine.apply(matrix, points)
    np.testing.assert_allclose(affine.apply(affine.inverse(matrix), there), points, atol=1e-4)


def test_a_roll_turns_clockwise_on_the_screen():
    matrix = affine.similarity(2.0, np.pi / 2, (10, 20), (0, 0))
    np.testing.assert_allclose(
        affine.apply(matrix, [(11, 20), (10, 21)]), [(0, 2), (-2, 0)], atol=1e-9
    )


def test_nan_stays_nan():
    assert np.isnan(affine.apply(crop((64, 64)), [(np.nan, 1.0)])).all()


@settings(deadline=None, max_examples=60)
@given(
    entries=st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    shift=st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
)
def test_the_camera_of_any_affine_crop_projects_into_it(entries, shift):
    linear = np.array(entries).reshape(2, 2)
    if abs(np.linalg.det(linear)) < 0.05:
        linear += np.diag([3.0, 3.0])
    matrix = np.hstack([linear, np.array(shift)[:, None]])
    camera = toy_crops.camera()
    world = camera.to_world(camera.back_project(toy_crops.joints2d(), 2500.0))
    target = affine.affine_camera(camera, matrix, (100, 80))
    expected = affine.apply(matrix, toy_crops.joints2d())
    np.testing.assert_allclose(target.project(world), expected, atol=1e-4)
    np.testing.assert_allclose(target.R @ target.R.T, np.eye(3), atol=1e-9)
    assert target.is_mirrored == (np.linalg.det(linear) < 0)
    assert target.K[0, 0] > 0
    assert target.K[1, 1] > 0
    assert target.K[1, 0] == 0


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-1, 1), min_size=8, max_size=8), st.booleans())
def test_the_camera_of_any_homography_projects_into_it(entries, flip):
    homography = np.diag([-1.5 if flip else 1.5, 1.2, 1.0])
    homography[0, 1], homography[1, 0] = 0.4 * entries[0], 0.4 * entries[1]
    homography[:2, 2] = 200 * np.array(entries[2:4])
    homography[2, :2] = 4e-4 * np.array(entries[4:6])
    camera = toy_crops.camera()
    world = camera.to_world(camera.back_project(toy_crops.joints2d(), 2500.0))
    target = affine.homography_camera(camera, homography, (100, 80))
    mapped = np.hstack([toy_crops.joints2d(), np.ones((17, 1))]) @ homography.T
    np.testing.assert_allclose(target.project(world), mapped[:, :2] / mapped[:, 2:], atol=1e-4)
    assert target.is_mirrored == flip


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), np.full((2, 3), np.nan), np.ones((3, 3))])
def test_matrices_that_no_camera_has_are_refused(matrix):
    with pytest.raises(CameraError):
        affine.affine_camera(toy_crops.camera(), matrix, (10, 10))
    with pytest.raises(CameraError):
        affine.homography_camera(toy_crops.camera(), matrix, (10, 10))
