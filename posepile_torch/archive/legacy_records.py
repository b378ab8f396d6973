"""One record in the form that PosePile and MeTRAbs stored it in (schema 0).

Fields as in ``docs/interop.md``: ``impath``, ``bbox``, ``cam``, ``joints3d``, ``joints2d``,
``mask``, ``parameters``, ``densepose``. Lengths are millimetres, body-model translations metres.
Nothing here knows where the bytes lie; that is :mod:`posepile_torch.archive.legacy`.
:mod:`posepile_torch.archive.legacy_writing` writes them.
"""

from __future__ import annotations

import posixpath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posepile_torch import rotations
from posepile_torch.camera import Camera, Lens
from posepile_torch.errors import CameraError, JointCountError, MaskError, RecordError
from posepile_torch.keys import is_key
from posepile_torch.masks import Mask
from posepile_torch.packing import read_array, require_type
from posepile_torch.record_fields import BodyParameters, DensePosePoints, Record
from posepile_torch.record_rules import BODY_MODELS

Fields = dict[str, Any]
Floats = NDArray[np.float64]

#: Coefficients of a fisheye lens in these files; every other number means Brown-Conrady.
_FISHEYE_COEFFICIENTS = 4
_BROWN_CONRADY_COUNTS = (5, 8, 12, 14)
_GENDERS = {"n": "neutral", "m": "male", "f": "female"}


class RecordName(NamedTuple):
    """What the key of a stored record says.

    Attributes:
        split: ``train``, ``val`` or ``test``.
        image_key: Path of the image, relative to the root of all images.
        counter: Number of the record among those of its split that share the image.
    """

    split: str
    image_key: str
    counter: int

    @property
    def id(self) -> str:
        """Id of the record: image path and counter, as in the key."""
        return f"{self.image_key}_{self.counter:02d}"

    @property
    def key(self) -> str:
        """Key of the record in the annotation container."""
        return f"{self.split}/{self.id}.msgpack"


def image_key_of(fields: Fields, *, where: object) -> str:
    """Return the path of the image of a record, as BareCat spells keys.

    Raises:
        RecordError: If there is none, or it leads out of the folder of images.
    """
    path = require_type(fields.get("impath"), str, name="impath", where=where)
    key = normalised_key(path)
    if not is_key(key):
        raise RecordError(
            f"field 'impath': unusable image path {path!r}",
            where=where,
            rule="an image path is relative and stays below the folder of images",
        )
    return key


def normalised_key(path: str) -> str:
    """Return a path as BareCat stores it: normalised, without a slash in front."""
    return posixpath.normpath(path).lstrip("/")


def decode_fields(
    fields: Fields,
    name: RecordName,
    *,
    joint_count: int,
    image_size: tuple[int, int] | None,
    body_unit_m: float = 1.0,
    where: object,
) -> Record:
    """Turn the fields of a stored record into a :class:`Record`.

    Args:
        fields: What :func:`posepile_torch.packing.unpacked` gave.
        name: What the record's key says.
        joint_count: Number of joints of the archive.
        image_size: (width, height) of its image; None takes the size of the mask.
        body_unit_m: Metres per unit of the body-model translation.
        where: Archive and key, for messages.

    Raises:
        RecordError: If the fields do not follow the schema (``JointCountError`` for a wrong
            number of joints).
    """
    mask = _read_mask(fields["mask"], where) if "mask" in fields else None
    if image_size is None:
        if mask is None:
            raise RecordError(
                "the size of the image is not known",
                where=where,
                rule="it is read from the image; only masks hold it, too",
                fix="name the images of this archive: LegacyArchive(path, images=...)",
            )
        image_size = mask.size
    elif mask is not None and mask.size != image_size:
        raise RecordError(
            f"field 'mask': the mask is {mask.size}, the image {image_size}",
            where=where,
            rule="a mask has the size of its image",
            fix="check that the images belong to these annotations",
        )
    camera = None
    if "cam" in fields:
        camera = _read_camera(fields["cam"], image_size, where)
    return Record(
        id=name.id,
        split=name.split,
        image_key=name.image_key,
        image_size=image_size,
        box=_numbers(fields.get("bbox"), (4,), name="bbox", where=where),
        camera=camera,
        joints3d=_read_joints(fields.get("joints3d"), 3, joint_count, "joints3d", where),
        joints2d=_read_joints(fields.get("joints2d"), 2, joint_count, "joints2d", where),
        scene_mask=mask,
        body=_read_body(fields["parameters"], body_unit_m, where)
        if "parameters" in fields
        else None,
        densepose=_read_densepose(fields["densepose"], where) if "densepose" in fields else None,
    )


def _numbers(stored: object, shape: tuple[int | None, ...], *, name: str, where: object) -> Floats:
    """Read an array of floats or integers (or a short list of numbers) as float64."""
    if isinstance(stored, list) and shape == (len(stored),):
        numbers = [value for value in stored if type(value) in (int, float)]
        if len(numbers) == len(stored):
            return np.array(numbers, np.float64)
    if type(stored) is dict and str(stored.get(b"type", ""))[1:2] in ("i", "u"):
        return read_array(stored, np.int64, shape, name=name, where=where).astype(np.float64)
    return read_array(stored, np.float64, shape, name=name, where=where)


def _vector(stored: object, *, name: str, where: object) -> Floats:
    """Read an array of one or two dimensions as a flat vector."""
    is_matrix = type(stored) is dict and len(_shape(stored)) == 2
    shape: tuple[int | None, ...] = (None, None) if is_matrix else (None,)
    if type(stored) is list:
        shape = (len(stored),)
    return _numbers(stored, shape, name=name, where=where).ravel()


def _shape(stored: Fields) -> list[Any]:
    shape = stored.get(b"shape")  # type: ignore[call-overload]
    return shape if type(shape) is list else []


def _number(stored: object, *, name: str, where: object) -> float:
    """Read one number: plain, a NumPy scalar, or an array of one."""
    if type(stored) in (int, float):
        return float(stored)  # type: ignore[arg-type]
    if type(stored) is dict and stored.get(b"nd") is False:
        stored = {**stored, b"nd": True, b"shape": []}
    if type(stored) is dict and _shape(stored) == []:
        return float(_numbers(stored, (), name=name, where=where))
    return float(_numbers(stored, (1,), name=name, where=where)[0])


def _read_joints(
    stored: object, width: int, joint_count: int, name: str, where: object
) -> Floats | None:
    if stored is None:
        return None
    fields = require_type(stored, dict, name=name, where=where)
    rows = _numbers(fields.get("rows"), (None, width), name=f"{name}.rows", where=where)
    ids = read_array(fields.get("i_rows"), np.int64, (None,), name=f"{name}.i_rows", where=where)
    if np.isinf(rows).any():
        raise RecordError(f"field {name!r} has infinite coordinates", where=where)
    joints = np.full((joint_count, width), np.nan)
    if not len(ids):
        # An empty list of ids stands for "all" in these files, and for "none" where no row is.
        if len(rows) not in (0, joint_count):
            raise JointCountError.of(joint_count, len(rows), where=f"{where}, field {name}")
        joints[: len(rows)] = rows
    elif len(ids) != len(rows) or ids.max() >= joint_count or len(np.unique(ids)) < len(ids):
        raise RecordError(
            f"field {name!r}: {len(rows)} rows for the joints {ids[:8].tolist()}... of "
            f"{joint_count}",
            where=where,
            rule="every row has the number of one joint",
        )
    else:
        joints[ids] = rows
    joints[np.isnan(joints).any(axis=1)] = np.nan
    return joints


def _read_camera(stored: object, size: tuple[int, int], where: object) -> Camera:
    fields = require_type(stored, dict, name="cam", where=where)
    vectors = {
        name: _numbers(fields.get(name), (3,), name=f"cam.{name}", where=where)
        for name in ("rotvec_w2c", "loc")
    }
    up = _numbers(fields.get("up", [0.0, 0.0, 1.0]), (3,), name="cam.up", where=where)
    intrinsics = _numbers(fields.get("intr"), (2, 3), name="cam.intr", where=where)
    try:
        return Camera(
            R=rotations.from_rotvec(vectors["rotvec_w2c"]),
            t=vectors["loc"],
            K=np.concatenate([intrinsics, [[0.0, 0.0, 1.0]]]),
            size=size,
            lens=lens_from_coefficients(
                None
                if fields.get("distcoef") is None
                else _vector(fields["distcoef"], name="cam.distcoef", where=where),
                where=where,
            ),
            world_up=up,
        )
    except CameraError as error:
        raise RecordError(error.what, where=where, rule=error.rule, fix=error.fix) from None


def lens_from_coefficients(coefficients: NDArray[Any] | None, *, where: object) -> Lens:
    """Return the lens that ``cameralib`` means by a vector of coefficients.

    None or all zeros: no lens. Four: a Kannala-Brandt fisheye. Otherwise Brown-Conrady in
    OpenCV's order, filled up with zeros.

    Raises:
        RecordError: If there are more than 14, or they are no finite numbers.
    """
    values = np.zeros(0) if coefficients is None else np.asarray(coefficients, np.float64).ravel()
    if not values.any():
        return Lens.none()
    try:
        if len(values) == _FISHEYE_COEFFICIENTS:
            return Lens.kannala_brandt(values)
        padded = next((n for n in _BROWN_CONRADY_COUNTS if n >= len(values)), len(values))
        return Lens.brown_conrady(np.pad(values, (0, padded - len(values))))
    except CameraError as error:
        raise RecordError(error.what, where=where, rule=error.rule) from None


def _read_mask(stored: object, where: object) -> Mask:
    fields = require_type(stored, dict, name="mask", where=where)
    try:
        # PosePile wrote `zcounts`; a few of its tools left `counts` as they were.
        return Mask.from_record(fields) if "zcounts" in fields else Mask.from_coco(fields)
    except MaskError as error:
        raise RecordError(f"field 'mask': {error.what}", where=where, rule=error.rule) from None


def _read_body(stored: object, unit_m: float, where: object) -> BodyParameters:
    fields = require_type(stored, dict, name="parameters", where=where)
    vectors = {
        name: _vector(fields[name], name=f"parameters.{name}", where=where)
        for name in ("pose", "shape", "trans", "expression")
        if fields.get(name) is not None
    }
    scalars = {
        name: _number(fields[name], name=f"parameters.{name}", where=where)
        for name in ("kid_factor", "scale")
        if fields.get(name) is not None
    }
    return body_from_values(
        fields.get("type"), fields.get("gender"), vectors, scalars, unit_m=unit_m, where=where
    )


def body_from_values(
    model: object,
    gender: object,
    vectors: dict[str, Floats],
    scalars: dict[str, float],
    *,
    unit_m: float,
    where: object,
) -> BodyParameters:
    """Build body-model parameters from the names and spellings that PosePile used.

    Args:
        model: ``type``: the model's name, variants of SMPL-X included.
        gender: A gender or its first letter.
        vectors: ``pose``, ``shape``, ``trans`` and, if known, ``expression``.
        scalars: ``kid_factor`` and ``scale``, if known.
        unit_m: Metres per unit of ``trans``.
        where: Archive and key, for messages.

    Raises:
        RecordError: If something is missing, or the model or gender is not known.
    """
    known = "smplx" if type(model) is str and model.startswith("smplx") else model
    full_gender = _GENDERS.get(gender[:1].lower()) if type(gender) is str else None
    missing = [name for name in ("pose", "shape", "trans") if name not in vectors]
    if known not in BODY_MODELS or full_gender is None or missing:
        raise RecordError(
            f"field 'parameters': type {model!r}, gender {gender!r}, "
            f"missing {', '.join(missing) or 'nothing'}",
            where=where,
            rule=f"type is one of {BODY_MODELS}, gender begins with one of {tuple(_GENDERS)}",
        )
    return BodyParameters(
        model=str(known),
        gender=full_gender,
        pose=vectors["pose"],
        betas=vectors["shape"],
        translation=vectors["trans"] * unit_m,
        expression=vectors.get("expression"),
        **scalars,
    )


def _read_densepose(stored: object, where: object) -> DensePosePoints:
    fields = require_type(stored, dict, name="densepose", where=where)
    faces = read_array(
        fields.get("i_faces"), np.int64, (None,), name="densepose.i_faces", where=where
    )
    shapes = {"imcoords": (len(faces), 2), "barycoords": (len(faces), 3)}
    arrays = {
        name: _numbers(fields.get(name), shape, name=f"densepose.{name}", where=where)
        for name, shape in shapes.items()
    }
    return DensePosePoints(
        points=arrays["imcoords"], faces=faces, barycentrics=arrays["barycoords"]
    )
