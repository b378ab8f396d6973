"""What recording and storing do to images: borders, poor JPEGs, noise; and the person's marker."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from posepile_torch.images import decode_jpeg, encode_jpeg
from posepile_torch.transforms.families import Artefacts, Occlusion
from posepile_torch.transforms.streams import RandomKey, between

Image = NDArray[np.uint8]

MARKER_COLOUR = (255, 0, 0)
"""RGB of the dot that names a person among several."""

_TRIES = 100  # about every third rectangle fits


def erased(image: Image, numbers: Occlusion, key: RandomKey) -> NDArray[np.int64]:
    """Fill a random rectangle with noise, in place.

    Area and aspect are drawn until the rectangle fits into the image at a place drawn with them.

    Args:
        image: ``[H, W, 3]`` uint8.
        numbers: Ranges of area and aspect.
        key: Decides the outcome; the family is called ``"erasing"``.

    Returns:
        ``[x, y, w, h]`` of the rectangle in whole pixels; no extent if it has no pixel.
    """
    height, width = image.shape[:2]
    random = key.generator("erasing")
    for u in random.random((_TRIES, 4)).tolist():
        area = between(u[0], *numbers.erase_area) * width * height
        aspect = between(u[1], *numbers.erase_aspect)
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        x, y = int(u[2] * width), int(u[3] * height)
        if x + w <= width and y + h <= height:
            noise = np.frombuffer(random.bytes(h * w * 3), np.uint8).reshape(h, w, 3)
            image[y : y + h, x : x + w] = noise
            return np.array([x, y, w, h])
    return np.zeros(4, np.int64)


def bordered(image: Image, numbers: Artefacts, key: RandomKey) -> None:
    """Cover each side of an image, with some probability, by a black, tilted border, in place.

    Args:
        image: ``[H, W, 3]`` uint8.
        numbers: Probability, depth and tilt.
        key: Decides the outcome; the family is called ``"border"``.
    """
    height, width = image.shape[:2]
    sides = ((0, 0, 1, 0), (1, 0, 1, 1), (1, 1, 0, 1), (0, 1, 0, 0))
    for u, corners in zip(key.uniforms("border", 12).reshape(4, 3).tolist(), sides, strict=True):
        if u[0] >= numbers.border_probability:
            continue
        a = np.array(corners[:2]) * (width - 1, height - 1)
        b = np.array(corners[2:]) * (width - 1, height - 1)
        along = (b - a) / max(float(np.linalg.norm(b - a)), 1.0)
        inwards = np.array([-along[1], along[0]])
        depth = u[1] * numbers.border_depth * (height if along[0] else width)
        slope = math.tan(between(u[2], -numbers.border_tilt_rad, numbers.border_tilt_rad))
        half = np.linalg.norm(b - a) / 2
        near, far = depth - slope * half, depth + slope * half
        outside = [b + 2 * half * -inwards, a + 2 * half * -inwards]
        quad = np.array([a + near * inwards, b + far * inwards, *outside])
        cv2.fillConvexPoly(image, np.round(quad).astype(np.int32), (0, 0, 0))


def marked(image: Image, centre: ArrayLike, diameter_px: float) -> None:
    """Draw a dot on a person, in place; nothing if the centre is outside the image."""
    x, y = (float(v) for v in np.asarray(centre))
    if 0 <= x < image.shape[1] and 0 <= y < image.shape[0]:
        radius = max(1, round(diameter_px / 2))
        cv2.circle(image, (round(x), round(y)), radius, MARKER_COLOUR, -1, cv2.LINE_AA)


def poorly_stored(image: Image, numbers: Artefacts, key: RandomKey) -> Image:
    """Return the image, or with some probability what is left of it after a poor JPEG.

    Args:
        image: ``[H, W, 3]`` uint8 RGB.
        numbers: Probability and quality.
        key: Decides the outcome; the family is called ``"jpeg"``.
    """
    u = key.uniforms("jpeg", 2).tolist()
    if u[0] >= numbers.jpeg_probability:
        return image
    low, high = numbers.jpeg_quality
    return decode_jpeg(encode_jpeg(image, low + int(u[1] * (high + 1 - low))))


def noisy(image: Image, numbers: Artefacts, key: RandomKey) -> Image:
    """Return the image, or with some probability the image with Gaussian sensor noise.

    Args:
        image: ``[H, W, 3]`` uint8.
        numbers: Probability, and largest standard deviation in grey levels.
        key: Decides the outcome; the family is called ``"noise"``.
    """
    random = key.generator("noise")
    u = random.random(2).tolist()
    if u[0] >= numbers.noise_probability:
        return image
    noise = random.standard_normal(image.shape, np.float32) * np.float32(
        u[1] * numbers.noise_levels
    )
    return np.clip(image + noise + np.float32(0.5), 0, 255).astype(np.uint8)


__all__ = ["MARKER_COLOUR", "bordered", "erased", "marked", "noisy", "poorly_stored"]
