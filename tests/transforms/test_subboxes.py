"""Parts of people: where the sub-boxes lie, and how often they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import toy_crops

from posepile_torch import boxes
from posepile_torch.skeleton import Skeleton
from posepile_torch.transforms import recipes
from posepile_torch.transforms.families import HalfBody, PartialView
from posepile_torch.transforms.streams import RandomKey
from posepile_torch.transforms.subboxes import half_body_box, partial_box

COUNT = 10_000
BOX = toy_crops.BOX
POSEWARPER = recipes.posewarper().half_body


def partial(numbers: PartialView, count: int = 3000) -> list:
    return [partial_box(BOX, numbers, RandomKey(3, 0, slot)) for slot in range(count)]


def test_row_50_parts_are_squares_within_the_squared_box():
    drawn = partial(PartialView(probability=1.0))
    assert all(box is not None for box in drawn)
    found = np.array(drawn)
    low, high = boxes.to_xyxy(boxes.squared(BOX)).reshape(2, 2)
    corners = boxes.to_xyxy(found)
    assert (corners[:, :2] >= low - 1e-9).all()
    assert (corners[:, 2:] <= high + 1e-9).all()
    np.testing.assert_allclose(found[:, 2], found[:, 3])
    share = found[:, 2] / 320
    assert 0.5 < share.min() < 0.51
    assert 0.9 < share.max() < 1
    # Left edges come from the left half, lower edges from the lower half.
    assert (corners[:, 0] <= low[0] + 160).all()
    assert (corners[:, 3] >= low[1] + 160).all()


def test_row_50_the_probability_is_kept_and_seeded():
    numbers = PartialView(probability=0.5)
    drawn = partial(numbers)
    assert np.mean([box is not None for box in drawn]) == pytest.approx(0.5, abs=0.03)
    for one, other in zip(drawn[:50], partial(numbers, 50), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one, other)
    assert all(box is None for box in partial(PartialView(), 50))


def test_row_50_large_parts_are_found_as_well():
    drawn = partial(PartialView(probability=1.0, least_side=0.75), 1000)
    assert np.mean([box is None for box in drawn]) < 0.01
    assert min(box[2] for box in drawn if box is not None) > 0.75 * 320


def half(joints2d, visible=None, numbers=POSEWARPER, count=COUNT, skeleton=toy_crops.SKELETON):
    return [
        half_body_box(BOX, joints2d, visible, skeleton, numbers, RandomKey(1, 0, slot))
        for slot in range(count)
    ]


def is_lower(box: np.ndarray) -> bool:
    return bool(boxes.centre(box)[1] > boxes.centre(BOX)[1])


def test_row_49_halves_come_with_their_frequencies():
    drawn = [box for box in half(toy_crops.joints2d()) if box is not None]
    assert len(drawn) / COUNT == pytest.approx(0.3, abs=0.015)
    assert np.mean([is_lower(box) for box in drawn]) == pytest.approx(1 - 0.6915, abs=0.03)


def test_row_49_the_box_holds_the_chosen_joints_and_room_around_them():
    points = toy_crops.joints2d()
    lower = np.array([11, 12, 13, 14, 15, 16])
    upper = np.setdiff1d(np.arange(17), lower)
    always = HalfBody(probability=1.0, upper_share=0.5)
    for box in half(points, numbers=always, count=100):
        chosen = points[lower if is_lower(box) else upper]
        np.testing.assert_allclose(box, boxes.scaled(boxes.around_points(chosen), 1.5))
        left, top, right, bottom = boxes.to_xyxy(box)
        assert (chosen >= (left, top)).all()
        assert (chosen <= (right, bottom)).all()


def test_row_49_it_takes_more_than_eight_visible_joints():
    points = toy_crops.joints2d()
    visible = np.ones(17, np.int8)
    visible[8:] = 0
    always = HalfBody(probability=1.0)
    assert all(box is None for box in half(points, visible, always, 50))
    visible[8] = 1
    assert all(box is not None for box in half(points, visible, always, 50))
    visible[:] = -1  # nothing said counts as visible
    assert all(box is not None for box in half(points, visible, always, 50))
    points[5:] = np.nan
    assert all(box is None for box in half(points, None, always, 50))
    assert all(box is None for box in half(None, None, always, 50))


def test_row_49_a_half_with_too_few_joints_gives_way_to_the_other():
    points = toy_crops.joints2d()
    points[11:15] = np.nan  # two joints of the lower body are left
    drawn = half(points, numbers=HalfBody(probability=1.0, upper_share=0.2), count=100)
    assert not any(is_lower(box) for box in drawn)


def test_row_49_without_two_halves_nothing_changes():
    plain = Skeleton.parse("dots", joints="pelv neck head nose spin", groups={})
    points = np.full((5, 2), 100.0)  # all in one place
    numbers = HalfBody(probability=1.0, more_than=2)
    assert all(box is None for box in half(points, numbers=numbers, count=20, skeleton=plain))
