"""Colour jitter: brightness, contrast, saturation and hue, applied in random order.

Two ways to compute it. ``"matrix"`` writes every step as an affine map of RGB, multiplies them,
and applies the product once; hue is then a turn about the grey axis in YIQ. ``"hsv"`` applies
them one after the other on float images, saturation and hue in HSV, with clipping around the
conversion, as the published MeTRAbs recipe does. Grey stays grey either way.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch.transforms.families import Colour
from posepile_torch.transforms.streams import RandomKey, between

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

STEPS = ("brightness", "contrast", "hue", "saturation")
"""Names of the steps."""

_ORDERS = tuple(itertools.permutations(STEPS))

# Luma, and two colour axes that are turned by a change of hue (NTSC).
_TO_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]]
)
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


@dataclass(frozen=True, kw_only=True)
class ColourChange:
    """One outcome of the jitter.

    Attributes:
        order: The steps in the order in which they apply.
        brightness: Shift, as a share of the full range.
        contrast: Factor about mid-grey.
        saturation: Factor.
        hue_rad: Turn of the colour circle.
    """

    order: tuple[str, ...] = STEPS
    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue_rad: float = 0.0


def drawn_colour(numbers: Colour, key: RandomKey) -> ColourChange | None:
    """Draw a change of colours, or None where there is none.

    Args:
        numbers: Ranges and probability.
        key: Decides the outcome; the family is called ``"colour"``.
    """
    u = key.uniforms("colour", 6).tolist()
    if u[0] >= numbers.probability:
        return None
    return ColourChange(
        order=_ORDERS[int(u[1] * len(_ORDERS))],
        brightness=between(u[2], -numbers.brightness, numbers.brightness),
        contrast=between(u[3], *numbers.contrast),
        saturation=between(u[4], *numbers.saturation),
        hue_rad=between(u[5], -numbers.hue_rad, numbers.hue_rad),
    )


def recoloured(image: Image, change: ColourChange, method: str = "matrix") -> Image:
    """Return the image with changed colours.

    Args:
        image: ``[H, W, 3]`` uint8 RGB.
        change: What to change.
        method: ``"matrix"`` or ``"hsv"``.
    """
    if method == "hsv":
        return _recoloured_hsv(image, change)
    return np.asarray(cv2.transform(image, colour_matrix(change)), np.uint8)


def colour_matrix(change: ColourChange) -> Floats:
    """Return the change as one affine map of RGB values 0..255, ``[3, 4]``."""
    linear, offset = np.eye(3), 0.0  # greys stay grey, so one offset serves all channels
    for step in change.order:
        if step == "brightness":
            offset += 255 * change.brightness
        elif step == "contrast":
            linear = linear * change.contrast
            offset = offset * change.contrast + 127.5 * (1 - change.contrast)
        elif step == "saturation":
            # Colours move towards or away from their own grey, which keeps the offset.
            linear = change.saturation * linear + (1 - change.saturation) * (_TO_YIQ[0] @ linear)
        else:
            linear = _hue_matrix(change.hue_rad) @ linear
    return np.column_stack([linear, (offset, offset, offset)])


def _hue_matrix(angle_rad: float) -> Floats:
    """Return the turn of all colours about the grey axis; red turns towards green."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    turn = np.array([[1.0, 0, 0], [0, c, s], [0, -s, c]])
    return np.asarray(_FROM_YIQ @ turn @ _TO_YIQ)


def _recoloured_hsv(image: Image, change: ColourChange) -> Image:
    values = image.astype(np.float32) * np.float32(1 / 255)
    for step in change.order:
        if step == "brightness":
            values += np.float32(change.brightness)
        elif step == "contrast":
            values -= np.float32(0.5)
            values *= np.float32(change.contrast)
            values += np.float32(0.5)
        else:
            values = _in_hsv(values, step, change)
    return np.asarray(np.clip(values, 0, 1) * 255 + 0.5, np.uint8)


def _in_hsv(values: NDArray[np.float32], step: str, change: ColourChange) -> NDArray[np.float32]:
    hsv = cv2.cvtColor(np.clip(values, 0, 1), cv2.COLOR_RGB2HSV)  # hue in degrees
    if step == "hue":
        hsv[..., 0] = np.mod(hsv[..., 0] + np.float32(math.degrees(change.hue_rad)), 360)
    else:
        hsv[..., 1] = np.clip(hsv[..., 1] * np.float32(change.saturation), 0, 1)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.float32)


__all__ = ["STEPS", "ColourChange", "colour_matrix", "drawn_colour", "recoloured"]
