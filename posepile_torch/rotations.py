"""Rotation matrices from and to the forms in which datasets store them.

Matrices are ``[..., 3, 3]`` and act on column vectors: ``x' = R x``. Angles are radians. Whether a
stored rotation is world-to-camera or camera-to-world is the dataset's business: the transpose of
the matrix is the inverse rotation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posepile_torch.errors import CameraError

Floats = NDArray[np.float64]

_NEARLY_UPRIGHT = 1e-6  # sine of the angle to the up vector below which roll has no meaning


def from_rotvec(rotvec: ArrayLike) -> Floats:
    """Return the matrices of rotation vectors ``[..., 3]``: unit axis times angle in radians."""
    vector = _last_axis(rotvec, 3, "rotation vectors")
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    cross = _cross_matrix(vector)
    # sin(a)/a and (1 - cos(a))/a^2 through sinc, which is exact at zero.
    first = np.sinc(angle / np.pi)
    second = np.sinc(angle / (2 * np.pi)) ** 2 / 2
    return np.asarray(np.eye(3) + first * cross + second * (cross @ cross))


def to_rotvec(matrix: ArrayLike) -> Floats:
    """Return the rotation vectors ``[..., 3]`` of rotation matrices, with angles up to pi.

    Raises:
        CameraError: If a matrix is a reflection, which no rotation vector can express.
    """
    rotation = _last_axis(matrix, 3, "rotation matrices")
    if rotation.ndim < 2 or rotation.shape[-2] != 3 or (np.linalg.det(rotation) <= 0).any():
        raise CameraError(
            f"no rotation vector for a matrix of shape {rotation.shape}"
            if rotation.shape[-2:] != (3, 3)
            else "a reflection has no rotation vector",
            rule="rotation matrices are [..., 3, 3] with determinant +1",
            fix="store mirrored cameras as matrices",
        )
    quaternion = _to_quaternion(rotation)
    scalar, vector = quaternion[..., :1], quaternion[..., 1:]
    sine = np.linalg.norm(vector, axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, scalar)
    # For tiny angles the ratio tends to 2.
    ratio = np.where(sine > 1e-12, angle / np.where(sine > 1e-12, sine, 1), 2.0)
    return np.asarray(vector * ratio)


def from_quaternion(wxyz: ArrayLike) -> Floats:
    """Return the matrices of quaternions ``[..., 4]``, scalar part first; length is ignored.

    Raises:
        CameraError: If a quaternion is zero.
    """
    quaternion = _last_axis(wxyz, 4, "quaternions")
    length = np.linalg.norm(quaternion, axis=-1, keepdims=True)
    if (length == 0).any():
        raise CameraError(
            "a quaternion is zero",
            rule="a quaternion has four numbers (w, x, y, z), not all zero",
            fix="skip this camera if its calibration is missing",
        )
    quaternion = quaternion / length
    scalar, vector = quaternion[..., 0, None, None], quaternion[..., 1:]
    cross = _cross_matrix(vector)
    return np.asarray(np.eye(3) + 2 * scalar * cross + 2 * (cross @ cross))


def levelled(forward: Floats, up: Floats, *, like: Floats) -> Floats:
    """Return the world-to-camera matrix of a level camera that looks along ``forward``.

    Rows are the camera's x (right), y (down) and z (forward) axes in the world. When ``forward``
    is parallel to ``up``, where level means nothing, the x axis of ``like`` is kept as far as it
    can be.

    Args:
        forward: ``[3]`` viewing direction in the world, of any length but zero.
        up: ``[3]`` direction that points up in the image.
        like: ``[3, 3]`` matrix whose handedness the result has: mirrored stays mirrored.
    """
    forward = forward / np.linalg.norm(forward)
    is_mirrored = np.linalg.det(like) < 0
    right = _cross(forward, up)
    if not np.linalg.norm(right) > _NEARLY_UPRIGHT * np.linalg.norm(up):
        # One of the two image axes is at least 45 degrees away from the optical axis.
        right = _cross(_cross(forward, like[0]), forward)
        if np.linalg.norm(right) < 0.5 * np.linalg.norm(like[0]):
            right = _cross(like[1], forward)
        if is_mirrored:
            right = -right
    right /= np.linalg.norm(right)
    return np.stack([-right if is_mirrored else right, _cross(forward, right), forward])


def _cross(a: Floats, b: Floats) -> Floats:
    """Return the cross product of two vectors; ten times as fast as numpy's for any shape."""
    (ax, ay, az), (bx, by, bz) = a.tolist(), b.tolist()
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def _to_quaternion(rotation: Floats) -> Floats:
    """Return unit quaternions with a scalar part of at least zero.

    The symmetric matrix below has the quaternion as the eigenvector of its largest eigenvalue;
    unlike the formulae with a case for each axis, this is accurate everywhere, and gives the
    nearest rotation for a matrix that is orthonormal to a few digits only.
    """
    r = rotation
    symmetric = np.zeros((*r.shape[:-2], 4, 4))
    trace = np.trace(r, axis1=-2, axis2=-1)
    symmetric[..., 0, 0] = trace
    symmetric[..., 1:, 1:] = r + np.swapaxes(r, -1, -2) - trace[..., None, None] * np.eye(3)
    axis = np.stack(
        [r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]],
        axis=-1,
    )
    symmetric[..., 0, 1:] = symmetric[..., 1:, 0] = axis
    quaternion = np.linalg.eigh(symmetric)[1][..., -1]
    return np.asarray(np.where(quaternion[..., :1] < 0, -quaternion, quaternion))


def _cross_matrix(vector: Floats) -> Floats:
    """Return the matrices ``[v]`` with ``[v] x = v cross x``."""
    x, y, z = np.moveaxis(vector, -1, 0)
    zero = np.zeros_like(x)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _last_axis(values: ArrayLike, length: int, what: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != length:
        raise CameraError(
            f"{what} have the shape {array.shape}",
            rule=f"{what} have {length} numbers on the last axis",
            fix="check the order of the axes",
        )
    return array
