"""Does a record make sense? Contradictions between its fields, and numbers no person has.

An *error* is a contradiction that no correct conversion produces; a *warning* marks what exists
in real data but deserves a look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from posepile_torch import boxes
from posepile_torch.errors import CameraError
from posepile_torch.record import Record
from posepile_torch.skeleton import Skeleton

#: ``(kind, message, is_warning)``
Finding = tuple[str, str, bool]

_BOX_MARGIN = 2.0  # joints are looked for in the box enlarged so many times
_REPROJECTION_PX = 2.0  # plus ...
_REPROJECTION_SHARE = 0.05  # ... of the longer side of the box
_BONE_RATIOS = (0.1, 3.0)  # to the mean of the training split; PosePile's rule for implausible
_BONE_DIFFERENCE_MM = 150.0  # poses, both conditions together
_BODY_EXTENT_MM = (100.0, 4000.0)  # of at least four known joints; catches metres and centimetres
_MIN_JOINTS_FOR_EXTENT = 4


def semantic_findings(
    record: Record, skeleton: Skeleton, mean_bones_mm: Sequence[float | None]
) -> Iterator[Finding]:
    """Yield everything about a valid record that contradicts itself or looks implausible.

    Args:
        record: A record that keeps the conventions.
        skeleton: Its joint order.
        mean_bones_mm: Mean length per edge of the skeleton, ``None`` where unknown.
    """
    yield from _camera_findings(record)
    yield from _box_findings(record)
    yield from _depth_findings(record)
    yield from _projection_findings(record)
    yield from _mask_findings(record)
    yield from _body_size_findings(record)
    yield from _bone_findings(record, skeleton, mean_bones_mm)
    yield from _label_findings(record)


def _camera_findings(record: Record) -> Iterator[Finding]:
    camera = record.camera
    if camera is None:
        return
    try:
        # A mirrored crop is legal: SURREAL's published matrix is a reflection.
        camera.validated(where=record.key, allow_mirror=True)
    except CameraError as error:
        yield "camera", error.what, False
    if not camera.is_pinhole:
        yield "camera", f"lens {camera.lens.model}: stored crops are undistorted pinholes", False


def _pixels(record: Record) -> NDArray[np.float64] | None:
    """Joints in the image: the 2D labels, or else the projected 3D ones."""
    if record.joints2d is not None and np.isfinite(record.joints2d).any():
        return record.joints2d
    if record.joints3d is not None and record.camera is not None:
        return record.camera.project(record.joints3d)
    return None


def _box_findings(record: Record) -> Iterator[Finding]:
    width, height = record.image_size
    image = boxes.of_image(record.image_size)
    if not boxes.intersection(record.box, image)[2:].all():
        yield "box", f"box {_short(record.box)} lies outside the {width}x{height} image", False
        return
    pixels = _pixels(record)
    if pixels is None:
        return
    known = pixels[np.isfinite(pixels).all(axis=1)]
    if len(known) and not _inside(known, boxes.scaled(record.box, _BOX_MARGIN)).any():
        message = f"none of {len(known)} joints is near the box {_short(record.box)}"
        yield "box", message, False


def _inside(points: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.bool_]:
    inside = (points >= box[:2]) & (points <= box[:2] + box[2:])
    return np.asarray(inside.all(axis=1), np.bool_)


def _depth_findings(record: Record) -> Iterator[Finding]:
    if record.camera is None or record.joints3d is None:
        return
    depths_mm = record.camera.to_camera(record.joints3d)[:, 2]
    depths_mm = depths_mm[np.isfinite(depths_mm)]
    behind = int(np.count_nonzero(depths_mm <= 0))
    if behind:
        message = f"{behind} of {len(depths_mm)} joints lie behind the camera"
        yield "depth", message, behind < len(depths_mm)


def _projection_findings(record: Record) -> Iterator[Finding]:
    if record.camera is None or record.joints3d is None or record.joints2d is None:
        return
    distances_px = np.linalg.norm(record.camera.project(record.joints3d) - record.joints2d, axis=1)
    distances_px = distances_px[np.isfinite(distances_px)]
    if not len(distances_px):
        return
    median_px = float(np.median(distances_px))
    limit_px = _REPROJECTION_PX + _REPROJECTION_SHARE * float(record.box[2:].max())
    if median_px > limit_px:
        message = (
            f"projected 3D joints miss the 2D joints by {median_px:.1f} px (median), "
            f"{limit_px:.1f} are allowed"
        )
        yield "projection", message, False


def _mask_findings(record: Record) -> Iterator[Finding]:
    mask = record.person_mask
    if mask is None:
        return
    if mask.box is None:
        yield "mask", "the person's mask is empty", True
    elif not boxes.intersection(record.box, mask.box)[2:].all():
        yield "mask", "the person's mask and box do not meet", True


def _body_size_findings(record: Record) -> Iterator[Finding]:
    if record.joints3d is None:
        return
    known = record.joints3d[np.isfinite(record.joints3d).all(axis=1)]
    if len(known) < _MIN_JOINTS_FOR_EXTENT:
        return
    extent_mm = float(np.linalg.norm(known.max(axis=0) - known.min(axis=0)))
    low_mm, high_mm = _BODY_EXTENT_MM
    if not low_mm <= extent_mm <= high_mm:
        yield "size", f"the body measures {extent_mm:.3g} mm: are these millimetres?", True


def _bone_findings(
    record: Record, skeleton: Skeleton, mean_bones_mm: Sequence[float | None]
) -> Iterator[Finding]:
    if record.joints3d is None:
        return
    low, high = _BONE_RATIOS
    for (a, b), mean_mm in zip(skeleton.edges, mean_bones_mm, strict=True):
        length_mm = float(np.linalg.norm(record.joints3d[a] - record.joints3d[b]))
        if mean_mm is None or not np.isfinite(length_mm):
            continue
        is_off = abs(length_mm - mean_mm) > _BONE_DIFFERENCE_MM
        if is_off and not low * mean_mm <= length_mm <= high * mean_mm:
            names = f"{skeleton.joints[a]}-{skeleton.joints[b]}"
            yield "bone", f"{names} is {length_mm:.0f} mm, {mean_mm:.0f} on average", True


def _label_findings(record: Record) -> Iterator[Finding]:
    pixels = _pixels(record)
    if record.visible is not None and pixels is not None:
        lost = int(np.count_nonzero((record.visible == 1) & ~np.isfinite(pixels).all(axis=1)))
        if lost:
            yield "label", f"{lost} joints are marked visible but have no position", True
    points = record.densepose
    if points is not None and len(points.faces):
        sums = points.barycentrics.sum(axis=1)
        if (np.abs(sums - 1) > 0.01).any() or (points.barycentrics < -0.01).any():
            yield "densepose", "barycentric coordinates leave their triangle", False


def _short(box: NDArray[np.float64]) -> str:
    return "[" + ", ".join(f"{value:.1f}" for value in box) + "]"
