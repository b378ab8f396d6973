"""The fields of a record: one person in one stored crop.

Lengths are world millimetres (body-model translations: metres, as the models define them), angles
radians, pixels of the stored crop with pixel centres at integer coordinates, boxes
``[x, y, w, h]``. A missing joint is a row of NaN.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import RecordError

if TYPE_CHECKING:
    from posepile_torch.camera import Camera
    from posepile_torch.masks import Mask


@dataclass(frozen=True, kw_only=True)
class Precision:
    """How far stored joints may be from the converter's numbers.

    Each array is stored as the smallest of float16, float32 and float64 whose largest error stays
    within the tolerance. The default 0 is lossless: kilometre world coordinates stay float64,
    whole-number pixel labels shrink to float16. Everything that is not a joint (cameras, boxes,
    body parameters) is always stored losslessly.

    Attributes:
        joints3d_mm: Largest error of ``joints3d`` and ``joints3d_univ``, in mm.
        joints2d_px: Largest error of ``joints2d``, in pixels.
    """

    joints3d_mm: float = 0.0
    joints2d_px: float = 0.0

    def __post_init__(self) -> None:
        for name in ("joints3d_mm", "joints2d_px"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise RecordError(
                    f"precision {name} is {value!r}", rule="a tolerance is finite and not negative"
                )


@dataclass(frozen=True, eq=False, kw_only=True)
class BodyParameters:
    """Parameters of a body model of the SMPL family.

    Angles are axis-angle radians; lengths are METRES, as the models define them.

    Attributes:
        model: One of ``smpl smplh smplx mano star``.
        gender: One of ``neutral male female``.
        pose: float64 [P], axis-angle of all joints, flat.
        betas: float64 [B], shape coefficients.
        translation: float64 [3], metres in world.
        expression: float64 [E], facial expression coefficients (SMPL-X).
        kid_factor: Weight of the kid template (AGORA).
        scale: Uniform scale of the whole body.
    """

    model: str
    gender: str
    pose: NDArray[np.float64]
    betas: NDArray[np.float64]
    translation: NDArray[np.float64]
    expression: NDArray[np.float64] | None = None
    kid_factor: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("pose", "betas", "translation", "expression"):
            _coerce(self, name, np.float64)


@dataclass(frozen=True, eq=False, kw_only=True)
class DensePosePoints:
    """Dense correspondences between pixels and a body surface.

    Attributes:
        points: float64 [N, 2], pixels of the stored crop.
        faces: int64 [N], triangle of the SMPL mesh on which each point lies.
        barycentrics: float64 [N, 3], position within the triangle.
    """

    points: NDArray[np.float64]
    faces: NDArray[np.int64]
    barycentrics: NDArray[np.float64]

    def __post_init__(self) -> None:
        _coerce(self, "points", np.float64)
        _coerce(self, "faces", np.int64)
        _coerce(self, "barycentrics", np.float64)


@dataclass(frozen=True, eq=False, kw_only=True)
class Record:
    """One person in one stored crop.

    Arrays are brought to the stated types on construction. The joint axis follows the skeleton of
    the archive. Values are checked by :func:`validate_record`, which every write runs.

    Attributes:
        id: Readable name, unique within its split; the archive key is
            ``f"{split}/{id}.msgpack"``.
        split: ``train``, ``val`` or ``test``.
        image_key: Key of the crop in ``images.barecat``; several records may share one.
        image_size: ``(width, height)`` of the stored crop, px.
        box: float64 [4], ``[x, y, w, h]``, px of the stored crop.
        camera: Camera of the stored crop (a pinhole), ``None`` for 2D data without camera.
        joints3d: float64 [J, 3], world mm, NaN rows are missing; ``None`` without 3D labels.
        joints2d: float64 [J, 2], px of the stored crop, NaN rows are missing.
        visible: int8 [J]: -1 unknown, 0 occluded, 1 visible.
        confidence: float32 [J], of the labels, 0 to 1.
        joints3d_univ: float64 [J, 3], height-normalised second 3D label (MPI-INF-3DHP, MuPoTS-3D).
        person_mask: Pixels of this person.
        scene_mask: Pixels of everything that is not background.
        body: Body-model parameters.
        densepose: Dense surface correspondences.
        subject: Who is seen.
        sequence: Recording to which the frame belongs.
        camera_name: Which camera of the recording.
        activity: What is done.
        scene: Where.
        track: Identity of this person over the frames of the sequence.
        frame: Number of the frame within the sequence, -1 when unknown.
        raw: Where the record came from, for example ``{"file": ..., "frame": ...}``; paths are
            relative to the raw folder.
    """

    id: str
    split: str
    image_key: str
    image_size: tuple[int, int]
    box: NDArray[np.float64]
    camera: Camera | None = None
    joints3d: NDArray[np.float64] | None = None
    joints2d: NDArray[np.float64] | None = None
    visible: NDArray[np.int8] | None = None
    confidence: NDArray[np.float32] | None = None
    joints3d_univ: NDArray[np.float64] | None = None
    person_mask: Mask | None = None
    scene_mask: Mask | None = None
    body: BodyParameters | None = None
    densepose: DensePosePoints | None = None
    subject: str | None = None
    sequence: str | None = None
    camera_name: str | None = None
    activity: str | None = None
    scene: str | None = None
    track: str | None = None
    frame: int = -1
    raw: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("box", "joints3d", "joints2d", "joints3d_univ"):
            _coerce(self, name, np.float64)
        _coerce(self, "visible", np.int8)
        _coerce(self, "confidence", np.float32)

    @property
    def key(self) -> str:
        """Key of this record in ``annotations.barecat``."""
        return f"{self.split}/{self.id}.msgpack"

    def with_changes(self, **changes: Any) -> Record:
        """Return a copy with the named fields replaced."""
        return dataclasses.replace(self, **changes)


def _coerce(owner: object, name: str, dtype: Any) -> None:
    value = getattr(owner, name)
    if value is None or (type(value) is np.ndarray and value.dtype == dtype):
        return
    what = f"{type(owner).__name__}.{name}"
    try:
        given = np.asarray(value)
        array = given.astype(dtype)
        exact = np.dtype(dtype).kind == "f" or bool(np.array_equal(array, given))
    except (TypeError, ValueError, OverflowError):
        raise RecordError(f"{what} is no array of numbers: {value!r:.200}") from None
    if not exact:
        raise RecordError(
            f"{what} has values that are no {np.dtype(dtype)}: {given.ravel()[:8].tolist()}",
            rule="whole-number fields hold whole numbers",
        )
    object.__setattr__(owner, name, array)
