"""Between stored pixel values and amounts of light.

Stored 8-bit values are spaced for the eye, not for sums: the mean of a black and a white pixel is
as bright as the value 188, not 128. Whatever averages pixels (resizing, warping, blending) should
therefore work on amounts of light, which are float32 in ``[0, 1]`` here.

Two transfer curves are offered: ``"srgb"``, the one that image files are made with
(IEC 61966-2-1, linear near black, then a power of 2.4), and ``"gamma22"``, the plain power of 2.2
that older preparation code for these datasets uses.
"""

from __future__ import annotations

import functools
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import ImageError, UnknownNameError

Curve = Literal["srgb", "gamma22"]

CURVES: tuple[Curve, ...] = ("srgb", "gamma22")
"""Known transfer curves."""

_CODES = 65535  # largest index of the table back; it is spaced by the square root of the light


def to_linear(image: NDArray[np.uint8], curve: Curve = "srgb") -> NDArray[np.float32]:
    """Turn stored pixel values into amounts of light.

    Args:
        image: uint8, ``[H, W]`` or ``[H, W, C]``.
        curve: ``"srgb"`` or ``"gamma22"``.

    Returns:
        float32 of the same shape, 0 (black) to 1 (white).
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ImageError(
            f"image is {image.dtype} of shape {image.shape}",
            rule="stored pixel values are uint8, [H, W] or [H, W, C]",
            fix="decode images with posepile_torch.images",
        )
    result: NDArray[np.float32] = cv2.LUT(image, _light_of_values(curve))
    return result.reshape(image.shape)


def from_linear(light: NDArray[np.float32], curve: Curve = "srgb") -> NDArray[np.uint8]:
    """Turn amounts of light into stored pixel values, rounded to the nearest.

    ``from_linear(to_linear(image))`` is the image, bit by bit.

    Args:
        light: float32 of any shape; values outside ``[0, 1]`` are clipped, NaN is black.
        curve: ``"srgb"`` or ``"gamma22"``.

    Returns:
        uint8 of the same shape.
    """
    # The square root is exact on every machine, unlike a power, and close to both curves, so that
    # the entries of the table are evenly used.
    index = np.sqrt(np.fmin(np.fmax(light, np.float32(0)), np.float32(1)))
    index *= np.float32(_CODES)
    index += np.float32(0.5)
    return np.take(_values_of_light(curve), index.astype(np.uint16))


@functools.cache
def _light_of_values(curve: Curve) -> NDArray[np.float32]:
    return _decode(np.arange(256) / 255, curve).astype(np.float32)


@functools.cache
def _values_of_light(curve: Curve) -> NDArray[np.uint8]:
    light = (np.arange(_CODES + 1) / _CODES) ** 2
    return np.round(255 * _encode(light, curve)).astype(np.uint8)


def _decode(value: NDArray[np.float64], curve: Curve) -> NDArray[np.float64]:
    if curve == "srgb":
        return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    if curve == "gamma22":
        return value**2.2
    raise UnknownNameError.among("transfer curve", curve, CURVES)


def _encode(light: NDArray[np.float64], curve: Curve) -> NDArray[np.float64]:
    if curve == "srgb":
        return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    if curve == "gamma22":
        return light ** (1 / 2.2)
    raise UnknownNameError.among("transfer curve", curve, CURVES)
