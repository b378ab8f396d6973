"""The gate that every camera from a raw file passes, and what may be wrong when it does not fit.

Errors name the value, the rule and the likely cause. Lengths are mm, pixels have integer centres.
"""

from __future__ import annotations

import dataclasses
import reprlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posepile_torch.errors import CameraError

if TYPE_CHECKING:
    from posepile_torch.camera import Camera

Floats = NDArray[np.float64]

ORTHONORMAL_TOLERANCE = 1e-3
"""Largest accepted entry of ``|R R^T - I|``."""

PRINCIPAL_POINT_RANGE = 2.0
"""The principal point must lie inside the image enlarged by this factor about its centre."""

EVIDENCE_TOLERANCE = 0.02
"""Largest accepted median reprojection error, as a share of the image diagonal."""


def frozen_array(name: str, value: object, shape: tuple[int, ...]) -> Floats:
    """Return ``value`` as a read-only float64 copy of the given shape, or raise CameraError."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != shape:
        got = "null" if value is None else f"{reprlib.repr(value)}"
        raise CameraError(
            f"{name} is {got}",
            rule=f"{name} is an array of {'x'.join(map(str, shape))} numbers",
            fix="skip this camera if its calibration is missing",
        )
    array.flags.writeable = False
    return array


def as_size(size: object, *, is_known: bool = True) -> tuple[int, int]:
    """Return ``(width, height)`` as two Python integers, or raise CameraError.

    With ``is_known=False`` zero and negative sizes pass, for calibrations that lack the size; the
    gate refuses them later and can say where they came from.
    """
    match size:  # the usual case, for the sake of speed
        case (int(width), int(height)) if width > 0 and height > 0:
            return int(width), int(height)
    try:
        values = np.asarray(size, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if (
        values.shape != (2,)
        or not (values == np.round(values)).all()
        or not (np.abs(values) < 2**31).all()
        or (is_known and not (values > 0).all())
    ):
        raise CameraError(
            f"image size {size!r}",
            rule="an image size is (width, height) in whole pixels",
            fix="take it from the image if the calibration does not have it",
        )
    return int(values[0]), int(values[1])


def as_whole_pixels(box_xywh: object) -> tuple[int, int, int, int]:
    """Return a box ``[x, y, width, height]`` as four Python integers, or raise CameraError."""
    try:
        values = np.asarray(box_xywh, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if (
        values.shape != (4,)
        or not (values == np.round(values)).all()
        or not (np.abs(values) < 2**31).all()
        or not (values[2:] > 0).all()
    ):
        raise CameraError(
            f"crop box {box_xywh!r}",
            rule="a crop is [x, y, width, height] in whole pixels with a positive size",
            fix="round the box before cropping",
        )
    x, y, width, height = (int(v) for v in values)
    return x, y, width, height


def inverse(name: str, matrix: Floats) -> Floats:
    """Return the inverse of a square matrix, or raise CameraError if it has none."""
    try:
        result = np.asarray(np.linalg.inv(matrix), np.float64)
    except np.linalg.LinAlgError:
        result = np.full_like(matrix, np.nan)
    if not np.isfinite(result).all():
        raise CameraError(
            f"{name} has no inverse: {matrix.tolist()}",
            rule=f"{name} is invertible",
            fix="pass cameras from raw files through validated() to learn what is wrong",
        )
    return result


def check_same_centre(source: Camera, target: Camera) -> None:
    """Raise CameraError unless both cameras share their optical centre."""
    if not source.shares_centre_with(target):
        distance = float(np.linalg.norm(source.t - target.t))
        raise CameraError(
            f"optical centres are {distance:g} mm apart",
            rule="an image can be warped only between cameras with the same optical centre",
            fix="derive the target camera from the source camera (turned_towards, cropped, ...)",
        )


def check_camera(camera: Camera, *, where: object, allow_mirror: bool) -> None:
    """Raise CameraError for the first rule of a real camera that is broken."""
    for name in ("R", "t", "K", "world_up"):
        value = getattr(camera, name)
        if not np.isfinite(value).all():
            raise CameraError(
                f"{name} has entries that are not finite: {value.tolist()}",
                where=where,
                rule="all camera values are finite numbers",
                fix="skip this camera, and name it in the list of skipped items",
            )
    _check_size(camera, where)
    _check_intrinsics(camera, where)
    _check_rotation(camera, where, allow_mirror)
    if not camera.world_up.any():
        raise CameraError(
            "world_up is the zero vector",
            where=where,
            rule="world_up is a direction",
            fix="give the axis that points up in this dataset's world",
        )


def _check_size(camera: Camera, where: object) -> None:
    if min(camera.size) <= 0:
        raise CameraError(
            f"image size {camera.size}",
            where=where,
            rule="width and height are known and positive",
            fix="take the size from the image: camera.with_size((width, height))",
        )


def _check_intrinsics(camera: Camera, where: object) -> None:
    K = camera.K
    # Decompositions of projection matrices leave a rounding error in the place of the zero.
    if not np.array_equal(K[2], [0, 0, 1]) or abs(K[1, 0]) > 1e-9 * abs(K[0, 0]):
        is_transposed = np.array_equal(K[:, 2], [0, 0, 1]) and K[2, :2].any()
        raise CameraError(
            f"K is {K.tolist()}",
            where=where,
            rule="K is [[fx, skew, cx], [0, fy, cy], [0, 0, 1]]",
            fix="K looks transposed (MATLAB stores it so): pass K.T"
            if is_transposed
            else "divide K by its last entry and move any rotation in it to R",
        )
    if not (K[0, 0] > 0 and K[1, 1] > 0):
        raise CameraError(
            f"focal lengths ({K[0, 0]:g}, {K[1, 1]:g})",
            where=where,
            rule="focal lengths are above zero, in pixels",
            fix="negate the matching rows of K and R if the axes of the dataset point elsewhere",
        )
    size = np.array(camera.size)
    if not (np.abs(K[:2, 2] - (size - 1) / 2) <= PRINCIPAL_POINT_RANGE * size / 2).all():
        raise CameraError(
            f"principal point ({K[0, 2]:g}, {K[1, 2]:g}) for an image of {size[0]} x {size[1]}",
            where=where,
            rule=f"the principal point lies inside {PRINCIPAL_POINT_RANGE:g}x the image",
            fix="check that width and height are not swapped and that K is for this resolution",
        )


def _check_rotation(camera: Camera, where: object, allow_mirror: bool) -> None:
    deviation = float(np.abs(camera.R @ camera.R.T - np.eye(3)).max())
    if deviation > ORTHONORMAL_TOLERANCE:
        raise CameraError(
            f"R is not a rotation: |R R^T - I| reaches {deviation:.3g}",
            where=where,
            rule=f"R is orthonormal within {ORTHONORMAL_TOLERANCE:g}",
            fix="check the order and the units of the stored numbers (quaternion, Euler, rotvec)",
        )
    if np.linalg.det(camera.R) < 0 and not allow_mirror:
        raise CameraError(
            "R is a reflection: its determinant is -1",
            where=where,
            rule="R is a rotation with determinant +1",
            fix="one axis of the dataset points the other way; if the images really are mirrored, "
            "pass allow_mirror=True and document it as a quirk",
        )


@dataclasses.dataclass(frozen=True)
class ReprojectionReport:
    """How well a camera explains known pairs of world points and pixels.

    Attributes:
        pairs: Number of pairs in which both points are finite.
        behind: How many of them have their world point behind the camera.
        outside_lens: How many lie in front of it, but outside the valid region of its lens.
        median_px: Median distance in pixels; infinite if most points have no projection.
        hint: The common mistake that would explain the pairs far better, if there is one.
    """

    pairs: int
    behind: int
    outside_lens: int
    median_px: float
    hint: str | None


def compare_with_evidence(
    camera: Camera, world: ArrayLike, pixels: ArrayLike
) -> ReprojectionReport:
    """Project world points and compare them with their known pixels; look for common mistakes.

    Tried are a transposed ``R``, a translation given as the optical centre, axes that point
    elsewhere, a mirrored image, and metres for millimetres.

    Args:
        camera: The camera in doubt.
        world: ``[N, 3]`` points in mm; NaN where unknown.
        pixels: ``[N, 2]`` their pixels; NaN where unknown.
    """
    points, marks = np.asarray(world, np.float64), np.asarray(pixels, np.float64)
    if points.ndim != 2 or points.shape[1:] != (3,) or marks.shape != (len(points), 2):
        raise CameraError(
            f"evidence has the shapes {points.shape} and {marks.shape}",
            rule="evidence is world points [N, 3] and as many pixels [N, 2]",
            fix="flatten people and frames into one axis",
        )
    known = np.isfinite(points).all(axis=1) & np.isfinite(marks).all(axis=1)
    points, marks = points[known], marks[known]
    if not len(points):
        raise CameraError(
            "no pair of a world point and a pixel is known",
            rule="evidence holds at least one finite pair",
            fix="leave evidence out for frames without labels",
        )
    median = _median_error(camera, points, marks)
    is_behind = camera.to_camera(points)[:, 2] <= 0
    is_lost = np.isnan(camera.project(points)).any(axis=1)
    hint = None
    if median > _tolerance_px(camera):
        errors = {
            text: _median_error(other, points * scale, marks)
            for text, other, scale in _alternatives(camera)
        }
        best = min(errors, key=errors.__getitem__)
        if errors[best] <= max(_tolerance_px(camera), 0.1 * median) and np.isfinite(errors[best]):
            hint = f"{best} ({errors[best]:.3g} px then)"
    return ReprojectionReport(
        pairs=len(points),
        behind=int(is_behind.sum()),
        outside_lens=int((is_lost & ~is_behind).sum()),
        median_px=median,
        hint=hint,
    )


def check_evidence(camera: Camera, world: ArrayLike, pixels: ArrayLike, *, where: object) -> None:
    """Raise CameraError if the camera does not put the world points near their pixels."""
    report = compare_with_evidence(camera, world, pixels)
    if report.median_px <= _tolerance_px(camera):
        return
    what = f"joints project {report.median_px:.3g} px away from their labels (median)"
    if report.behind == report.pairs:
        what = f"all {report.pairs} points lie behind the camera"
    elif not np.isfinite(report.median_px):
        what = (
            f"of {report.pairs} points {report.behind} lie behind the camera and "
            f"{report.outside_lens} outside the valid region of its lens"
        )
    raise CameraError(
        what,
        where=where,
        rule=f"the median reprojection error is below {_tolerance_px(camera):.3g} px "
        f"({EVIDENCE_TOLERANCE:.0%} of the image diagonal)",
        fix=report.hint or "compare units, axes and frame numbers of the 3D and 2D labels",
    )


def _tolerance_px(camera: Camera) -> float:
    return EVIDENCE_TOLERANCE * float(np.hypot(*camera.size))


def _median_error(camera: Camera, world: Floats, pixels: Floats) -> float:
    error = np.linalg.norm(camera.project(world) - pixels, axis=-1)
    return float(np.median(np.where(np.isnan(error), np.inf, error)))


def _alternatives(camera: Camera) -> list[tuple[str, Camera, float]]:
    """Return explanation, camera, and the factor that the world points would need."""
    R, t = camera.R, camera.t

    def variant(R: Floats = R, t: Floats = t) -> Camera:
        return dataclasses.replace(camera, R=R, t=t)

    return [
        ("R looks transposed: pass R.T", variant(R=R.T), 1.0),
        ("t looks like T of x_cam = R X + T: use from_extrinsics()", variant(t=-R.T @ t), 1.0),
        (
            "R looks transposed and t looks like T of x_cam = R X + T: "
            "use from_extrinsics() with R.T",
            variant(R=R.T, t=-R @ t),
            1.0,
        ),
        (
            "the camera looks like an OpenGL one (y up, z backward): negate rows 1 and 2 of R",
            variant(R=np.diag([1.0, -1.0, -1.0]) @ R),
            1.0,
        ),
        (
            "the camera looks the other way: negate rows 0 and 2 of R",
            variant(R=np.diag([-1.0, 1.0, -1.0]) @ R),
            1.0,
        ),
        (
            "the image looks upside down: negate rows 0 and 1 of R",
            variant(R=np.diag([-1.0, -1.0, 1.0]) @ R),
            1.0,
        ),
        (
            "the image looks mirrored: use flipped()",
            variant(R=np.diag([-1.0, 1.0, 1.0]) @ R),
            1.0,
        ),
        ("t looks like metres: multiply it by 1000", variant(t=t * 1000), 1.0),
        ("the points look like metres: multiply them by 1000", camera, 1000.0),
    ]
