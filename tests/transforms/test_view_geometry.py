"""The planned view: ranges of its random numbers, and cameras that agree with homographies."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import toy_crops
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch import boxes
from posepile_torch.camera import Camera, Lens
from posepile_torch.errors import BoxError, CameraError
from posepile_torch.transforms import affine, recipes
from posepile_torch.transforms.families import Framing, Geometry, Spread
from posepile_torch.transforms.geometry import (
    PLAIN_VIEW,
    ViewChange,
    drawn_view,
    planned,
    target_camera,
    weak_perspective_camera,
)
from posepile_torch.transforms.streams import RandomKey

CHANGES = st.builds(
    ViewChange,
    shift=st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2)),
    zoom=st.floats(0.6, 1.6),
    roll_rad=st.floats(-math.pi, math.pi),
    is_flipped=st.booleans(),
)


def draws(numbers: Geometry, count: int = 4000) -> list[ViewChange]:
    return [drawn_view(numbers, RandomKey(5, 0, slot)) for slot in range(count)]


def through(camera: Camera, target: Camera, pixels: np.ndarray) -> np.ndarray:
    return target.project_camera(camera.back_project(pixels) @ (target.R @ camera.R.T).T)


def test_row_48_shift_scale_and_roll_stay_within_the_published_bounds():
    views = draws(recipes.metrabs().geometry)
    shift = np.array([view.shift for view in views])
    radius = np.hypot(*shift.T)
    assert radius.max() <= 0.1
    assert radius.max() > 0.099
    # Uniform in the disc: half of the area lies beyond the radius times the root of a half.
    assert np.mean(radius > 0.1 * math.sqrt(0.5)) == pytest.approx(0.5, abs=0.03)
    assert np.abs(shift.mean(axis=0)).max() < 0.003
    zoom = np.array([view.zoom for view in views])
    assert 0.75 <= zoom.min() < 0.76
    assert 1.24 < zoom.max() < 1.25
    roll = np.degrees([view.roll_rad for view in views])
    assert 19.5 < np.abs(roll).max() <= 20
    assert abs(roll.mean()) < 0.7
    assert np.mean([view.is_flipped for view in views]) == pytest.approx(0.5, abs=0.03)


def test_row_48_a_full_turn_comes_with_its_probability():
    numbers = recipes.nlf().geometry
    assert numbers.full_turn_probability == 0.1
    roll = np.degrees([view.roll_rad for view in draws(numbers)])
    beyond = np.abs(roll) > 20
    assert beyond.mean() == pytest.approx(0.1 * 160 / 180, abs=0.02)
    assert np.abs(roll).max() > 175
    assert np.mean(roll[beyond] > 0) == pytest.approx(0.5, abs=0.1)


def test_row_47_equal_seeds_give_equal_numbers_in_both_modes():
    for numbers in (recipes.metrabs().geometry, recipes.posewarper().geometry):
        assert draws(numbers, 20) == draws(numbers, 20)
        assert drawn_view(numbers, RandomKey(6, 0, 0)) != drawn_view(numbers, RandomKey(5, 0, 0))


def test_row_47_the_clipped_gaussian_is_clipped_and_scales_the_box():
    views = draws(recipes.hg3d().geometry)
    box_scale = 1 / np.array([view.zoom for view in views])
    assert box_scale.min() == pytest.approx(0.75)
    assert box_scale.max() == pytest.approx(1.25)
    # One standard deviation is where it is clipped: 15.9 % to each side.
    assert np.mean(box_scale > 1.25 - 1e-9) == pytest.approx(0.159, abs=0.02)
    inner = box_scale[np.abs(box_scale - 1) < 0.2499]
    assert inner.std() == pytest.approx(0.25 * 0.5396, rel=0.05)
    roll = np.degrees([view.roll_rad for view in views])
    assert np.mean(roll == 0) == pytest.approx(0.4, abs=0.03)
    assert np.abs(roll).max() == pytest.approx(60)
    assert np.mean(np.abs(roll[roll != 0]) > 59.999) == pytest.approx(0.0455, abs=0.015)


def test_row_47_ranges_per_set_are_recipes_of_their_own():
    assert not np.any([view.roll_rad for view in draws(recipes.hg3d(data="3d").geometry, 200)])
    coco = draws(recipes.hg3d(data="coco").geometry, 2000)
    assert np.degrees([v.roll_rad for v in coco]).max() == pytest.approx(80)
    assert 1 / min(v.zoom for v in coco) == pytest.approx(1.3)
    own = recipes.metrabs().replaced(geometry={"scale": {"width": 0.05}}).geometry
    assert max(view.zoom for view in draws(own, 500)) < 1.05


def test_switching_one_range_off_leaves_the_others():
    full = recipes.nlf().geometry
    rest = dataclasses.replace(full, scale=Spread(), flip_probability=0.0)
    for one, other in zip(draws(full, 50), draws(rest, 50), strict=True):
        assert (one.shift, one.roll_rad) == (other.shift, other.roll_rad)
        assert other.zoom == 1
        assert not other.is_flipped


def test_records_that_must_not_be_mirrored_are_not():
    numbers = recipes.metrabs().geometry
    for slot in range(50):
        key = RandomKey(0, 0, slot)
        plain, kept = drawn_view(numbers, key), drawn_view(numbers, key, may_flip=False)
        assert not kept.is_flipped
        assert plain.roll_rad == kept.roll_rad


@pytest.mark.parametrize("framing", [Framing(), Framing(mode="affine"), Framing(padding=1.25)])
@pytest.mark.parametrize("with_camera", [True, False])
@settings(deadline=None, max_examples=40)
@given(change=CHANGES)
def test_camera_and_homography_say_the_same(framing, with_camera, change):
    camera = toy_crops.camera() if with_camera else None
    stored = camera or weak_perspective_camera(toy_crops.SIZE)
    target, homography = planned(
        camera, toy_crops.SIZE, toy_crops.BOX, (192, 256), framing, change
    )
    points = toy_crops.joints2d()
    homogeneous = np.hstack([points, np.ones((len(points), 1))]) @ homography.T
    expected = through(stored, target, points)
    np.testing.assert_allclose(homogeneous[:, :2] / homogeneous[:, 2:], expected, atol=1e-6)
    reference = stored.homography_to(target)
    np.testing.assert_allclose(
        homography / homography[2, 2], reference / reference[2, 2], rtol=1e-6, atol=1e-6
    )
    assert target.size == (192, 256)
    assert target.is_mirrored == change.is_flipped
    np.testing.assert_array_equal(target.t, stored.t)
    target.validated(allow_mirror=True)


@settings(deadline=None, max_examples=30)
@given(change=CHANGES)
def test_row_58_flipping_the_plan_flips_the_pixels(change):
    camera, points = toy_crops.camera(), toy_crops.joints2d()
    flips = [dataclasses.replace(change, is_flipped=flipped) for flipped in (False, True)]
    for framing in (Framing(), Framing(mode="affine"), Framing(mode="affine", centre="half")):
        plain, mirrored = (
            target_camera(camera, toy_crops.SIZE, toy_crops.BOX, (200, 256), framing, flip)
            for flip in flips
        )
        places = through(camera, plain, points)
        places[:, 0] = 199 - places[:, 0]
        np.testing.assert_allclose(through(camera, mirrored, points), places, atol=1e-6)


def test_row_42_the_box_fills_the_image_level_and_centred():
    camera = toy_crops.camera()
    for size in ((256, 256), (288, 384), (384, 288)):
        target = target_camera(camera, toy_crops.SIZE, toy_crops.BOX, size)
        _, _, top, bottom = boxes.side_midpoints(toy_crops.BOX)
        ends = through(camera, target, np.stack([top, bottom]))
        assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(size[1], abs=1e-6)
        middle = through(camera, target, boxes.centre(toy_crops.BOX))
        np.testing.assert_allclose(middle, (np.array(size) - 1) / 2, atol=1e-6)
        up = target.R @ target.world_up
        assert abs(up[0]) < 1e-9
        assert up[1] < 0
        assert target.K[0, 0] == target.K[1, 1]
        assert target.K[0, 1] == 0


def test_a_wide_box_fills_the_width():
    camera, box = toy_crops.camera(), np.array([60.0, 150.0, 300.0, 90.0])
    target = target_camera(camera, toy_crops.SIZE, box, (256, 256))
    left, right, _, _ = boxes.side_midpoints(box)
    ends = through(camera, target, np.stack([left, right]))
    assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(256, abs=1e-6)


def test_zoom_roll_and_shift_mean_what_they_say():
    camera = toy_crops.camera()
    plain = target_camera(camera, toy_crops.SIZE, toy_crops.BOX, (256, 256))
    change = ViewChange(zoom=1.5, roll_rad=math.pi / 2)
    turned = target_camera(camera, toy_crops.SIZE, toy_crops.BOX, (256, 256), change=change)
    offset = through(camera, plain, toy_crops.joints2d()) - 127.5
    expected = 127.5 + 1.5 * np.stack([-offset[:, 1], offset[:, 0]], axis=1)
    np.testing.assert_allclose(through(camera, turned, toy_crops.joints2d()), expected, atol=1e-6)
    change = ViewChange(shift=(0.1, 0.0))
    shifted = target_camera(camera, toy_crops.SIZE, toy_crops.BOX, (256, 256), change=change)
    middle = boxes.centre(toy_crops.BOX) + (32.0, 0.0)  # a tenth of the box's height
    np.testing.assert_allclose(through(camera, shifted, middle), [127.5, 127.5], atol=1e-6)


def test_projection_of_3d_joints_follows_an_affine_crop_of_a_camera_with_odd_pixels():
    camera = dataclasses.replace(
        toy_crops.camera(), K=np.array([[500.0, 3.0, 200.0], [0, 520.0, 190.0], [0, 0, 1]])
    )
    world = camera.to_world(camera.back_project(toy_crops.joints2d(), 3000.0))
    change = ViewChange(zoom=1.2, roll_rad=0.7, is_flipped=True)
    framing = Framing(mode="affine")
    target, homography = planned(
        camera, toy_crops.SIZE, toy_crops.BOX, (256, 192), framing, change
    )
    expected = affine.apply(homography[:2], toy_crops.joints2d())
    np.testing.assert_allclose(target.project(world), expected, atol=1e-5)


def test_impossible_geometry_is_refused():
    wide = Camera.from_fov(toy_crops.SIZE, math.radians(170), world_up=(0, -1, 0))
    box = np.array([0.0, -3000.0, 300.0, 6500.0])
    change = ViewChange(shift=(0.0, 0.49))
    with pytest.raises(BoxError, match="reaches behind"):
        target_camera(wide, toy_crops.SIZE, box, (64, 64), change=change)
    bent = dataclasses.replace(toy_crops.camera(), lens=Lens("brown-conrady", (0.1, 0, 0, 0, 0)))
    with pytest.raises(CameraError, match="lens"):
        target_camera(bent, toy_crops.SIZE, toy_crops.BOX, (64, 64))
    with pytest.raises(CameraError, match="lens"):
        target_camera(bent, toy_crops.SIZE, toy_crops.BOX, (64, 64), Framing(mode="affine"))


def test_the_plain_view_changes_nothing():
    assert ViewChange() == PLAIN_VIEW
    assert drawn_view(Geometry(), RandomKey(1)) == PLAIN_VIEW
