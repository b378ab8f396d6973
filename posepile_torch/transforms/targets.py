"""Targets other than heatmaps: depth per joint, offsets, 2.5D poses, plain coordinates.

All functions take one sample or any number of them on leading axes, as NumPy arrays. Lengths are
millimetres, image points pixels with centres at integers. What is not known is zero *and* masked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posepile_torch.errors import RecipeError
from posepile_torch.joint_names import bare_stem
from posepile_torch.skeleton import Skeleton

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


# ---------------------------------------------------------------------- depth


def pixel_scale(offsets_mm: ArrayLike, points_px: ArrayLike, known: ArrayLike) -> Floats:
    """Return how many pixels a millimetre is, by fitting 3D x and y to 2D points.

    The best similarity (scale, rotation, shift, no reflection) in the least-squares sense. Depths
    times this number are pixels, too, as if seen without perspective.

    Args:
        offsets_mm: ``[..., J, 2]`` or ``[..., J, 3]`` in the camera frame; z is not used.
        points_px: ``[..., J, 2]``.
        known: ``[..., J]`` bool: joints that both have.

    Returns:
        ``[...]`` pixels per millimetre; NaN where fewer than two different points are known.
    """
    use = np.asarray(known, np.bool_)[..., None]
    count = np.maximum(use.sum(axis=-2), 1)
    source = np.where(use, np.asarray(offsets_mm, np.float64)[..., :2], 0.0)
    target = np.where(use, np.asarray(points_px, np.float64), 0.0)
    source = np.where(use, source - (source.sum(axis=-2) / count)[..., None, :], 0.0)
    target = np.where(use, target - (target.sum(axis=-2) / count)[..., None, :], 0.0)
    variance = (source**2).sum(axis=(-1, -2))
    along = (source * target).sum(axis=(-1, -2))
    across = (source[..., 0] * target[..., 1] - source[..., 1] * target[..., 0]).sum(axis=-1)
    # One point, or points that all coincide, have no size to compare. The threshold is far below
    # a millimetre and far above the rounding of centred coordinates.
    is_sound = variance > 1e-6
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(is_sound, np.hypot(along, across) / variance, np.nan)


@dataclass(frozen=True, eq=False)
class DepthTargets:
    """Depth of each joint, and where in a depth map it is to be read.

    Attributes:
        depth: ``[..., J]`` float32, as a share of the crop's width; 0 where masked.
        index: ``[..., J]`` int64 into a map flattened from ``[H, W, J]``; 0 where masked.
        mask: ``[..., J]`` uint8: 1 where the depth counts.
    """

    depth: NDArray[np.float32]
    index: NDArray[np.int64]
    mask: NDArray[np.uint8]


def depth_targets(
    points: ArrayLike,
    depth_px: ArrayLike,
    known: ArrayLike,
    *,
    map_size: tuple[int, int],
    crop_width_px: ArrayLike,
) -> DepthTargets:
    """Make the targets of a network that reads one depth per joint at its heatmap pixel.

    A joint counts if its depth is known and its pixel, the point rounded down, lies in the map.
    The index of ``(x, y)`` in the map of joint ``j`` is ``y W J + x J + j``.

    Args:
        points: ``[..., J, 2]`` heatmap pixels.
        depth_px: ``[..., J]`` depths relative to the root, in pixels: millimetres times
            :func:`pixel_scale`. NaN counts as unknown.
        known: ``[..., J]`` bool.
        map_size: ``(width, height)`` of the depth map.
        crop_width_px: ``[...]`` width of the crop, in the pixels of ``depth_px``; x, y and z are
            then all shares of the crop.
    """
    places = np.asarray(points, np.float64)
    depth = np.asarray(depth_px, np.float64) / np.asarray(crop_width_px, np.float64)[..., None]
    width, height = map_size
    with np.errstate(invalid="ignore"):
        x, y = np.floor(places[..., 0]), np.floor(places[..., 1])
        is_inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    mask = np.asarray(known, np.bool_) & is_inside & np.isfinite(depth)
    joints = places.shape[-2]
    x, y = (np.where(mask, v, 0).astype(np.int64) for v in (x, y))
    index = np.where(mask, (y * width + x) * joints + np.arange(joints), 0)
    return DepthTargets(
        depth=np.where(mask, depth, 0).astype(np.float32),
        index=index.astype(np.int64),
        mask=mask.astype(np.uint8),
    )


def depth_maps(
    depth: ArrayLike,
    points: ArrayLike,
    known: ArrayLike,
    *,
    map_size: tuple[int, int],
    radius: float,
) -> tuple[NDArray[np.float32], Bools]:
    """Spread the depth of each joint over a disc around it.

    Args:
        depth: ``[..., J]``, in any unit.
        points: ``[..., J, 2]`` map pixels.
        known: ``[..., J]`` bool.
        map_size: ``(width, height)``.
        radius: Of the disc, in map pixels.

    Returns:
        The maps ``[..., J, H, W]``, zero outside the discs, and the discs, bool.
    """
    _, _, mask = _discs(points, known, map_size, radius)
    values = np.asarray(depth, np.float64)[..., None, None]
    return np.where(mask, values, 0.0).astype(np.float32), mask


def offset_maps(
    points: ArrayLike, known: ArrayLike, *, map_size: tuple[int, int], radius: float
) -> tuple[NDArray[np.float32], Bools]:
    """Store at each pixel near a joint the way that leads to it.

    Args:
        points: ``[..., J, 2]`` map pixels.
        known: ``[..., J]`` bool.
        map_size: ``(width, height)``.
        radius: Of the disc around the joint that is filled, in map pixels.

    Returns:
        The offsets ``[..., J, 2, H, W]`` (x, y) in map pixels, zero outside the discs, and the
        discs ``[..., J, H, W]``, bool.
    """
    dx, dy, mask = _discs(points, known, map_size, radius)
    dx, dy = np.broadcast_arrays(dx, dy)
    offsets = np.stack([dx, dy], axis=-3)
    return np.where(mask[..., None, :, :], offsets, 0.0).astype(np.float32), mask


def _discs(
    points: ArrayLike, known: ArrayLike, map_size: tuple[int, int], radius: float
) -> tuple[Floats, Floats, Bools]:
    places = np.asarray(points, np.float64)
    width, height = map_size
    dx = places[..., 0, None, None] - np.arange(width)
    dy = places[..., 1, None, None] - np.arange(height)[:, None]
    with np.errstate(invalid="ignore"):
        mask = dx**2 + dy**2 <= radius**2
    return dx, dy, mask & np.asarray(known, np.bool_)[..., None, None]


# ---------------------------------------------------------------------- coordinates


def normalised_points(points: ArrayLike, size: tuple[int, int]) -> Floats:
    """Map pixels ``[..., 2]`` to -1..1 across the width, the centre of the image being 0.

    x and y are divided by the same number, so that shapes keep their proportions.
    """
    centre = (np.array(size, np.float64) - 1) / 2
    return (np.asarray(points, np.float64) - centre) / (size[0] / 2)


def pixel_points(normalised: ArrayLike, size: tuple[int, int]) -> Floats:
    """Map normalised points back to pixels: the inverse of :func:`normalised_points`."""
    centre = (np.array(size, np.float64) - 1) / 2
    return np.asarray(normalised, np.float64) * (size[0] / 2) + centre


@dataclass(frozen=True, eq=False)
class Pose25D:
    """A pose as image position and depth relative to a root joint.

    Attributes:
        coordinates: ``[..., J, 3]`` float32: x and y as shares of the image (0 and 1 are its
            outer edges), z as a share of the depth range, 0.5 at the root; 0 where unknown.
        mask: ``[..., J]`` bool: joints that have all three.
    """

    coordinates: NDArray[np.float32]
    mask: Bools


def pose_25d(
    joints2d: ArrayLike,
    joints3d: ArrayLike,
    known: ArrayLike,
    *,
    root: int,
    image_size: tuple[int, int],
    depth_range_mm: float = 2200.0,
) -> Pose25D:
    """Make 2.5D targets.

    Args:
        joints2d: ``[..., J, 2]`` pixels.
        joints3d: ``[..., J, 3]`` in the camera frame, mm.
        known: ``[..., J]`` bool; without a known root nothing is.
        root: Index of the joint to which depths are relative.
        image_size: ``(width, height)``.
        depth_range_mm: Depth that the range 0..1 covers.
    """
    is_known = np.asarray(known, np.bool_)
    depth = np.asarray(joints3d, np.float64)[..., 2]
    share = (np.asarray(joints2d, np.float64) + 0.5) / image_size
    z = (depth - depth[..., root, None]) / depth_range_mm + 0.5
    mask = is_known & is_known[..., root, None]
    coordinates = np.concatenate([share, z[..., None]], axis=-1)
    return Pose25D(np.where(mask[..., None], coordinates, 0.0).astype(np.float32), mask)


def camera_pose(
    coordinates: ArrayLike,
    root_depth_mm: ArrayLike,
    intrinsics: ArrayLike,
    *,
    image_size: tuple[int, int],
    depth_range_mm: float = 2200.0,
) -> Floats:
    """Turn 2.5D coordinates back into camera-frame joints, given the depth of the root.

    Args:
        coordinates: ``[..., J, 3]`` as :func:`pose_25d` makes them.
        root_depth_mm: ``[...]`` z of the root.
        intrinsics: ``[..., 3, 3]`` of a pinhole camera.
        image_size: ``(width, height)``.
        depth_range_mm: Depth that the range 0..1 covers.

    Returns:
        ``[..., J, 3]`` mm.
    """
    values = np.asarray(coordinates, np.float64)
    pixels = values[..., :2] * image_size - 0.5
    depth = (values[..., 2] - 0.5) * depth_range_mm + np.asarray(root_depth_mm)[..., None]
    homogeneous = np.concatenate([pixels, np.ones_like(pixels[..., :1])], axis=-1)
    back = np.linalg.inv(np.asarray(intrinsics, np.float64))
    return np.asarray(homogeneous @ np.swapaxes(back, -1, -2) * depth[..., None])


# ---------------------------------------------------------------------- weights


def limb_weights(
    skeleton: Skeleton, *, middle: float = 1.2, end: float = 1.5
) -> NDArray[np.float32]:
    """Return one weight per joint: more for elbows and knees, most for wrists and ankles.

    The defaults are PoseWarper's. All other joints have weight 1.
    """
    weights = np.ones(len(skeleton), np.float32)
    for joint, name in enumerate(skeleton.joints):
        is_sided = skeleton.mirror[joint] != joint
        stem = bare_stem(name)[1:] if is_sided else bare_stem(name)
        if stem in ("elb", "kne"):
            weights[joint] = middle
        elif stem in ("wri", "ank"):
            weights[joint] = end
    return weights


def noisy_points(
    points: Floats,
    std: float,
    random: np.random.Generator,
    *,
    unit: str = "px",
    size: tuple[int, int] | None = None,
) -> Floats:
    """Add Gaussian noise to 2D points, as a stand-in for the errors of a detector.

    Args:
        points: ``[..., 2]`` pixels; NaN stays NaN.
        std: Standard deviation per coordinate.
        random: Where the noise comes from.
        unit: ``"px"``, or ``"normalised"`` for shares of half the image width.
        size: ``(width, height)`` of the image, for normalised noise.
    """
    if unit not in ("px", "normalised") or (unit == "normalised" and size is None):
        raise RecipeError(
            f"noise in unit {unit!r} for an image of size {size}",
            rule='unit is "px", or "normalised" with the size of the image',
        )
    if not (math.isfinite(std) and std >= 0):
        raise RecipeError(f"noise of standard deviation {std!r}", rule="it is finite, not below 0")
    scale = std if size is None or unit == "px" else std * size[0] / 2
    return points + scale * random.standard_normal(points.shape)


def gathered(maps: Any, index: Any) -> Any:
    """Read a network's maps at the indices of :class:`DepthTargets`, on the device.

    Args:
        maps: ``[B, J, H, W]`` torch tensor.
        index: ``[B, J]`` int64 torch tensor into maps flattened from ``[H, W, J]``.

    Returns:
        ``[B, J]`` torch tensor; gradients flow to ``maps``.
    """
    flat = maps.permute(0, 2, 3, 1).reshape(len(maps), -1)
    return flat.gather(1, index)


__all__ = [
    "DepthTargets",
    "Pose25D",
    "camera_pose",
    "depth_maps",
    "depth_targets",
    "gathered",
    "limb_weights",
    "noisy_points",
    "normalised_points",
    "offset_maps",
    "pixel_points",
    "pixel_scale",
    "pose_25d",
]
