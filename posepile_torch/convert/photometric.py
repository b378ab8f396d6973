"""Colour corrections that some recordings need, applied once, while their crops are made."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch.hints import Hints, PhotometricFix

# A cast is taken off in proportion to lightness, and by a tenth more than its mean: the constant
# that PosePile corrects MPI-INF-3DHP, MuPoTS-3D and Panoptic with.
_CAST_FACTOR = 1.1
_NEUTRAL = 128.0  # of the 8-bit a and b channels


def due_fixes(hints: Hints, sequence: str | None) -> tuple[PhotometricFix, ...]:
    """Return the corrections that the raw images of a sequence still need, in their order."""
    return tuple(
        fix
        for fix in hints.photometric
        if not fix.already_applied and (not fix.sequences or sequence in fix.sequences)
    )


def corrected(image: NDArray[np.uint8], fixes: Iterable[PhotometricFix]) -> NDArray[np.uint8]:
    """Return the image with colour corrections applied.

    ``gamma`` is an exponent on stored values in 0..1; the white balance moves a and b of CIELAB
    by the mean cast times lightness. Everything is computed in float32 and rounded once.

    Args:
        image: RGB uint8 ``[h, w, 3]``.
        fixes: The corrections, in the order in which they apply.
    """
    values: NDArray[np.float32] | None = None
    for fix in fixes:
        if values is None:
            values = image.astype(np.float32) / np.float32(255)
        if fix.gamma != 1:
            np.power(values, np.float32(fix.gamma), out=values)
        if fix.white_balance_ab is not None:
            values = _balanced(values, fix.white_balance_ab)
    if values is None:
        return image
    return np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)


def _balanced(values: NDArray[np.float32], cast_ab: tuple[float, float]) -> NDArray[np.float32]:
    lab = cv2.cvtColor(values, cv2.COLOR_RGB2Lab)
    lightness = lab[..., 0] / 100
    for channel, mean in enumerate(cast_ab, start=1):
        lab[..., channel] -= (mean - _NEUTRAL) * _CAST_FACTOR * lightness
    return np.clip(np.asarray(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), np.float32), 0, 1)


def marked_as_applied(hints: Hints) -> Hints:
    """Return the hints of an archive whose images were corrected, for its manifest."""
    fixes = tuple(dataclasses.replace(fix, already_applied=True) for fix in hints.photometric)
    return dataclasses.replace(hints, photometric=fixes)
