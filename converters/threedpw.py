"""3DPW: one pickle per sequence, numbered JPEG frames, a camera pose for every frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from posepile_torch import boxes, skeletons
from posepile_torch.camera import Camera
from posepile_torch.convert import Converter, FileImage, Plan, RawFrame, RawPerson, Unit
from posepile_torch.errors import MissingRawFileError, UnreadableRawFileError
from posepile_torch.images import jpeg_size
from posepile_torch.rawfiles import read_bytes, read_pickle
from posepile_torch.record import BodyParameters
from posepile_torch.sources.threedpw import SKELETON, ThreeDPW

FOLDERS = {"train": "train", "validation": "val", "test": "test"}
"""Splits of the library by the folders of the download."""

GENDERS = {"m": "male", "f": "female"}
"""Genders of body models by the letters of the pickles."""

BOX_MARGIN = 1.15
"""Factor on the box around the projected SMPL joints (PosePile, module tdpw)."""

_SMPL = len(skeletons.get("smpl_24"))
_OPENPOSE = len(skeletons.get("openpose_18"))
_BETAS = 10  # "first 10" of up to 300; the rest belongs to no released model (PosePile)


@dataclass(frozen=True, eq=False)
class _Actor:
    """One person of a sequence over its ``T`` frames.

    Attributes:
        gender: ``"male"`` or ``"female"``.
        betas: ``[10]``.
        poses: ``[T, 72]`` axis-angle radians.
        translations: ``[T, 3]`` metres.
        joints3d: ``[T, 24, 3]`` world mm.
        points: ``[T, 18, 3]`` x, y, confidence of OpenPose.
        usable: ``[T]`` whether camera pose and 2D points are there.
    """

    gender: str
    betas: NDArray[np.float64]
    poses: NDArray[np.float64]
    translations: NDArray[np.float64]
    joints3d: NDArray[np.float64]
    points: NDArray[np.float64]
    usable: NDArray[np.bool_]


class ThreeDPWConverter(Converter):
    """Reads the raw files of :class:`~posepile_torch.sources.ThreeDPW`."""

    source = ThreeDPW
    version: ClassVar[str] = "1"
    plan: ClassVar[Plan] = Plan(box_margin=BOX_MARGIN)

    def units(self) -> Iterator[Unit]:
        """List one unit per sequence."""
        names: set[str] = set()
        for folder, split in FOLDERS.items():
            # Names with a dot in front are what macOS leaves behind.
            for path in sorted((self.root / "sequenceFiles" / folder).glob("[!.]*.pkl")):
                names.add(path.stem)
                yield Unit(f"{folder}/{path.stem}", split, {"sequence": path.stem})
        if not names:
            raise MissingRawFileError(
                "no sequence file",
                where=self.root / "sequenceFiles",
                rule=f"sequences lie in {', '.join(FOLDERS)}",
                fix="unpack sequenceFiles.zip beside imageFiles",
            )

    def frames(self, unit: Unit) -> Iterator[RawFrame]:
        """Yield the frames of one sequence with both people."""
        name = unit["sequence"]
        path = self.root / "sequenceFiles" / f"{unit.name}.pkl"
        raw = _Pickle(path, read_pickle(path))
        actors = [raw.actor(row) for row in range(raw.people)]
        images = self.root / "imageFiles" / name
        first = images / "image_00000.jpg"
        # The calibration has no image size, and sequences are portrait or landscape. Frames of
        # another size than the first are refused when they are read.
        size = jpeg_size(read_bytes(first), where=first)
        poses, K = raw.array("cam_poses", (raw.frames, 4, 4)), raw.array("cam_intrinsics", (3, 3))
        for frame in range(raw.frames):
            camera = None
            if any(actor.usable[frame] for actor in actors):
                camera = _camera(poses[frame], K, size, where=f"{path}, frame {frame}")
            yield RawFrame(
                index=frame,
                image=FileImage(images / f"image_{frame:05d}.jpg"),
                image_size=size,
                camera=camera,
                sequence=name,
                scene=name.split("_")[0],
                people=[_person(actor, frame, row, camera) for row, actor in enumerate(actors)],
            )


def _camera(
    pose: NDArray[np.float64], K: NDArray[np.float64], size: tuple[int, int], *, where: str
) -> Camera:
    """Build the camera of one frame from its world-to-camera pose in metres.

    The camera's own vertical serves as the world's: the world axes of 3DPW are those of the
    inertial system, and their vertical is not reliable (PosePile, module tdpw).
    """
    camera = Camera.from_extrinsics(
        R=pose[:3, :3], T=pose[:3, 3] * 1000, K=K, size=size, world_up=-pose[1, :3]
    )
    return camera.validated(where=where)


def _person(actor: _Actor, frame: int, row: int, camera: Camera | None) -> RawPerson:
    if camera is None or not actor.usable[frame]:
        return RawPerson(track=str(row))
    joints = np.full((len(SKELETON), 3), np.nan)
    joints[:_SMPL] = actor.joints3d[frame]
    found = actor.points[frame, :, 2] > 0
    points = np.full((len(SKELETON), 2), np.nan)
    points[_SMPL:][found] = actor.points[frame, found, :2]
    confidence = np.ones(len(SKELETON), np.float32)
    # Peaks of OpenPose's confidence maps may lie a little above 1.
    confidence[_SMPL:] = np.clip(actor.points[frame, :, 2], 0, 1)
    return RawPerson(
        joints3d=joints,
        joints2d=points,
        confidence=confidence,
        box=_box(camera.project(actor.joints3d[frame])),
        body=BodyParameters(
            model="smpl",
            gender=actor.gender,
            pose=actor.poses[frame],
            betas=actor.betas,
            translation=actor.translations[frame],
        ),
        track=str(row),
    )


def _box(pixels: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Box of the SMPL joints alone: OpenPose may have taken somebody else's limbs."""
    if not np.isfinite(pixels).all(axis=-1).any():
        return None
    return boxes.scaled(boxes.around_points(pixels), BOX_MARGIN)


class _Pickle:
    """The content of a sequence file, checked as far as it is asked for."""

    def __init__(self, path: Path, content: Any) -> None:
        if not isinstance(content, Mapping):
            raise _unexpected(path, f"the pickle is a {type(content).__name__}")
        self._path, self._content = path, content
        self.people = len(self._value("genders"))
        self.frames = len(self._value("cam_poses"))

    def actor(self, row: int) -> _Actor:
        """Return person ``row``."""
        count = self.frames
        gender = str(self._of("genders", row))
        if gender not in GENDERS:
            raise _unexpected(self._path, f"person {row} has the gender {gender!r}")
        betas = np.ravel(np.asarray(self._of("betas", row), np.float64))
        if len(betas) < _BETAS:
            raise _unexpected(self._path, f"person {row} has {len(betas)} betas")
        points = self._row("poses2d", row, (count, 3, _OPENPOSE)).transpose(0, 2, 1)
        valid = self._row("campose_valid", row, (count,)) != 0
        joints = self._row("jointPositions", row, (count, 3 * _SMPL))
        return _Actor(
            gender=GENDERS[gender],
            betas=betas[:_BETAS],
            poses=self._row("poses", row, (count, 3 * _SMPL)),
            translations=self._row("trans", row, (count, 3)),
            joints3d=joints.reshape(count, _SMPL, 3) * 1000,
            points=points,
            usable=valid & points.any(axis=(1, 2)),
        )

    def array(self, key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return an array that all people share."""
        return self._shaped(key, self._value(key), shape)

    def _row(self, key: str, row: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
        return self._shaped(f"{key}[{row}]", self._of(key, row), shape)

    def _shaped(self, name: str, value: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
        array = np.asarray(value, np.float64)
        if array.shape != shape:
            raise _unexpected(self._path, f"{name} has the shape {array.shape}, not {shape}")
        return array

    def _value(self, key: str) -> Any:
        if key not in self._content:
            raise _unexpected(self._path, f"there is no {key!r}")
        return self._content[key]

    def _of(self, key: str, row: int) -> Any:
        values = self._value(key)
        if len(values) != self.people:
            raise _unexpected(self._path, f"{key} has {len(values)} of {self.people} people")
        return values[row]


def _unexpected(path: Path, what: str) -> UnreadableRawFileError:
    return UnreadableRawFileError(
        what,
        where=path,
        rule="a sequence file of 3DPW has the arrays that its site describes, a row per frame",
        fix="fetch the file again",
    )
