"""Boxes: exact values, conventions, and what happens to bad annotations (faults 17 to 19)."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch import boxes
from posepile_torch.camera import Camera, Lens
from posepile_torch.errors import BoxError

coordinates = st.floats(-500, 500).map(lambda v: round(v, 3))
sides = st.floats(0.1, 400).map(lambda v: round(v, 3))
any_box = st.tuples(coordinates, coordinates, sides, sides).map(np.array)


def test_whole_image_has_the_image_centre_and_pixel_round_trip():
    whole = boxes.of_image((640, 480))
    assert whole.tolist() == [-0.5, -0.5, 640, 480]
    assert boxes.centre(whole).tolist() == [319.5, 239.5]
    assert boxes.to_pixels(whole) == (0, 0, 640, 480)
    assert boxes.to_pixels(boxes.of_pixels(3, 5, 1, 2)) == (3, 5, 1, 2)


def test_to_pixels_covers_the_box_without_a_needless_pixel():
    # Pixel 10 spans 9.5 to 10.5. A box from 9.6 to 12.4 needs pixels 10, 11 and 12.
    assert boxes.to_pixels([9.6, 0.0, 2.8, 0.4]) == (10, 0, 3, 1)
    assert boxes.to_pixels([9.4, -0.6, 1.2, 1.0]) == (9, -1, 3, 2)


@given(any_box)
@settings(max_examples=50, deadline=None)
def test_to_pixels_is_the_smallest_cover(box):
    x, y, w, h = boxes.to_pixels(box)
    cover = boxes.to_xyxy(boxes.of_pixels(x, y, w, h))
    edges = boxes.to_xyxy(box)
    slack = 1e-5
    assert (cover[:2] <= edges[:2] + slack).all()
    assert (cover[2:] >= edges[2:] - slack).all()
    assert (cover[:2] > edges[:2] - 1).all()
    assert (cover[2:] < edges[2:] + 1).all()


def test_corner_forms_and_midpoints():
    box = np.array([10.0, 20, 30, 40])
    assert boxes.to_xyxy(box).tolist() == [10, 20, 40, 60]
    assert boxes.from_xyxy([10, 20, 40, 60]).tolist() == box.tolist()
    assert boxes.side_midpoints(box).tolist() == [[10, 40], [40, 40], [25, 20], [25, 60]]
    assert boxes.corners(box).tolist() == [[10, 20], [40, 20], [40, 60], [10, 60]]
    many = np.stack([box, box + 1])
    assert boxes.side_midpoints(many).shape == (2, 4, 2)
    assert np.array_equal(boxes.side_midpoints(many)[1], boxes.side_midpoints(box + 1 - [0] * 4))


def test_around_points_leaves_out_nan_and_invisible_points():
    points = np.array([[1.0, 2], [5, 9], [np.nan, 3], [100, 100]])
    visible = [1, 1, 1, 0]
    assert boxes.around_points(points, visible).tolist() == [1, 2, 4, 7]
    assert boxes.around_points(points).tolist() == [1, 2, 99, 98]
    with pytest.raises(BoxError, match="no finite, visible point"):
        boxes.around_points(points, [0, 0, 1, 0])


def test_scaled_and_squared_keep_the_centre():
    box = [10.0, 20, 30, 40]
    assert boxes.scaled(box, 2).tolist() == [-5, 0, 60, 80]
    assert boxes.scaled(box, (1, 0.5)).tolist() == [10, 30, 30, 20]
    assert boxes.squared(box).tolist() == [5, 20, 40, 40]
    assert boxes.area(box) == 1200


def test_intersection_hull_and_iou_by_hand():
    a, b, far = [0.0, 0, 10, 10], [5.0, 5, 10, 10], [100.0, 100, 5, 5]
    assert boxes.intersection(a, b).tolist() == [5, 5, 5, 5]
    assert boxes.area(boxes.intersection(a, far)) == 0
    assert boxes.hull([a, b]).tolist() == [0, 0, 15, 15]
    matrix = boxes.iou([a, b], [a, b, far])
    assert matrix.shape == (2, 3)
    assert matrix == pytest.approx(np.array([[1, 25 / 175, 0], [25 / 175, 1, 0]]))
    with pytest.raises(BoxError, match="no boxes"):
        boxes.hull(np.zeros((0, 4)))


def test_iou_of_boxes_without_area_is_zero_not_nan():
    assert boxes.iou([0.0, 0, 0, 0], [0.0, 0, 0, 0]).tolist() == [[0.0]]


@given(any_box, any_box)
@settings(max_examples=50, deadline=None)
def test_iou_is_symmetric_and_bounded(a, b):
    forward, backward = boxes.iou(a, b)[0, 0], boxes.iou(b, a)[0, 0]
    assert forward == pytest.approx(backward)
    assert 0 <= forward <= 1 + 1e-12
    assert boxes.iou(a, a)[0, 0] == pytest.approx(1)
    assert boxes.area(boxes.hull([a, b])) >= max(boxes.area(a), boxes.area(b)) - 1e-9


def test_clipped_stops_at_the_outer_edges_of_pixels():
    assert boxes.clipped([-10.0, 5, 1000, 10], (100, 50)).tolist() == [-0.5, 5, 100, 10]
    outside = boxes.clipped([200.0, 200, 5, 5], (100, 50))
    assert boxes.area(outside) == 0


def test_transformed_by_a_flip():
    flip = [[-1, 0, 99], [0, 1, 0], [0, 0, 1]]
    assert boxes.transformed([-0.5, 0, 10, 20], flip).tolist() == [89.5, 0, 10, 20]
    with pytest.raises(BoxError, match="horizon"):
        boxes.transformed([0.0, 0, 10, 10], [[1, 0, 0], [0, 1, 0], [-1, 0, 5]])


def camera(lens=None):
    return Camera(
        R=np.eye(3),
        t=np.zeros(3),
        K=np.array([[800.0, 0, 319.5], [0, 800, 239.5], [0, 0, 1]]),
        size=(640, 480),
        lens=lens or Lens.none(),
        world_up=(0, -1, 0),
    )


def test_reprojected_follows_a_crop_and_a_resize_exactly():
    source = camera()
    target = source.cropped((100, 50, 200, 300)).resized((100, 150))
    box = boxes.of_pixels(120, 70, 40, 80)
    # Cropping moves the edge by 100 px; halving maps the outer edge -0.5 to itself.
    expected = [(119.5 - 100 + 0.5) / 2 - 0.5, (69.5 - 50 + 0.5) / 2 - 0.5, 20, 40]
    assert boxes.reprojected(box, source, target) == pytest.approx(np.array(expected))


def test_reprojected_takes_lens_distortion_into_account():
    source = camera(Lens("brown-conrady", (-0.2, 0.05, 0.0, 0.0, 0.0)))
    target = source.undistorted()
    box = np.array([20.0, 30, 100, 200])
    found = boxes.reprojected(box, source, target)
    points = target.project_camera(source.back_project(boxes.side_midpoints(box)))
    assert found == pytest.approx(boxes.around_points(points))
    assert np.abs(found - box).max() > 1  # the lens moves it


def test_reprojected_behind_the_camera_is_refused_or_unbounded():
    source = camera()
    away = Camera(
        R=np.diag([-1.0, 1, -1]),
        t=np.zeros(3),
        K=source.K,
        size=source.size,
        world_up=(0, -1, 0),
    )
    with pytest.raises(BoxError, match="in front of the target"):
        boxes.reprojected([10.0, 10, 20, 20], source, away)
    limits = boxes.reprojected([10.0, 10, 20, 20], source, away, by="corners")
    assert limits[2] > 1e8


def test_reprojected_by_corners_holds_the_whole_box():
    source = camera()
    target = source.rolled(math.radians(20))
    box = np.array([100.0, 100, 50, 200])
    by_corners = boxes.reprojected(box, source, target, by="corners")
    by_sides = boxes.reprojected(box, source, target)
    assert boxes.area(by_corners) > boxes.area(by_sides)


@pytest.mark.parametrize(
    "bad",
    [
        [0, 0, 0, 10],
        [0, 0, 10, -1],
        [np.nan, 0, 1, 1],
        [0, 0, np.inf, 1],
        [1, 2, 3],
        [],
        None,
        "abcd",
        [[0, 0, 1, 1]],
    ],
)
def test_validated_refuses(bad):
    with pytest.raises(BoxError) as caught:
        boxes.validated(bad, where="seq/3")
    assert caught.value.where == "seq/3"
    assert caught.value.fix


def test_validated_gives_a_new_float64_array():
    raw = np.array([1, 2, 3, 4], dtype=np.int16)
    box = boxes.validated(raw)
    assert box.dtype == np.float64
    box[0] = 99
    assert raw[0] == 1


JOINTS = np.array([[10.0, 10], [30, 50], [np.nan, np.nan]])


@pytest.mark.parametrize("bad", [[5, 5, 0, 10], [5, 5, -3, 10], [np.nan] * 4, [], None])
def test_fault_17_and_19_bad_or_absent_boxes_are_rebuilt_from_joints(bad):
    vetted = boxes.vetted(bad, (100, 100), points=JOINTS)
    assert (vetted.status, vetted.reason) == ("repaired", "rebuilt")
    assert vetted.box == pytest.approx(boxes.scaled([10, 10, 20, 40], 1.05))


def test_fault_17_and_19_without_joints_the_person_is_dropped_with_a_reason():
    assert boxes.vetted([5, 5, 0, 10], (100, 100)) == (None, "dropped", "invalid")
    assert boxes.vetted([], (100, 100)) == (None, "dropped", "absent")
    assert boxes.vetted(None, (100, 100), points=np.full((3, 2), np.nan))[1:] == (
        "dropped",
        "absent",
    )
    one_joint = np.array([[10.0, 10]])
    assert boxes.vetted(None, (100, 100), points=one_joint).status == "dropped"


def test_fault_18_outside_and_huge_boxes():
    assert boxes.vetted([200, 200, 10, 10], (100, 100)) == (None, "dropped", "outside")
    huge = boxes.vetted([-1e6, -1e6, 2e6, 2e6], (100, 80))
    assert (huge.status, huge.reason) == ("repaired", "clipped")
    assert huge.box.tolist() == [-0.5, -0.5, 100, 80]
    sliver = boxes.vetted([98.5, 10, 50, 50], (100, 100))
    assert (sliver.status, sliver.reason) == ("dropped", "too_small")
    assert boxes.vetted([98.5, 10, 50, 50], (100, 100), min_side_px=1).reason == "clipped"


def test_a_sound_box_stays_as_it_is():
    vetted = boxes.vetted([10, 10, 20, 30], (100, 100), points=JOINTS)
    assert (vetted.box.tolist(), vetted.status, vetted.reason) == ([10, 10, 20, 30], "ok", "")


def test_arrays_that_hold_no_boxes_are_refused():
    with pytest.raises(BoxError, match=r"shape \(3,\)"):
        boxes.centre([1, 2, 3])
