"""PosePile's pickled datasets (``Pose3DDataset``, ``Pose2DDataset``), read without running them.

The classes in these files are never imported: the restricted reader of
:mod:`posepile_torch.rawfiles` keeps them as inert shells, and only their attributes are looked
at. Pickles of the time when these classes lived in a package called ``data`` are read, too.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from posepile_torch import boxes
from posepile_torch.archive.legacy_records import (
    RecordName,
    body_from_values,
    lens_from_coefficients,
    normalised_key,
)
from posepile_torch.archive.legacy_skeleton import LegacySkeleton, agreed, skeleton_of
from posepile_torch.camera import Camera
from posepile_torch.errors import (
    ArchiveIncompleteError,
    JointCountError,
    PosepileError,
    RecordError,
)
from posepile_torch.images import encode_jpeg, jpeg_size, probe
from posepile_torch.keys import is_key
from posepile_torch.masks import Mask
from posepile_torch.rawfiles.pickle_machine import Shell
from posepile_torch.rawfiles.pickles import PICKLE_PROFILES, PickleProfile, read_pickle
from posepile_torch.record import BodyParameters, DensePosePoints, Record
from posepile_torch.record_rules import SPLITS
from posepile_torch.skeleton import Skeleton

Floats = NDArray[np.float64]

#: Attributes of examples that are read.
_ATTRIBUTES = (
    "image_path", "world_coords", "univ_coords", "coords", "bbox", "camera", "activity_name",
    "scene_name", "mask", "instance_mask", "image", "parameters", "densepose",
)  # fmt: skip
_UNKNOWN_NAME = "unknown"  # what PosePile stored for activities and scenes without a name


def _plain_dict(shell: Shell) -> dict[Any, Any]:
    """The content of a dictionary subclass, wherever its pickle kept it."""
    content = dict(shell.mapping)
    if isinstance(shell.state, tuple) and shell.state and isinstance(shell.state[0], dict):
        content = {**shell.state[0], **content}
    return content


def _dense(shell: Shell) -> Floats:
    """``SparseCoords``: rows of known joints and their numbers, as an array with NaN rows."""
    count, width = (int(side) for side in shell["shape"])
    ids = np.asarray(shell["i_valid_joints"], np.int64)
    if not 0 <= count <= 1 << 20 or width not in (2, 3) or (ids < 0).any() or (ids >= count).any():
        raise RecordError(f"sparse coordinates of shape ({count}, {width})")
    coords = np.full((count, width), np.nan)
    coords[ids] = shell["valid_coords"]
    return coords


def _profile() -> PickleProfile:
    classes: dict[tuple[str, str], Any] = {
        ("cameralib", "Camera"): None,
        ("cameralib.cameralib", "Camera"): None,
    }
    for package in ("posepile", "data"):
        for module, names in (
            ("datasets3d", ("Pose3DDataset", "Pose3DExample")),
            ("datasets2d", ("Pose2DDataset", "Pose2DExample")),
            ("joint_info", ("JointInfo",)),
        ):
            classes |= {(f"{package}.{module}", name): None for name in names}
        classes[f"{package}.datasets3d", "SparseCoords"] = _dense
    for module, name in (
        ("attrdict", "AttrDict"),
        ("attrdict.dictionary", "AttrDict"),
        ("addict", "Dict"),
        ("addict.addict", "Dict"),
    ):
        classes[module, name] = _plain_dict
    return PICKLE_PROFILES["numpy"].extended("posepile", classes)


#: What a pickle of PosePile may name.
POSEPILE_PROFILE = _profile()


class LegacyPickle:
    """A pickled PosePile dataset with the images that it names; records are numbered from 0.

    The whole pickle is in memory, as it was in PosePile; import it to be rid of that.

    Args:
        path: The pickle.
        image_root: Folder to which its image paths are relative; by default that of the pickle.
        strip_prefix: Beginning that is cut off image paths, for pickles with the absolute paths
            of another machine.
        skeleton: What the joints are, if that is known better than by their names.
        body_unit_m: Metres per unit of body-model translations.

    Raises:
        UnsafePickleError: If it names a class that no such dataset has.
        UnreadableRawFileError: If it is damaged.
        RecordError: If it is no dataset of PosePile.
        SkeletonError: If its joints make no skeleton, or differ from ``skeleton``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        image_root: str | os.PathLike[str] | None = None,
        strip_prefix: str = "",
        skeleton: Skeleton | None = None,
        body_unit_m: float = 1.0,
    ) -> None:
        self.path = Path(path)
        self._image_root = (self.path.parent if image_root is None else Path(image_root)).resolve()
        self._strip_prefix = strip_prefix
        self._body_unit_m = body_unit_m
        dataset = read_pickle(self.path, POSEPILE_PROFILE, max_bytes=None)
        if not _is(dataset, "Pose3DDataset", "Pose2DDataset"):
            what = dataset.class_name if isinstance(dataset, Shell) else type(dataset).__name__
            raise RecordError(
                f"this pickle holds a {what}",
                where=self.path,
                rule="a pickled dataset of PosePile is a Pose3DDataset or a Pose2DDataset",
            )
        stored = self._stored_skeleton(dataset.get("joint_info"))
        #: Joint order of all records.
        self.skeleton: Skeleton = agreed(stored.skeleton, skeleton, where=self.path)
        self._examples = list(self._all_examples(dataset.get("examples")))
        #: What was decided about left and right, and what was left out.
        self.notes: tuple[str, ...] = (*stored.notes, *self._left_out())
        self._last_image: tuple[str, bytes] = ("", b"")

    def _stored_skeleton(self, joint_info: object) -> LegacySkeleton:
        if not _is(joint_info, "JointInfo"):
            raise RecordError("the dataset has no JointInfo", where=self.path)
        names = [str(joint) for joint in joint_info.get("names", ())]
        edges = [(int(a), int(b)) for a, b in joint_info.get("stick_figure_edges", ())]
        return skeleton_of(names, edges, name=self.path.stem, where=self.path)

    def _all_examples(self, examples: object) -> Iterator[_Example]:
        phases = dict(enumerate(examples)) if isinstance(examples, list | tuple) else examples
        if not isinstance(phases, dict) or not phases.keys() <= set(range(len(SPLITS))):
            raise RecordError(
                "the dataset has no lists of examples",
                where=self.path,
                rule="examples are kept under 0 (train), 1 (val) and 2 (test)",
            )
        for phase, split in enumerate(SPLITS):
            part = phases.get(phase, ())
            counters: Counter[str] = Counter()
            for example in part:
                if not _is(example, "Pose3DExample", "Pose2DExample"):
                    raise RecordError(
                        f"the split {split} holds a {type(example).__name__}", where=self.path
                    )
                key = self._key(example.get("image_path"))
                yield _Example(split, key, counters[key], example)
                counters[key] += 1

    def _key(self, image_path: object) -> str:
        """Image path relative to the root, or as it is if it cannot be made relative."""
        path = Path(str(image_path).removeprefix(self._strip_prefix))
        if path.is_absolute() and path.is_relative_to(self._image_root):
            path = path.relative_to(self._image_root)
        return path.as_posix() if path.is_absolute() else normalised_key(path.as_posix())

    def _left_out(self) -> Iterator[str]:
        counts: Counter[str] = Counter()
        for example in self._examples:
            state = example.shell.state if isinstance(example.shell.state, dict) else {}
            counts.update(
                name
                for name, value in state.items()
                if name not in _ATTRIBUTES and value is not None
            )
        for name, count in sorted(counts.items()):
            yield f"{count} examples have an attribute {name!r}, which was left out"

    def __len__(self) -> int:
        """Number of records in all splits."""
        return len(self._examples)

    def record(self, row: int) -> Record:
        """Return one record; the size of its image is read from the image.

        Raises:
            IndexError: If there is no such row.
            RecordError: If the example is not built as PosePile built them.
            ArchiveIncompleteError: If the image is missing.
            ImageError: If it is no image.
        """
        split, key, counter, shell = self._examples[row]
        where = self._where(row)
        data = self.image_bytes(row)
        size = jpeg_size(data, where=where) if _is_jpeg(data) else _size_of(data, where)
        name = RecordName(split, key, counter)
        try:
            return self._built(shell, name, size, where)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            if isinstance(error, PosepileError):
                raise
            raise RecordError(
                f"the example is not built as expected ({type(error).__name__}: {error})",
                where=where,
                rule="its attributes are those of PosePile's examples",
            ) from None

    def image_bytes(self, row: int) -> bytes:
        """Return the image of one record as it is stored in its file.

        Raises:
            RecordError: If its path leads out of the root of images.
            ArchiveIncompleteError: If there is no such file.
        """
        example = self._examples[row]
        if not is_key(example.key):
            raise RecordError(
                "the image does not lie below the root of images",
                where=self._where(row),
                rule="image paths are relative to the root, or absolute and below it",
                fix="name the root with --images, or what to cut off with --strip-prefix",
            )
        inline = example.shell.get("image")
        if isinstance(inline, bytes):
            return inline
        if isinstance(inline, np.ndarray):
            return encode_jpeg(inline) if inline.ndim == 3 else inline.tobytes()
        if example.key == self._last_image[0]:
            return self._last_image[1]
        try:
            data = (self._image_root / example.key).read_bytes()
        except OSError as error:
            raise ArchiveIncompleteError(
                f"the image {example.key!r} is missing: {error.strerror}",
                where=self.path,
                rule=f"image paths are relative to {self._image_root}",
                fix="name the root with --images",
            ) from None
        self._last_image = (example.key, data)
        return data

    def _where(self, row: int) -> str:
        example = self._examples[row]
        return f"{self.path}, {example.split} example {example.key}"

    def _built(
        self, shell: Shell, name: RecordName, size: tuple[int, int], where: object
    ) -> Record:
        joint_count = len(self.skeleton)
        joints = {
            field: _joints(shell.get(attribute), joint_count, width, where)
            for field, attribute, width in (
                ("joints3d", "world_coords", 3),
                ("joints3d_univ", "univ_coords", 3),
                ("joints2d", "coords", 2),
            )
        }
        camera = shell.get("camera")
        camera = None if camera is None else _camera(camera, size, where)
        parameters = shell.get("parameters")
        densepose = shell.get("densepose")
        return Record(
            id=name.id,
            split=name.split,
            image_key=name.image_key,
            image_size=size,
            box=_box(shell.get("bbox"), joints, camera, size),
            camera=camera,
            scene_mask=_mask(shell.get("mask"), where),
            person_mask=_mask(shell.get("instance_mask"), where),
            body=None if parameters is None else self._body(parameters, where),
            densepose=None if densepose is None else _densepose(densepose, where),
            activity=_name(shell.get("activity_name")),
            scene=_name(shell.get("scene_name")),
            **joints,  # type: ignore[arg-type]
        )

    def _body(self, parameters: Mapping[str, Any], where: object) -> BodyParameters:
        vectors = {
            name: np.asarray(parameters[name], np.float64).ravel()
            for name in ("pose", "shape", "trans", "expression")
            if parameters.get(name) is not None
        }
        scalars = {
            name: float(parameters[name])
            for name in ("kid_factor", "scale")
            if parameters.get(name) is not None
        }
        kind, gender = parameters.get("type"), parameters.get("gender")
        return body_from_values(
            kind, gender, vectors, scalars, unit_m=self._body_unit_m, where=where
        )


class _Example(NamedTuple):
    split: str
    key: str
    counter: int
    shell: Shell


def _is(value: object, *names: str) -> TypeGuard[Shell]:
    return isinstance(value, Shell) and value.type.name in names


def _is_jpeg(data: bytes) -> bool:
    return data.startswith(b"\xff\xd8\xff")


def _size_of(data: bytes, where: object) -> tuple[int, int]:
    pixels = probe(data, where=where, annotation_frame="stored").pixels()
    return pixels.shape[1], pixels.shape[0]


def _joints(value: Any, count: int, width: int, where: object) -> Floats | None:
    if value is None:
        return None
    joints = np.array(value, np.float64)
    if joints.shape != (count, width):
        raise JointCountError.of(count, joints.shape, where=where)
    joints[np.isnan(joints).any(axis=1)] = np.nan
    return joints


def _box(
    value: Any, joints: Mapping[str, Floats | None], camera: Camera | None, size: tuple[int, int]
) -> Floats:
    """The stored box; without one, that around the joints, or else the whole image."""
    box = np.asarray(value)
    if box.dtype != object:
        return box.astype(np.float64).ravel()[:4]  # detectors added a score
    points, world = joints["joints2d"], joints["joints3d"]
    if points is None and world is not None and camera is not None:
        points = camera.project(world)
    known = points is not None and np.isfinite(points).all(axis=1).sum() > 1
    return boxes.around_points(points) if known and points is not None else boxes.of_image(size)


def _camera(shell: Any, size: tuple[int, int], where: object) -> Camera:
    if not _is(shell, "Camera"):
        raise RecordError(f"the camera is a {type(shell).__name__}", where=where)
    up = shell.get("world_up")
    return Camera(
        R=shell["R"],
        t=np.ravel(shell["t"]),
        K=shell["intrinsic_matrix"],
        size=size,
        lens=lens_from_coefficients(shell.get("distortion_coeffs"), where=where),
        world_up=np.array([0.0, 0.0, 1.0]) if up is None else np.ravel(up),
    )


def _mask(value: Any, where: object) -> Mask | None:
    if isinstance(value, list):
        if any(other != value[0] for other in value[1:]):
            raise RecordError("an example has several different masks", where=where)
        value = value[0] if value else None
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        return Mask.from_array(value)
    if not isinstance(value, Mapping):
        raise RecordError(f"the mask is a {type(value).__name__}", where=where)
    return Mask.from_record(value) if "zcounts" in value else Mask.from_coco(value)


def _densepose(value: Any, where: object) -> DensePosePoints:
    points, faces, barycentrics = value
    if not isinstance(faces, np.ndarray):
        raise RecordError(
            "the DensePose labels are I, U, V",
            where=where,
            rule="DensePose labels are image points, faces and barycentric coordinates",
            fix="let PosePile make the efficient version of the dataset, which converts them",
        )
    return DensePosePoints(points=points, faces=faces, barycentrics=barycentrics)


def _name(value: Any) -> str | None:
    return str(value) if value is not None and str(value) not in ("", _UNKNOWN_NAME) else None
