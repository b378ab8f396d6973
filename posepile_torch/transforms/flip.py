"""Mirroring, as an augmentation of finished arrays and as a pair at test time, and undoing it.

Every function is its own inverse: applied to what a network says about a mirrored image, it gives
what it says about the image itself. All work on NumPy arrays and on torch tensors alike, with any
leading axes. ``mirror`` lists for each joint the index of its partner, as ``Skeleton.mirror``.

A point at column ``x`` of an image ``W`` pixels wide moves to ``W - 1 - x``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from posepile_torch.errors import RecipeError

Array = Any
"""A NumPy array or a torch tensor."""


def flipped_images(images: Array, *, channels_last: bool = False) -> Array:
    """Mirror images or masks ``[..., H, W]``, or with ``channels_last`` ``[..., H, W, C]``."""
    return _reversed(images, -2 if channels_last else -1)


def flipped_points(points: Array, width: int, mirror: Sequence[int]) -> Array:
    """Mirror 2D joints ``[..., J, 2]`` in an image of this width."""
    swapped = points[..., list(mirror), :]
    return _negated_x(swapped, width - 1)


def flipped_joints3d(joints: Array, mirror: Sequence[int]) -> Array:
    """Mirror camera-frame joints ``[..., J, 3]``: x changes sign.

    That is what the mirrored image shows if its principal point is mirrored, too; see
    :func:`flipped_intrinsics`.
    """
    return _negated_x(joints[..., list(mirror), :], 0)


def flipped_flags(flags: Array, mirror: Sequence[int]) -> Array:
    """Exchange left and right in what is known per joint, ``[..., J]``: masks, depths, weights."""
    return flags[..., list(mirror)]


def flipped_maps(maps: Array, mirror: Sequence[int], *, shift_px: int = 0) -> Array:
    """Mirror heatmaps or depth maps ``[..., J, H, W]``.

    Args:
        maps: One map per joint.
        mirror: Partner of each joint.
        shift_px: Move the mirrored maps right by so many pixels, repeating the first column. 1
            makes up for networks whose grid is half a pixel off after mirroring; then the
            function is no longer its own inverse.
    """
    result = _reversed(maps[..., list(mirror), :, :], -1)
    if not shift_px:
        return result
    if shift_px < 0 or shift_px >= result.shape[-1]:
        raise RecipeError(
            f"shift of {shift_px} px in maps {result.shape[-1]} px wide",
            rule="the shift is at least 0 and below the width",
        )
    columns = np.maximum(np.arange(result.shape[-1]) - shift_px, 0)
    return result[..., list(columns)]


def flipped_offsets(offsets: Array, mirror: Sequence[int]) -> Array:
    """Mirror offset maps ``[..., J, 2, H, W]``: x offsets change sign."""
    swapped = _reversed(offsets[..., list(mirror), :, :, :], -1)
    return _negated_component(swapped, -3)


def flipped_intrinsics(intrinsics: Array, width: int) -> Array:
    """Mirror intrinsic matrices ``[..., 3, 3]``: the principal point, and the skew."""
    result = _copied(intrinsics)
    result[..., 0, 1] = -result[..., 0, 1]
    result[..., 0, 2] = (width - 1) - result[..., 0, 2]
    return result


def merged(first: Array, second: Array) -> Array:
    """Average a prediction and the un-flipped prediction for the mirrored image."""
    return (first + second) / 2


def _reversed(array: Array, axis: int) -> Array:
    if isinstance(array, np.ndarray):
        return np.flip(array, axis)
    return array.flip(axis)


def _negated_x(points: Array, offset: float) -> Array:
    result = _copied(points)
    result[..., 0] = offset - result[..., 0]
    return result


def _negated_component(offsets: Array, axis: int) -> Array:
    result = _copied(offsets)
    view = result[(..., 0, *([slice(None)] * (-axis - 1)))]
    view *= -1
    return result


def _copied(array: Array) -> Array:
    return array.copy() if isinstance(array, np.ndarray) else array.clone()


__all__ = [
    "flipped_flags",
    "flipped_images",
    "flipped_intrinsics",
    "flipped_joints3d",
    "flipped_maps",
    "flipped_offsets",
    "flipped_points",
    "merged",
]
