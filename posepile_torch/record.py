"""One person in one stored crop, exactly as stored, and its codec.

The fields and their conventions are those of :class:`Record`; the byte format is described in
``docs/archive-format.md``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Not imported where they are first used: a worker that is forked while another thread is in the
# middle of an import would wait for that import for ever.
from posepile_torch.camera import Camera
from posepile_torch.errors import MaskError, PosepileError, RecordError
from posepile_torch.lenses import Lens
from posepile_torch.masks import Mask
from posepile_torch.packing import (
    packed,
    read_array,
    require_type,
    smallest_float,
    smallest_unsigned,
    unpacked,
)
from posepile_torch.record_fields import BodyParameters, DensePosePoints, Precision, Record
from posepile_torch.record_rules import BODY_MODELS, GENDERS, SPLITS, validate_record
from posepile_torch.skeleton import Skeleton

__all__ = [
    "BODY_MODELS",
    "GENDERS",
    "SPLITS",
    "BodyParameters",
    "DensePosePoints",
    "Precision",
    "Record",
    "decode_record",
    "encode_record",
    "validate_record",
]

Fields = dict[str, Any]

_MAX_JOINTS = 1 << 20  # a SMPL-X mesh has 10475 vertices; refuses absurd allocations

_NAMES = ("subject", "sequence", "camera_name", "activity", "scene", "track")


def encode_record(
    record: Record,
    precision: Precision | None = None,
    *,
    skeleton: Skeleton | None = None,
    where: object = None,
) -> bytes:
    """Check a record and turn it into bytes.

    The result depends on the record and ``precision`` alone: equal records give equal bytes.

    Args:
        record: What to store.
        precision: Tolerances for its joints; lossless if not given.
        skeleton: If given, the joints are counted against it.
        where: Archive, for the message.

    Raises:
        RecordError: If the record breaks a convention (see :func:`validate_record`).
        JointCountError: If its arrays have another number of joints than ``skeleton``.
    """
    validate_record(record, skeleton, where=where)
    precision = precision or Precision()
    fields: Fields = {
        "id": record.id,
        "split": record.split,
        "image_key": record.image_key,
        "image_size": list(record.image_size),
        "box": smallest_float(record.box, 0.0),
    }
    for name in _NAMES:
        if (value := getattr(record, name)) is not None:
            fields[name] = value
    if record.frame != -1:
        fields["frame"] = record.frame
    if record.raw:
        fields["raw"] = {key: record.raw[key] for key in sorted(record.raw)}
    if record.camera is not None:
        fields["camera"] = _camera_fields(record.camera)
    for name, tolerance in _joint_tolerances(precision):
        if (joints := getattr(record, name)) is not None:
            fields[name] = _joint_fields(joints, tolerance)
    if record.visible is not None:
        fields["visible"] = np.ascontiguousarray(record.visible)
    if record.confidence is not None:
        fields["confidence"] = smallest_float(record.confidence, 0.0)
    for name in ("person_mask", "scene_mask"):
        if (mask := getattr(record, name)) is not None:
            fields[name] = mask.to_record()
    if record.body is not None:
        fields["body"] = _body_fields(record.body)
    if record.densepose is not None:
        fields["densepose"] = {
            "points": smallest_float(record.densepose.points, 0.0),
            "faces": smallest_unsigned(record.densepose.faces),
            "barycentrics": smallest_float(record.densepose.barycentrics, 0.0),
        }
    return packed(fields)


def _joint_tolerances(precision: Precision) -> tuple[tuple[str, float], ...]:
    return (
        ("joints3d", precision.joints3d_mm),
        ("joints2d", precision.joints2d_px),
        ("joints3d_univ", precision.joints3d_mm),
    )


def _joint_fields(joints: NDArray[np.float64], tolerance: float) -> Fields:
    # An explicit tag: an empty list of ids could mean "all" as well as "none".
    known = np.isfinite(joints).all(axis=1)
    fields: Fields = {"joints": "ids", "count": len(joints)}
    if known.all():
        fields["joints"] = "all"
    elif not known.any():
        fields["joints"] = "none"
        return fields
    else:
        fields["ids"] = smallest_unsigned(np.flatnonzero(known))
    fields["values"] = smallest_float(joints[known], tolerance)
    return fields


def _camera_fields(camera: Camera) -> Fields:
    fields: Fields = {
        "R": smallest_float(camera.R, 0.0),
        "t": smallest_float(camera.t, 0.0),
        "K": smallest_float(camera.K, 0.0),
        "size": [int(side) for side in camera.size],
        "up": smallest_float(camera.world_up, 0.0),
    }
    if camera.lens.model != "none":
        coefficients = smallest_float(np.asarray(camera.lens.coefficients, np.float64), 0.0)
        fields["lens"] = {"model": camera.lens.model, "coefficients": coefficients}
    return fields


def _body_fields(body: BodyParameters) -> Fields:
    fields: Fields = {"model": body.model, "gender": body.gender}
    for name in ("pose", "betas", "translation", "expression"):
        if (values := getattr(body, name)) is not None:
            fields[name] = smallest_float(values, 0.0)
    if body.kid_factor != 0.0:
        fields["kid_factor"] = float(body.kid_factor)
    if body.scale != 1.0:
        fields["scale"] = float(body.scale)
    return fields


def decode_record(data: bytes, where: object = None) -> Record:
    """Read a record back; all arrays are new, writable and of the documented types.

    Unknown fields are ignored, so that a later minor version may add some.

    Args:
        data: What :func:`encode_record` returned.
        where: Archive and key, for the message.

    Raises:
        RecordError: If the bytes are not a record. No input makes it run code or crash.
    """
    fields = unpacked(data, where=where)
    values: Fields = {}
    for name in ("id", "split", "image_key"):
        values[name] = require_type(fields.get(name), str, name=name, where=where)
    for name in _NAMES:
        if name in fields:
            values[name] = require_type(fields[name], str, name=name, where=where)
    if "frame" in fields:
        values["frame"] = require_type(fields["frame"], int, name="frame", where=where)
    if "raw" in fields:
        values["raw"] = require_type(fields["raw"], dict, name="raw", where=where)
    values["image_size"] = _read_size(fields.get("image_size"), "image_size", where)
    values["box"] = read_array(fields.get("box"), np.float64, (4,), name="box", where=where)
    if "camera" in fields:
        values["camera"] = _read_camera(fields["camera"], where)
    for name, width in (("joints3d", 3), ("joints2d", 2), ("joints3d_univ", 3)):
        if name in fields:
            values[name] = _read_joints(fields[name], width, name, where)
    for name, dtype in (("visible", np.int8), ("confidence", np.float32)):
        if name in fields:
            values[name] = read_array(fields[name], dtype, (None,), name=name, where=where)
    for name in ("person_mask", "scene_mask"):
        if name in fields:
            values[name] = _read_mask(fields[name], name, where)
    if "body" in fields:
        values["body"] = _read_body(fields["body"], where)
    if "densepose" in fields:
        values["densepose"] = _read_densepose(fields["densepose"], where)
    return Record(**values)


def _read_size(stored: object, name: str, where: object) -> tuple[int, int]:
    size = require_type(stored, list, name=name, where=where)
    if len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise RecordError(f"field {name!r}: {size!r} is no (width, height)", where=where)
    return size[0], size[1]


def _read_joints(stored: object, width: int, name: str, where: object) -> NDArray[np.float64]:
    fields = require_type(stored, dict, name=name, where=where)
    tag = fields.get("joints")
    count = require_type(fields.get("count"), int, name=f"{name}.count", where=where)
    if tag not in ("all", "none", "ids") or not 0 <= count <= _MAX_JOINTS:
        raise RecordError(f"field {name!r}: tag {tag!r}, {count} joints", where=where)
    if tag == "all":
        return read_array(fields.get("values"), np.float64, (count, width), name=name, where=where)
    joints = np.full((count, width), np.nan)
    if tag == "ids":
        ids = read_array(fields.get("ids"), np.int64, (None,), name=f"{name}.ids", where=where)
        if not (ids[-1:] < count).all() or not (np.diff(ids) > 0).all() or not len(ids):
            raise RecordError(
                f"field {name!r}: joint ids {ids[:8].tolist()}... of {count} joints",
                where=where,
                rule="ids increase and stay below the joint count",
            )
        joints[ids] = read_array(
            fields.get("values"), np.float64, (len(ids), width), name=name, where=where
        )
    return joints


def _read_camera(stored: object, where: object) -> Camera:
    fields = require_type(stored, dict, name="camera", where=where)
    matrices = {
        name: read_array(fields.get(key), np.float64, shape, name=f"camera.{key}", where=where)
        for name, key, shape in (
            ("R", "R", (3, 3)),
            ("t", "t", (3,)),
            ("K", "K", (3, 3)),
            ("world_up", "up", (3,)),
        )
    }
    lens = Lens.none()
    if "lens" in fields:
        given = require_type(fields["lens"], dict, name="camera.lens", where=where)
        model = require_type(given.get("model"), str, name="camera.lens.model", where=where)
        coefficients = read_array(
            given.get("coefficients"), np.float64, (None,), name="camera.lens", where=where
        )
        lens = _build(Lens, where, model=model, coefficients=tuple(coefficients.tolist()))
    size = _read_size(fields.get("size"), "camera.size", where)
    camera: Camera = _build(Camera, where, size=size, lens=lens, **matrices)
    return camera


def _build(kind: Any, where: object, **values: Any) -> Any:
    try:
        return kind(**values)
    except PosepileError as error:
        raise RecordError(error.what, where=where, rule=error.rule, fix=error.fix) from None


def _read_mask(stored: object, name: str, where: object) -> Mask:
    fields = require_type(stored, dict, name=name, where=where)
    try:
        return Mask.from_record(fields)
    except MaskError as error:
        raise RecordError(f"field {name!r}: {error.what}", where=where, rule=error.rule) from None


def _read_body(stored: object, where: object) -> BodyParameters:
    fields = require_type(stored, dict, name="body", where=where)
    values: Fields = {
        name: require_type(fields.get(name), str, name=f"body.{name}", where=where)
        for name in ("model", "gender")
    }
    for name in ("pose", "betas", "translation", "expression"):
        if name in fields or name != "expression":
            values[name] = read_array(
                fields.get(name), np.float64, (None,), name=f"body.{name}", where=where
            )
    for name in ("kid_factor", "scale"):
        if name in fields:
            values[name] = require_type(fields[name], float, name=f"body.{name}", where=where)
    return BodyParameters(**values)


def _read_densepose(stored: object, where: object) -> DensePosePoints:
    fields = require_type(stored, dict, name="densepose", where=where)
    faces = read_array(fields.get("faces"), np.int64, (None,), name="densepose.faces", where=where)
    count = len(faces)
    points = read_array(
        fields.get("points"), np.float64, (count, 2), name="densepose.points", where=where
    )
    barycentrics = read_array(
        fields.get("barycentrics"), np.float64, (count, 3), name="densepose", where=where
    )
    return DensePosePoints(points=points, faces=faces, barycentrics=barycentrics)
