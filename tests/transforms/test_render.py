"""Rendering: marks land where the cameras say, at every decoding scale."""

from __future__ import annotations

import math

import numpy as np
import pytest

from posepile_torch.camera import Camera
from posepile_torch.images import encode_jpeg
from posepile_torch.transforms import evaluation_camera, render

SIZE = (512, 384)


def dots(points: np.ndarray, sigma: float) -> np.ndarray:
    ys, xs = np.mgrid[: SIZE[1], : SIZE[0]]
    image = np.zeros((SIZE[1], SIZE[0]))
    for x, y in points:
        image = np.maximum(image, np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * sigma**2)))
    return np.repeat(np.round(255 * image).astype(np.uint8)[..., None], 3, axis=2)


def centroid(image: np.ndarray, near: np.ndarray, radius: int) -> np.ndarray:
    x, y = np.round(near).astype(int)
    window = image[y - radius : y + radius + 1, x - radius : x + radius + 1, 1].astype(float)
    window = np.clip(window - 8, 0, None)
    ys, xs = np.mgrid[y - radius : y + radius + 1, x - radius : x + radius + 1]
    return np.array([(window * xs).sum(), (window * ys).sum()]) / window.sum()


@pytest.mark.parametrize("side", [384, 192, 128, 64, 32])
def test_marks_land_where_the_camera_projects_them(side):
    stored = Camera.from_fov(SIZE, math.radians(50), world_up=(0, -1, 0))
    box = np.array([120.0, 40.0, 200.0, 300.0])
    target = evaluation_camera(stored, SIZE, box, side)
    assert target.size == (side, side)
    sigma = 1.8 * max(1.0, 300 / side)
    points = np.array([[170.3, 140.7], [265.2, 130.1], [215.5, 260.4]])
    image = render(encode_jpeg(dots(points, sigma), 98), stored, target)
    expected = target.project_camera(stored.back_project(points) @ (target.R @ stored.R.T).T)
    radius = math.ceil(3 * sigma * side / 300)
    found = np.array([centroid(image, point, radius) for point in expected])
    assert np.abs(found - expected).max() < 0.12


def test_the_box_fills_the_image_upright():
    stored = Camera.from_fov(SIZE, math.radians(50), world_up=(0.3, -1, 0.1)).rolled(0.7)
    box = np.array([200.0, 60.0, 90.0, 240.0])
    target = evaluation_camera(stored, SIZE, box, 256)
    ends = np.array([[245.0, 60.0], [245.0, 300.0]])
    placed = target.project_camera(stored.back_project(ends) @ (target.R @ stored.R.T).T)
    assert np.linalg.norm(placed[0] - placed[1]) == pytest.approx(256, abs=1e-6)
    middle = target.project_camera(
        stored.back_project(np.array([245.0, 180.0])) @ (target.R @ stored.R.T).T
    )
    np.testing.assert_allclose(middle, [127.5, 127.5], atol=1e-6)
    up = target.R @ target.world_up
    assert abs(up[0]) < 1e-9
    assert up[1] < 0


def test_without_a_camera_the_image_is_only_shifted_and_scaled():
    box = np.array([100.0, 80.0, 100.0, 50.0])
    target = evaluation_camera(None, SIZE, box, 200)
    from posepile_torch.transforms.geometry import weak_perspective_camera

    homography = weak_perspective_camera(SIZE).homography_to(target)
    homography /= homography[2, 2]
    np.testing.assert_allclose(homography[2], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(homography[:2, :2], 2 * np.eye(2), atol=1e-9)
    np.testing.assert_allclose(homography[:2] @ (150, 105, 1), [99.5, 99.5], atol=1e-9)
