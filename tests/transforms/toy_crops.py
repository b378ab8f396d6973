"""Stored crops with marks at the joints, for tests of what happens to them."""

from __future__ import annotations

import math

import cv2
import numpy as np

from posepile_torch import skeletons
from posepile_torch.camera import Camera
from posepile_torch.images import encode_jpeg
from posepile_torch.masks import Mask
from posepile_torch.record import Record

SIZE = (420, 400)
SKELETON = skeletons.get("coco_17")
BOX = np.array([130.0, 40.0, 150.0, 320.0])

# Joints that carry a mark; those of the face are too close to each other.
MARKED = [0, *range(5, 17)]

# The joints of somebody standing in BOX, as shares of it.
SHARES = np.array(
    [(50, 8), (54, 6), (46, 6), (58, 8), (42, 8), (66, 21), (34, 21), (78, 35), (22, 33), (72, 50)]
    + [(14, 46), (60, 52), (40, 52), (63, 73), (36, 74), (65, 94), (34, 95)]
) / (100, 100)  # fmt: skip


def joints2d() -> np.ndarray:
    """Pixels of the joints in the stored crop."""
    return BOX[:2] + SHARES * BOX[2:]


def camera(fov_rad: float = 0.7) -> Camera:
    """A camera of the stored crop, not level and far from the origin."""
    tilted = Camera.from_fov(SIZE, fov_rad, t=(4e6, -2e6, 1500.0), world_up=(0.1, -1.0, 0.2))
    return tilted.turned_towards(pixel=(250.0, 150.0)).rolled(0.1)


def person_mask() -> Mask:
    """A silhouette that fills most of BOX and covers all joints."""
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    points = np.round(joints2d()).astype(np.int32)
    for a, b in [(0, 5), (0, 6), (5, 7), (6, 8), (7, 9), (8, 10), (5, 12), (6, 11), (11, 13)] + [
        (12, 14), (13, 15), (14, 16), (11, 12), (5, 6)
    ]:  # fmt: skip
        cv2.line(mask, points[a].tolist(), points[b].tolist(), 1, 34)
    return Mask.from_array(mask)


def marks(image_size: tuple[int, int], points: np.ndarray, sigma: float) -> np.ndarray:
    """Bright, soft dots at points, float in 0..1."""
    x, y = np.meshgrid(np.arange(image_size[0]), np.arange(image_size[1]))
    drawn = np.zeros((image_size[1], image_size[0]))
    for px, py in points:
        drawn = np.maximum(drawn, np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2)))
    return drawn


def picture(sigma: float = 2.5) -> np.ndarray:
    """The stored crop: a dark person with bright marks before a green wall."""
    shade = person_mask().to_array()[..., None] * np.array([60.0, 60.0, 60.0])
    wall = (1 - person_mask().to_array()[..., None]) * np.array([20.0, 160.0, 40.0])
    dots = marks(SIZE, joints2d()[MARKED], sigma)[..., None]
    return np.round((shade + wall) * (1 - dots) + 220 * dots).astype(np.uint8)


def record(*, with_camera: bool = True, with_3d: bool = True, **changes) -> Record:
    """The record of the toy crop."""
    depth = 3000 + 200 * np.sin(np.arange(len(SKELETON)))
    own = camera() if with_camera else None
    values = {
        "id": "toy/0",
        "split": "train",
        "image_key": "toy.jpg",
        "image_size": SIZE,
        "box": BOX,
        "camera": own,
        "joints2d": joints2d(),
        "joints3d": own.to_world(own.back_project(joints2d(), depth)) if own and with_3d else None,
        "visible": np.ones(len(SKELETON), np.int8),
        "person_mask": person_mask(),
    }
    return Record(**{**values, **changes})


def jpeg(sigma: float = 2.5) -> bytes:
    """The stored crop, encoded."""
    return encode_jpeg(picture(sigma), 97, subsampling="444")


def mark_errors(image: np.ndarray, expected: np.ndarray, radius: float) -> np.ndarray:
    """Distances of marks found in an image from the joints ``[J, 2]``; NaN where unseen."""
    grey = image.astype(float).mean(axis=2)
    reach = math.ceil(2.5 * radius)
    errors = []
    for place in expected[MARKED]:
        if not np.isfinite(place).all():
            errors.append(np.nan)
            continue
        x, y = np.round(place).astype(int)
        window = grey[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        if window.shape != (2 * reach + 1, 2 * reach + 1):
            errors.append(np.nan)
            continue
        ys, xs = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        ring = np.hypot(xs, ys) > 0.8 * reach
        weight = np.abs(window - np.median(window[ring]))
        weight = np.where(
            np.hypot(xs, ys) <= reach, np.clip(weight - weight.max() / 3, 0, None), 0
        )
        if weight.max() < 10:
            errors.append(np.nan)
            continue
        found = np.array([(weight * xs).sum(), (weight * ys).sum()]) / weight.sum()
        errors.append(float(np.linalg.norm(found + (x, y) - place)))
    return np.array(errors)
