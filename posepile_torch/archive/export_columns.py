"""Records as columns: the layout of exported HDF5 and npz files.

Every field of a record is a column with one entry per record. Numbers of a fixed size are arrays
``[N, ...]``; fields of varying length are two arrays, ``<name>`` with all values one after
another and ``<name>_offsets`` ``[N + 1]`` with where each record's begin; names are texts. The
bits of ``flags`` say what a record has: where it does not, a column holds NaN, -1, 0, an empty
text or no values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posepile_torch.archive.layout import Flag, flags_of
from posepile_torch.camera import Camera, Lens
from posepile_torch.masks import Mask
from posepile_torch.record import BodyParameters, DensePosePoints, Record

Kind = Literal["fixed", "ragged", "text"]
Columns = dict[str, Any]

_NAN = float("nan")


@dataclass(frozen=True)
class Column:
    """One column: its name, how it is stored, and what it holds of a record.

    Attributes:
        name: Name in the file.
        kind: ``fixed`` (an array per record), ``ragged`` (any number of rows) or ``text``.
        dtype: Type of its numbers.
        shape: Shape of one entry (``fixed``) or of one row (``ragged``); -1 is the joint count.
        empty: What stands in for an absent value.
        flag: The flag that says whether a record has it; 0 for what every record has.
        value: What it holds of a record that has it.
    """

    name: str
    kind: Kind
    dtype: str
    shape: tuple[int, ...]
    empty: Any
    flag: int
    value: Callable[[Record], Any]

    def entry_shape(self, joint_count: int) -> tuple[int, ...]:
        """Shape of one entry or row for a skeleton of ``joint_count`` joints."""
        return tuple(joint_count if side == -1 else side for side in self.shape)


def _fixed(
    name: str, dtype: str, shape: tuple[int, ...], empty: float, flag: int, value: Any
) -> Column:
    return Column(name, "fixed", dtype, shape, empty, flag, value)


def _ragged(name: str, dtype: str, shape: tuple[int, ...], flag: int, value: Any) -> Column:
    return Column(name, "ragged", dtype, shape, None, flag, value)


def _text(name: str, flag: int, value: Any) -> Column:
    return Column(name, "text", "", (), "", flag, value)


def _named(attribute: str) -> Column:
    return _text(attribute, 0, lambda r: getattr(r, attribute) or "")


def _mask(attribute: str, flag: int) -> Column:
    def zcounts(record: Record) -> NDArray[np.uint8]:
        mask: Mask = getattr(record, attribute)
        return np.frombuffer(mask.to_record()["zcounts"], np.uint8)

    return _ragged(attribute, "u1", (), flag, zcounts)


_NO_EXPRESSION = np.zeros(0)

COLUMNS: tuple[Column, ...] = (
    _text("id", 0, lambda r: r.id),
    _text("split", 0, lambda r: r.split),
    _fixed("flags", "<u2", (), 0, 0, flags_of),
    _fixed("image_size", "<i4", (2,), 0, 0, lambda r: r.image_size),
    _fixed("box", "<f8", (4,), 0, 0, lambda r: r.box),
    _fixed("frame", "<i8", (), -1, 0, lambda r: r.frame),
    *map(_named, ("subject", "sequence", "camera_name", "activity", "scene", "track")),
    _text("raw", 0, lambda r: json.dumps(dict(r.raw), sort_keys=True) if r.raw else ""),
    _fixed("joints3d", "<f8", (-1, 3), _NAN, Flag.JOINTS3D, lambda r: r.joints3d),
    _fixed("joints2d", "<f8", (-1, 2), _NAN, Flag.JOINTS2D, lambda r: r.joints2d),
    _fixed("joints3d_univ", "<f8", (-1, 3), _NAN, Flag.JOINTS3D_UNIV, lambda r: r.joints3d_univ),
    _fixed("visible", "|i1", (-1,), -1, Flag.VISIBLE, lambda r: r.visible),
    _fixed("confidence", "<f4", (-1,), _NAN, Flag.CONFIDENCE, lambda r: r.confidence),
    _fixed("camera_R", "<f8", (3, 3), _NAN, Flag.CAMERA, lambda r: r.camera.R),
    _fixed("camera_t", "<f8", (3,), _NAN, Flag.CAMERA, lambda r: r.camera.t),
    _fixed("camera_K", "<f8", (3, 3), _NAN, Flag.CAMERA, lambda r: r.camera.K),
    _fixed("camera_world_up", "<f8", (3,), _NAN, Flag.CAMERA, lambda r: r.camera.world_up),
    _text("lens_model", Flag.CAMERA, lambda r: r.camera.lens.model),
    _ragged("lens_coefficients", "<f8", (), Flag.CAMERA, lambda r: r.camera.lens.coefficients),
    _mask("person_mask", Flag.PERSON_MASK),
    _mask("scene_mask", Flag.SCENE_MASK),
    _text("body_model", Flag.BODY, lambda r: r.body.model),
    _text("body_gender", Flag.BODY, lambda r: r.body.gender),
    _ragged("body_pose", "<f8", (), Flag.BODY, lambda r: r.body.pose),
    _ragged("body_betas", "<f8", (), Flag.BODY, lambda r: r.body.betas),
    _fixed("body_translation", "<f8", (3,), _NAN, Flag.BODY, lambda r: r.body.translation),
    _ragged(
        "body_expression",
        "<f8",
        (),
        Flag.BODY,
        lambda r: _NO_EXPRESSION if r.body.expression is None else r.body.expression,
    ),
    _fixed("body_kid_factor", "<f8", (), _NAN, Flag.BODY, lambda r: r.body.kid_factor),
    _fixed("body_scale", "<f8", (), _NAN, Flag.BODY, lambda r: r.body.scale),
    _ragged("densepose_points", "<f8", (2,), Flag.DENSEPOSE, lambda r: r.densepose.points),
    _ragged("densepose_faces", "<i8", (), Flag.DENSEPOSE, lambda r: r.densepose.faces),
    _ragged(
        "densepose_barycentrics", "<f8", (3,), Flag.DENSEPOSE, lambda r: r.densepose.barycentrics
    ),
)
"""All columns but those of the images, in the order in which they are written."""


@dataclass(frozen=True)
class Ragged:
    """Entries of varying length: all their rows, and how many each has."""

    values: NDArray[Any]
    lengths: NDArray[np.int64]


def to_columns(records: Sequence[Record], joint_count: int) -> Columns:
    """Turn records into columns; those that no record has are left out.

    Returns:
        Arrays (``fixed``), :class:`Ragged` (``ragged``) or lists of texts (``text``) by name.
    """
    flags = [flags_of(record) for record in records]
    columns: Columns = {}
    for column in COLUMNS:
        has = [not column.flag or bool(flag & column.flag) for flag in flags]
        if not any(has):
            continue
        if column.kind == "text":
            pairs = zip(records, has, strict=True)
            columns[column.name] = [column.value(r) if present else "" for r, present in pairs]
            continue
        shape = column.entry_shape(joint_count)
        if column.kind == "fixed":
            array = np.full((len(records), *shape), column.empty, column.dtype)
            for i in np.flatnonzero(has).tolist():
                array[i] = column.value(records[i])
            columns[column.name] = array
        else:
            none = np.zeros((0, *shape), column.dtype)
            parts = [
                np.asarray(column.value(r), column.dtype) if present else none
                for r, present in zip(records, has, strict=True)
            ]
            lengths = np.array([len(part) for part in parts], np.int64)
            columns[column.name] = Ragged(np.concatenate([none, *parts]), lengths)
    return columns


def to_record(values: Mapping[str, Any], image_key: str) -> Record:
    """Build a record from its entry in every column; the inverse of :func:`to_columns`.

    Args:
        values: Entry by name of column; absent columns may be missing.
        image_key: Key of its image.
    """
    flags = Flag(int(values["flags"]))
    width, height = (int(side) for side in values["image_size"])

    def given(name: str, flag: Flag) -> Any:
        return values[name] if flags & flag else None

    def mask(name: str, flag: Flag) -> Mask | None:
        if not flags & flag:
            return None
        zcounts = np.asarray(values[name], np.uint8).tobytes()
        return Mask.from_record({"size": [height, width], "zcounts": zcounts})

    def text(name: str) -> str | None:
        return str(values[name]) or None

    camera = None
    if flags & Flag.CAMERA:
        camera = Camera(
            R=values["camera_R"],
            t=values["camera_t"],
            K=values["camera_K"],
            size=(width, height),
            lens=Lens(str(values["lens_model"]), tuple(values["lens_coefficients"].tolist())),
            world_up=values["camera_world_up"],
        )
    return Record(
        id=str(values["id"]),
        split=str(values["split"]),
        image_key=image_key,
        image_size=(width, height),
        box=values["box"],
        camera=camera,
        joints3d=given("joints3d", Flag.JOINTS3D),
        joints2d=given("joints2d", Flag.JOINTS2D),
        joints3d_univ=given("joints3d_univ", Flag.JOINTS3D_UNIV),
        visible=given("visible", Flag.VISIBLE),
        confidence=given("confidence", Flag.CONFIDENCE),
        person_mask=mask("person_mask", Flag.PERSON_MASK),
        scene_mask=mask("scene_mask", Flag.SCENE_MASK),
        body=_body(values) if flags & Flag.BODY else None,
        densepose=_densepose(values) if flags & Flag.DENSEPOSE else None,
        subject=text("subject"),
        sequence=text("sequence"),
        camera_name=text("camera_name"),
        activity=text("activity"),
        scene=text("scene"),
        track=text("track"),
        frame=int(values["frame"]),
        raw=json.loads(values["raw"]) if values["raw"] else {},
    )


def _body(values: Mapping[str, Any]) -> BodyParameters:
    expression = values["body_expression"]
    return BodyParameters(
        model=str(values["body_model"]),
        gender=str(values["body_gender"]),
        pose=values["body_pose"],
        betas=values["body_betas"],
        translation=values["body_translation"],
        expression=expression if len(expression) else None,
        kid_factor=float(values["body_kid_factor"]),
        scale=float(values["body_scale"]),
    )


def _densepose(values: Mapping[str, Any]) -> DensePosePoints:
    return DensePosePoints(
        points=values["densepose_points"],
        faces=values["densepose_faces"],
        barycentrics=values["densepose_barycentrics"],
    )
