"""The conventions that every record keeps, checked on each write and again by ``verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from posepile_torch.errors import ArchivePathError, JointCountError, RecordError
from posepile_torch.keys import check_key, is_absolute_path

if TYPE_CHECKING:
    from posepile_torch.record_fields import BodyParameters, DensePosePoints, Record
    from posepile_torch.skeleton import Skeleton

#: The splits, in the order in which an index lists them.
SPLITS = ("train", "val", "test")

#: Body models whose parameters a record may hold.
BODY_MODELS = ("smpl", "smplh", "smplx", "mano", "star")

#: Genders of body models.
GENDERS = ("neutral", "male", "female")

_MAX_IMAGE_SIDE_PX = 65535  # limit of the JPEG format
_MAX_FRAME = 2**63 - 1  # frames are int64 in the index


def validate_record(
    record: Record, skeleton: Skeleton | None = None, *, where: object = None
) -> None:
    """Check a record against the conventions, as every write does.

    A joint is wholly finite or wholly NaN; nothing is infinite; every array has the skeleton's
    joint count; keys are relative and in NFC; no provenance names an absolute path; masks have
    the size of the image.

    Raises:
        RecordError: On the first broken rule (``JointCountError``, a skeleton error, for a wrong
            joint count).
    """
    where = f"{where}: {record.split}/{record.id}" if where else f"{record.split}/{record.id}"
    _check_names(record, where)
    _check_image(record, where)
    _check_joints(record, None if skeleton is None else len(skeleton), where)
    if record.body is not None:
        _check_body(record.body, where)
    if record.densepose is not None:
        _check_densepose(record.densepose, where)


def _require(ok: object, what: str, rule: str, where: object, fix: str | None = None) -> None:
    if not ok:
        raise RecordError(what, where=where, rule=rule, fix=fix)


def _check_names(record: Record, where: object) -> None:
    _require(
        record.split in SPLITS, f"split is {record.split!r}", f"a split is one of {SPLITS}", where
    )
    try:
        check_key(record.id, where=f"{where}, field id")
        check_key(record.key, where=f"{where}, field id")
        check_key(record.image_key, where=f"{where}, field image_key")
    except ArchivePathError as error:
        raise RecordError(error.what, where=error.where, rule=error.rule, fix=error.fix) from None
    folders = record.id.split("/")[:-1]
    _require(
        not any(folder.endswith(".msgpack") for folder in folders),
        f"id {record.id!r} has a folder that ends in .msgpack",
        "no key is the folder of another key",
        where,
    )
    for name in ("subject", "sequence", "camera_name", "activity", "scene", "track"):
        _check_text(getattr(record, name), name, where)
    _require(
        type(record.frame) is int and -1 <= record.frame <= _MAX_FRAME,
        f"frame is {record.frame!r}",
        "a frame is a whole number, -1 when unknown",
        where,
    )
    for key, value in record.raw.items():
        _check_text(key, "raw", where)
        _require(
            type(value) in (str, int), f"raw[{key!r}] is {value!r}", "str or int values", where
        )
        if type(value) is str:
            _check_text(value, f"raw[{key!r}]", where)
            _require(
                not is_absolute_path(value),
                f"raw[{key!r}] is the absolute path {value!r}",
                "archives hold no absolute paths",
                where,
                "store the path relative to the raw folder",
            )


def _check_text(value: object, name: str, where: object) -> None:
    if value is None:
        return
    _require(
        type(value) is str and value != "" and "\0" not in value,
        f"{name} is {value!r}",
        "a name is non-empty text, or None when unknown",
        where,
    )
    try:
        str(value).encode()
    except UnicodeEncodeError:
        raise RecordError(
            f"{name} is {value!r}", where=where, rule="text is valid Unicode (no lone surrogates)"
        ) from None


def _check_image(record: Record, where: object) -> None:
    size = record.image_size
    _require(
        type(size) is tuple
        and len(size) == 2
        and all(type(s) is int and 0 < s <= _MAX_IMAGE_SIDE_PX for s in size),
        f"image_size is {size!r}",
        "(width, height) as two positive ints",
        where,
    )
    box = record.box
    _require(
        box.shape == (4,) and np.isfinite(box).all() and box[2] > 0 and box[3] > 0,
        f"box is {box.tolist()}",
        "a box is a finite [x, y, w, h] with positive width and height",
        where,
        "rebuild the box from the joints, or skip the person with a reason",
    )
    camera = record.camera
    if camera is not None:
        _require(
            tuple(camera.size) == size,
            f"the camera's image is {camera.size}, the stored crop {size}",
            "the camera is that of the stored crop",
            where,
        )
    for name in ("person_mask", "scene_mask"):
        mask = getattr(record, name)
        if mask is not None:
            _require(
                tuple(mask.size) == size,
                f"{name} is {mask.size}, the stored crop {size}",
                "a mask has the size of its image",
                where,
                "warp the mask with the image; masks are never resized silently",
            )


def _check_joints(record: Record, expected: int | None, where: object) -> None:
    for name, width in (("joints3d", 3), ("joints2d", 2), ("joints3d_univ", 3)):
        joints = getattr(record, name)
        if joints is None:
            continue
        _require(
            joints.ndim == 2 and joints.shape[1] == width,
            f"{name} has shape {joints.shape}",
            f"[joints, {width}]",
            where,
        )
        finite = np.isfinite(joints)
        _require(
            (finite.all(axis=1) | np.isnan(joints).all(axis=1)).all(),
            f"{name} has rows that are partly missing or infinite",
            "a joint is wholly finite, or wholly NaN when missing",
            where,
        )
    for name in ("joints3d", "joints2d", "joints3d_univ", "visible", "confidence"):
        array = getattr(record, name)
        if array is None:
            continue
        _require(array.ndim > 0, f"{name} is a single number", "one entry per joint", where)
        expected = len(array) if expected is None else expected
        if len(array) != expected:
            raise JointCountError.of(expected, len(array), where=f"{where}, field {name}")
    if record.visible is not None:
        _require(
            record.visible.ndim == 1 and (np.abs(record.visible.astype(np.int64)) <= 1).all(),
            f"visible holds {np.unique(record.visible).tolist()}",
            "-1 unknown, 0 occluded, 1 visible",
            where,
        )
    if record.confidence is not None:
        ok = record.confidence.ndim == 1 and np.isfinite(record.confidence).all()
        ok = ok and (record.confidence >= 0).all() and (record.confidence <= 1).all()
        _require(ok, "confidence leaves 0 to 1", "one finite number from 0 to 1 per joint", where)


def _check_body(body: BodyParameters, where: object) -> None:
    _require(
        body.model in BODY_MODELS, f"body model {body.model!r}", f"one of {BODY_MODELS}", where
    )
    _require(body.gender in GENDERS, f"gender {body.gender!r}", f"one of {GENDERS}", where)
    for name in ("pose", "betas", "translation", "expression"):
        values = getattr(body, name)
        if values is not None:
            _require(
                values.ndim == 1 and np.isfinite(values).all(),
                f"body {name} of shape {values.shape} is not a finite vector",
                "body parameters are flat and finite",
                where,
            )
    _require(len(body.pose) % 3 == 0, f"pose has {len(body.pose)} numbers", "3 per joint", where)
    _require(len(body.translation) == 3, "translation has not 3 numbers", "metres, [3]", where)
    _require(
        np.isfinite(body.kid_factor) and np.isfinite(body.scale) and body.scale > 0,
        f"kid_factor {body.kid_factor!r}, scale {body.scale!r}",
        "finite, scale positive",
        where,
    )


def _check_densepose(points: DensePosePoints, where: object) -> None:
    count = len(points.faces)
    _require(
        points.points.shape == (count, 2)
        and points.faces.shape == (count,)
        and points.barycentrics.shape == (count, 3),
        f"densepose shapes {points.points.shape}, {points.faces.shape}, "
        f"{points.barycentrics.shape}",
        "[N, 2], [N], [N, 3]",
        where,
    )
    _require(
        np.isfinite(points.points).all()
        and np.isfinite(points.barycentrics).all()
        and (points.faces >= 0).all(),
        "densepose has missing or negative values",
        "dense points are finite, faces are not negative",
        where,
    )
