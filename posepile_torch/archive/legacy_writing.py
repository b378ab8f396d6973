"""Writing a record in the form of schema 0, and saying what of it gets lost.

Fields as in ``docs/interop.md``. PosePile's own readers open what is written here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch import rotations
from posepile_torch.camera import Camera
from posepile_torch.packing import packed
from posepile_torch.record_fields import BodyParameters, DensePosePoints, Record

Fields = dict[str, Any]
Floats = NDArray[np.float64]

#: What becomes of a person mask where there is no scene mask.
PERSON_MASK_AS_SCENE = "person_mask (kept as the scene mask)"

#: Limit below which PosePile stored joints as float16: the largest error, in mm or px.
_FLOAT16_ERROR = 1.0
_FLOAT16_BARYCENTRIC_ERROR = 0.01


def inexpressible(record: Record) -> str | None:
    """Return why a record has no form in schema 0, or None if it has one."""
    camera = record.camera
    if camera is None:
        return None
    if camera.is_mirrored:
        return "the camera is mirrored, and a rotation vector holds no reflection"
    model, coefficients = camera.lens.model, camera.lens.coefficients
    if model == "h36m-toolbox":
        return "the lens follows the Human3.6M toolbox model"
    if model == "brown-conrady" and any(coefficients[12:]):
        return "the lens has tilt coefficients"
    if model == "kannala-brandt" and not any(coefficients):
        return "a fisheye lens whose coefficients are all zero reads back as no lens"
    return None


def lost_fields(record: Record) -> Iterator[str]:
    """Yield the name of every field of a record that schema 0 does not hold."""
    for name in (
        "joints3d_univ", "visible", "confidence", "subject", "sequence", "camera_name",
        "activity", "scene", "track",
    ):  # fmt: skip
        if getattr(record, name) is not None:
            yield name
    if record.frame != -1:
        yield "frame"
    if record.raw:
        yield "raw"
    if record.person_mask is not None:
        yield "person_mask" if record.scene_mask is not None else PERSON_MASK_AS_SCENE


def encode_legacy(record: Record, *, float16: bool = False) -> bytes:
    """Write a record in the form of schema 0.

    A person mask is stored where there is no scene mask: the format has room for one. Cameras
    keep float64; joints, box and DensePose points are float32.

    Args:
        record: A record for which :func:`inexpressible` has nothing to say.
        float16: Store what PosePile itself stored: joints as float16 where no error reaches
            1 mm or 1 px, boxes rounded to whole pixels, cameras in float32.
    """
    real = np.float32 if float16 else np.float64
    fields: Fields = {"impath": record.image_key}
    fields["bbox"] = (
        np.round(record.box).astype(np.int16) if float16 else record.box.astype(np.float32)
    )
    if record.camera is not None:
        fields["cam"] = _camera_fields(record.camera, real)
    for name in ("joints3d", "joints2d"):
        if (joints := getattr(record, name)) is not None:
            fields[name] = _joint_fields(joints, float16)
    mask = record.person_mask if record.scene_mask is None else record.scene_mask
    if mask is not None:
        fields["mask"] = mask.to_record()
    if record.body is not None:
        fields["parameters"] = _body_fields(record.body)
    if record.densepose is not None:
        fields["densepose"] = _densepose_fields(record.densepose, float16)
    return packed(fields)


def _camera_fields(camera: Camera, real: Any) -> Fields:
    fields: Fields = {
        "rotvec_w2c": rotations.to_rotvec(camera.R).astype(real),
        "loc": camera.t.astype(real),
        "intr": np.ascontiguousarray(camera.K[:2], real),
        "up": camera.world_up.astype(real),
    }
    if not camera.lens.is_ideal:
        fields["distcoef"] = np.array(camera.lens.coefficients[:12], real)
    return fields


def _joint_fields(joints: Floats, float16: bool) -> Fields:
    known = np.isfinite(joints).all(axis=1)
    ids = _narrow(np.flatnonzero(known))
    return {
        "rows": stored_joints(joints[known], float16),
        "i_rows": ids[:0] if known.all() else ids,
    }


def stored_joints(values: Floats, float16: bool) -> NDArray[Any]:
    """Return finite coordinates in the type in which they are stored.

    That is float32; with ``float16`` it is float16 where no number of the array changes by 1.
    """
    rows = values.astype(np.float32)
    return _halved(rows, _FLOAT16_ERROR) if float16 else rows


def _narrow(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return joint or face numbers as PosePile did, in a wider type only where they need it."""
    fits = not numbers.size or int(numbers.max()) <= np.iinfo(np.uint16).max
    return numbers.astype(np.uint16 if fits else np.uint32)


def _halved(values: NDArray[np.float32], limit: float) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    with np.errstate(invalid="ignore"):
        is_close = bool((np.abs(values - half.astype(np.float32)) < limit).all())
    return half if is_close else values


def _body_fields(body: BodyParameters) -> Fields:
    fields: Fields = {
        "type": body.model,
        "gender": body.gender,
        "pose": body.pose,
        "shape": body.betas,
        "trans": body.translation,
    }
    if body.expression is not None:
        fields["expression"] = body.expression
    if body.kid_factor != 0.0:
        fields["kid_factor"] = float(body.kid_factor)
    if body.scale != 1.0:
        fields["scale"] = float(body.scale)
    return fields


def _densepose_fields(points: DensePosePoints, float16: bool) -> Fields:
    imcoords = points.points.astype(np.float32)
    barycoords = points.barycentrics.astype(np.float32)
    return {
        "imcoords": _halved(imcoords, _FLOAT16_ERROR) if float16 else imcoords,
        "i_faces": _narrow(points.faces),
        "barycoords": _halved(barycoords, _FLOAT16_BARYCENTRIC_ERROR) if float16 else barycoords,
    }
