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


def training_view(raw, box, *, roll_rad, zoom, shift, side=256):
    """The camera of a training image, as MeTRAbs crops: shifted, turned, zoomed and rolled."""
    view = raw.turned_towards(pixel=boxes.centre(box) + shift).undistorted()
    ends = boxes.side_midpoints(box)
    ends = ends[2:] if box[3] >= box[2] else ends[:2]
    first, second = view.project_camera(raw.back_project(ends) @ (view.R @ raw.R.T).T)
    zoomed = view.zoomed(zoom * side / np.linalg.norm(second - first))
    return zoomed.with_size((side, side)).with_centred_principal_point().rolled(roll_rad)


def covered(view, raw, crop, box, grid=33):
    """For a grid of output pixels: are they in the box, in the raw image, in the stored crop."""
    x, y = np.meshgrid(*[np.linspace(0, side - 1, grid) for side in view.size])
    rays = view.back_project(np.stack([x, y], axis=-1))
    in_raw = raw.project_camera(rays @ (raw.R @ view.R.T).T)
    in_crop = crop.stored.project_camera(rays @ (crop.stored.R @ view.R.T).T)
    low, high = boxes.to_xyxy(box)[:2], boxes.to_xyxy(box)[2:]
    with np.errstate(invalid="ignore"):
        is_in_box = ((in_raw >= low) & (in_raw <= high)).all(axis=-1)
    return is_in_box, raw.is_in_view(in_raw), crop.stored.is_in_view(in_crop)


ROLLS = {"metrabs": 20, "nlf": 180, "hg3d": 60, "posewarper": 90}


@settings(max_examples=150, deadline=None)
@given(
    lens=st.sampled_from(list(LENSES)),
    x=st.floats(0.05, 0.95),
    y=st.floats(0.05, 0.95),
    long_side=st.floats(40, 400),
    aspect=st.floats(0.3, 3),
    recipe=st.sampled_from(list(ROLLS)),
    roll=st.floats(-1, 1),
    zoom=st.floats(0.75, 1.35),
    angle=st.floats(0, 2 * math.pi),
    shift=st.floats(0, 0.1),
)
def test_no_output_pixel_in_the_box_is_missing(
    lens, x, y, long_side, aspect, recipe, roll, zoom, angle, shift
):
    """For the whole augmentation range of every training recipe, full turns included."""
    raw = camera_with(LENSES[lens])
    sides = long_side * np.array([min(1, aspect), min(1, 1 / aspect)])
    box = boxes.clipped(np.array([*(SIZE * np.array([x, y]) - sides / 2), *sides]), SIZE)
    if min(box[2:]) < 8:
        return  # the plan's smallest box
    crop = plan_crop(raw, SIZE, box, Plan())
    shift_px = shift * max(box[2:]) * np.array([math.cos(angle), math.sin(angle)])
    view = training_view(
        raw, box, roll_rad=math.radians(roll * ROLLS[recipe]), zoom=zoom, shift=shift_px
    )
    is_in_box, is_in_raw, is_stored = covered(view, raw, crop, box)
    assert is_in_box.any()
    assert (is_stored | ~(is_in_box & is_in_raw)).all()


def missing_share(aspect, *, roll, zoom, shift):
    """Worst share of a training view that the raw image shows and the crop does not."""
    raw = Camera.from_fov((4000, 4000), math.radians(40), world_up=(0, -1, 0))
    sides = 300 * np.array([min(1, aspect), min(1, 1 / aspect)])
    box = np.array([*(2000 - sides / 2), *sides])
    crop = plan_crop(raw, raw.size, box, Plan())
    worst = 0.0
    for angle in np.linspace(0, 2 * math.pi, 8, endpoint=False):
        offset = shift * 300 * np.array([math.cos(angle), math.sin(angle)])
        view = training_view(raw, box, roll_rad=math.radians(roll), zoom=zoom, shift=offset)
        _, is_in_raw, is_stored = covered(view, raw, crop, box, grid=65)
        worst = max(worst, float((is_in_raw & ~is_stored).mean()))
    return worst


def test_how_much_background_may_be_missing():
    """The numbers that docs/converting.md states."""
    for roll in (0, 20, 45, 90):
        assert missing_share(1.0, roll=roll, zoom=0.75, shift=0.1) == 0
    assert missing_share(0.5, roll=20, zoom=0.86, shift=0.1) == 0
    assert missing_share(0.5, roll=20, zoom=0.75, shift=0.1) == pytest.approx(0.012, abs=0.002)
    assert missing_share(0.5, roll=45, zoom=0.75, shift=0.1) == pytest.approx(0.033, abs=0.003)
    assert missing_share(0.3, roll=20, zoom=0.75, shift=0.1) == pytest.approx(0.033, abs=0.003)
    assert missing_share(0.3, roll=45, zoom=0.75, shift=0.1) == pytest.approx(0.064, abs=0.004)


def test_crop_sides_in_long_sides_of_the_box():
    raw = Camera.from_fov((4000, 4000), math.radians(40), world_up=(0, -1, 0))
    for aspect, side in ((1.0, 2.08), (0.5, 1.70)):
        box = np.array([2000 - 150 * aspect, 1850, 300 * aspect, 300.0])
        crop = plan_crop(raw, raw.size, box, Plan())
        assert max(crop.stored.size) / max(crop.box[2:]) == pytest.approx(side, abs=0.02)


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
