"""The stored crop: its camera, its pixels, and the room it leaves for training."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch import boxes
from posepile_torch.camera import Camera, Lens
from posepile_torch.convert.crop import plan_crop
from posepile_torch.convert.plan import Plan
from posepile_torch.masks import Mask

SIZE = (640, 480)
LENSES = {
    "none": Lens.none(),
    "brown-conrady": Lens.brown_conrady([-0.2, 0.06, 0.001, -0.0015, 0.0]),
    "kannala-brandt": Lens.kannala_brandt([0.02, -0.01, 0.002, -0.0005]),
}


def camera_with(lens: Lens) -> Camera:
    base = Camera.from_fov(SIZE, math.radians(70), world_up=(0, 0, 1))
    looking = Camera(R=base.R, t=np.array([0.0, -4000.0, 1200.0]), K=base.K, size=SIZE, lens=lens)
    return looking.turned_towards(np.array([0.0, 0.0, 900.0]))


def dot_image(points: np.ndarray) -> np.ndarray:
    """Gaussian white dots on black, exact to the sub-pixel."""
    ys, xs = np.mgrid[: SIZE[1], : SIZE[0]]
    image = np.zeros((SIZE[1], SIZE[0]))
    for x, y in points:
        image = np.maximum(image, np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * 2.0**2)))
    return np.repeat(np.round(255 * image).astype(np.uint8)[..., None], 3, axis=2)


def centroid(image: np.ndarray, near: np.ndarray, radius: int = 9) -> np.ndarray:
    x, y = np.round(near).astype(int)
    window = image[y - radius : y + radius + 1, x - radius : x + radius + 1, 0].astype(float)
    ys, xs = np.mgrid[y - radius : y + radius + 1, x - radius : x + radius + 1]
    return np.array([(window * xs).sum(), (window * ys).sum()]) / window.sum()


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("oversampling", [1.5, 0.4])
def test_drawn_joints_lie_where_the_stored_camera_projects_them(lens, oversampling):
    raw = camera_with(LENSES[lens])
    joints = np.array([[-250.0, 50.0, 500.0], [150.0, -100.0, 1500.0], [300.0, 0.0, 900.0]])
    image = dot_image(raw.project(joints))
    box = boxes.scaled(boxes.around_points(raw.project(joints)), 1.1)
    plan = Plan(oversampling=oversampling)
    crop = plan_crop(raw, SIZE, box, plan)
    pixels = crop.image(image)
    assert (pixels.shape[1], pixels.shape[0]) == crop.stored.size
    for joint in crop.stored.project(joints):
        assert np.linalg.norm(centroid(pixels, joint) - joint) < 0.15
    np.testing.assert_allclose(
        crop.points(raw.project(joints)), crop.stored.project(joints), atol=1e-6
    )


def test_the_box_is_centred_and_the_camera_level():
    raw = camera_with(LENSES["brown-conrady"]).rolled(0.4)
    crop = plan_crop(raw, SIZE, np.array([300.0, 180.0, 60.0, 140.0]), Plan())
    axis = crop.stored.K[:2, 2]
    np.testing.assert_allclose(boxes.centre(crop.box), axis, atol=1.0)
    up = crop.stored.R @ crop.stored.world_up
    assert abs(up[0]) < 1e-9
    assert up[1] < 0


def test_the_long_side_is_limited_and_nothing_is_enlarged_beyond_the_plan():
    raw = camera_with(Lens.none())
    large = plan_crop(raw, SIZE, np.array([100.0, 20.0, 300.0, 440.0]), Plan())
    assert max(large.box[2:]) <= 384 * 1.02
    small = plan_crop(raw, SIZE, np.array([300.0, 200.0, 30.0, 60.0]), Plan())
    assert max(small.box[2:]) == pytest.approx(1.2 * 60, rel=0.03)


@settings(max_examples=60, deadline=None)
@given(
    width=st.floats(20, 300),
    height=st.floats(40, 400),
    roll=st.floats(-30, 30),
    scale=st.floats(0.85, 1.25),
    angle=st.floats(0, 2 * math.pi),
    shift=st.floats(0, 1),
)
def test_the_room_suffices_for_every_augmentation(width, height, roll, scale, angle, shift):
    """Nothing inside the rolled, shifted, zoomed training view of the box is missing."""
    raw = Camera.from_fov((4000, 4000), math.radians(60), world_up=(0, -1, 0))
    box = np.array([2000 - width / 2, 2000 - height / 2, width, height])
    plan = Plan(upscaling_limit=1e9)
    crop = plan_crop(raw, raw.size, box, plan)
    side = 256
    jitter = 0.1 * max(width, height) * shift * np.array([math.cos(angle), math.sin(angle)])
    centre = boxes.centre(box) + jitter
    view = raw.turned_towards(pixel=centre)
    ends = view.project_camera(raw.back_project(boxes.side_midpoints(box)) @ (view.R @ raw.R.T).T)
    tall = height >= width
    length = np.linalg.norm(ends[2] - ends[3] if tall else ends[0] - ends[1])
    view = (
        view.zoomed(scale * side / length).with_size((side, side)).with_centred_principal_point()
    )
    view = view.rolled(math.radians(roll))
    # Where the person's own box lies in the training view, its pixels must be stored.
    corners = boxes.corners(box)
    corners = corners + 0.02 * (boxes.centre(box) - corners)
    in_view = view.project_camera(raw.back_project(corners) @ (view.R @ raw.R.T).T)
    inside = np.clip(in_view, 0, side - 1)
    back = crop.stored.project_camera(view.back_project(inside) @ (crop.stored.R @ view.R.T).T)
    original = crop.stored.project_camera(raw.back_project(corners) @ (crop.stored.R @ raw.R.T).T)
    wanted = np.where((in_view == inside).all(axis=1)[:, None], original, back)
    low, high = -0.5, np.array(crop.stored.size) - 0.5
    assert (wanted >= low - 1e-6).all()
    assert (wanted <= high + 1e-6).all()


def test_masks_follow_the_image():
    raw = camera_with(LENSES["brown-conrady"])
    disc = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    cv2.circle(disc, (330, 250), 60, 1, -1)
    crop = plan_crop(raw, SIZE, np.array([260.0, 180.0, 140.0, 140.0]), Plan())
    warped = crop.mask(Mask.from_array(disc)).to_array()
    image = crop.image(np.repeat(255 * disc[..., None], 3, axis=2))[..., 0] > 127
    union = (warped > 0) | image
    assert ((warped > 0) & image).sum() / union.sum() > 0.98


def test_data_without_camera_are_cropped_and_scaled_only():
    box = np.array([100.0, 50.0, 100.0, 200.0])
    crop = plan_crop(None, SIZE, box, Plan())
    points = np.array([[120.0, 60.0], [180.0, 240.0], [130.0, 100.0]])
    moved = crop.points(points)
    differences = np.diff(moved, axis=0) / np.diff(points, axis=0)
    np.testing.assert_allclose(differences, differences[0, 0], rtol=0.01)
    image = crop.image(dot_image(points))
    for point in moved:
        assert np.linalg.norm(centroid(image, point) - point) < 0.15
