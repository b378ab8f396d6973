"""Crops that only shift, scale, roll and mirror the image in its plane.

They are for 2D data without a camera, and for reproducing pipelines that crop this way. A matrix
is ``[2, 3]`` and maps pixels of the stored image to pixels of the crop, pixel centres at integers.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posepile_torch.errors import CameraError

if TYPE_CHECKING:
    from posepile_torch.camera import Camera
    from posepile_torch.transforms.families import Framing
    from posepile_torch.transforms.geometry import ViewChange

Floats = NDArray[np.float64]


def crop_matrix(
    box: Floats,
    image_size: tuple[int, int],
    stored_size: tuple[int, int],
    framing: Framing,
    change: ViewChange,
) -> Floats:
    """Return the matrix that puts a box into an image.

    The box is padded, its shorter side grown to the aspect of the image (or its longer one, see
    :class:`~posepile_torch.transforms.families.Framing`), and its centre lands in the centre of
    the image.

    Args:
        box: The person's ``[x, y, w, h]`` in the stored image.
        image_size: ``(width, height)`` of the image to make.
        stored_size: ``(width, height)`` of the stored image, for ``limit_to_image``.
        framing: The numbers of the crop.
        change: What is changed beyond that.
    """
    x, y, w, h = box.tolist()
    width, height = image_size
    long_side = max(w, h)
    from_x = x + w / 2 + change.shift[0] * long_side
    from_y = y + h / 2 + change.shift[1] * long_side
    pick = min if framing.fits_short_side else max
    shown = framing.padding * pick(w, h * width / height)  # width of the grown box
    if framing.limit_to_image:
        shown = min(shown, max(stored_size) * min(1.0, width / height))
    scale = width / shown * change.zoom
    half = 0.5 if framing.centre == "half" else 0.0
    matrix = similarity(
        scale,
        change.roll_rad,
        (from_x, from_y),
        ((width - 1) / 2 + half, (height - 1) / 2 + half),
    )
    if change.is_flipped:
        matrix[0] *= -1
        matrix[0, 2] += width - 1
    return matrix


def similarity(
    scale: float, roll_rad: float, source: tuple[float, float], target: tuple[float, float]
) -> Floats:
    """Return the matrix that scales, rolls, and takes the point ``source`` to ``target``.

    A positive roll turns the content clockwise on the screen.
    """
    c, s = scale * math.cos(roll_rad), scale * math.sin(roll_rad)
    return np.array(
        [
            [c, -s, target[0] - c * source[0] + s * source[1]],
            [s, c, target[1] - s * source[0] - c * source[1]],
        ]
    )


def inverse(matrix: ArrayLike) -> Floats:
    """Return the matrix of the way back, from pixels of the crop to pixels of the image."""
    array = np.asarray(matrix, np.float64)
    back = np.linalg.inv(array[:, :2])
    return np.concatenate([back, -back @ array[:, 2:]], axis=1)


def apply(matrix: ArrayLike, points: ArrayLike) -> Floats:
    """Map points ``[..., 2]``; NaN stays NaN."""
    array = np.asarray(matrix, np.float64)
    return np.asarray(points, np.float64) @ array[:, :2].T + array[:, 2]


def at_resolution(matrix: ArrayLike, factor: float, *, grid: str = "exact") -> Floats:
    """Return the matrix of the same crop at another resolution, as a heatmap has.

    Args:
        matrix: The crop.
        factor: New side over old side, 1/4 for most heatmaps.
        grid: ``"exact"`` maps the areas that pixels cover, ``(x + 0.5) f - 0.5``; ``"scaled"``
            multiplies coordinates, which is what making one matrix per resolution with half the
            size as the centre amounts to.
    """
    result = np.asarray(matrix, np.float64) * factor
    if grid == "exact":
        result[:, 2] += (factor - 1) / 2
    return result


def affine_camera(camera: Camera, matrix: ArrayLike, size: tuple[int, int]) -> Camera:
    """Return the camera whose image is an affine crop of another camera's image.

    The matrix becomes part of the intrinsics and of the roll, so 3D joints project into the crop
    as before. The principal point goes where the matrix takes it; stretched pixels of a rolled
    camera become skew; a mirroring matrix gives a mirrored camera.

    Args:
        camera: A pinhole camera.
        matrix: ``[2, 3]``, invertible.
        size: ``(width, height)`` of the crop.

    Raises:
        CameraError: If the matrix is singular or not finite, or the camera has a lens.
    """
    array = np.asarray(matrix, np.float64)
    if array.shape != (2, 3) or not np.isfinite(array).all() or not camera.is_pinhole:
        raise CameraError(
            f"no affine crop of a camera with lens {camera.lens.model!r} by {array.tolist()}",
            rule="the camera is a pinhole, the matrix is [2, 3], finite and invertible",
        )
    (a, b), (c, d) = (array[:, :2] @ camera.K[:2, :2]).tolist()
    # RQ decomposition of a 2 by 2 matrix: upper triangular with positive diagonal, times a
    # rotation or reflection of the image plane.
    lower = math.hypot(c, d)
    determinant = a * d - b * c
    if not abs(determinant) > 1e-12 * lower * math.hypot(a, b):
        raise CameraError(
            f"matrix {array.tolist()} is singular", rule="a crop keeps the image two-dimensional"
        )
    sin, cos = c / lower, d / lower
    side = math.copysign(1.0, determinant)
    shift = array[:, :2] @ camera.K[:2, 2] + array[:, 2]
    K = np.array(
        [
            [abs(determinant) / lower, a * sin + b * cos, shift[0]],
            [0.0, lower, shift[1]],
            [0.0, 0.0, 1.0],
        ]
    )
    turn = np.array([[side * cos, -side * sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return dataclasses.replace(camera, R=turn @ camera.R, K=K, size=size)


def homography_camera(camera: Camera, homography: ArrayLike, size: tuple[int, int]) -> Camera:
    """Return the camera whose image is a perspective warp of another camera's image.

    Every invertible homography is what some camera at the same place sees, with a turned optical
    axis and other intrinsics, skew included.

    Args:
        camera: A pinhole camera.
        homography: ``[3, 3]``, maps pixels of its image to pixels of the new one; its third
            coordinate is positive where the new camera sees.
        size: ``(width, height)`` of the new image.

    Raises:
        CameraError: If the homography is singular or not finite, or the camera has a lens.
    """
    array = np.asarray(homography, np.float64)
    is_fine = array.shape == (3, 3) and bool(np.isfinite(array).all()) and camera.is_pinhole
    if not is_fine or abs(np.linalg.det(array)) < 1e-12:
        raise CameraError(
            f"no camera sees an image with lens {camera.lens.model!r} warped by {array.tolist()}",
            rule="the camera is a pinhole, the homography is [3, 3], finite and invertible",
        )
    # RQ decomposition through QR of the matrix read backwards.
    product = array @ camera.K
    q, r = np.linalg.qr(product[::-1].T)
    upper, turn = r.T[::-1, ::-1], q.T[::-1]
    signs = np.where(np.diag(upper) < 0, -1.0, 1.0)
    upper, turn = upper * signs, turn * signs[:, None]
    return dataclasses.replace(camera, R=turn @ camera.R, K=_clean(upper / upper[2, 2]), size=size)


def _clean(K: Floats) -> Floats:
    """Put exact zeros and ones where rounding left traces."""
    K = np.triu(K)
    K[2] = (0.0, 0.0, 1.0)
    return K


__all__ = [
    "affine_camera",
    "apply",
    "at_resolution",
    "crop_matrix",
    "homography_camera",
    "inverse",
    "similarity",
]
