"""Human3.6M: CDF poses, one XML file of cameras, MP4 videos, MATLAB masks.

The poses may also come from the ``data_3d_h36m.npz`` that VideoPose3D's preparation makes.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from posepile_torch import boxes
from posepile_torch.camera import Camera, Lens
from posepile_torch.convert import Converter, Plan, RawFrame, RawPerson, Unit, VideoFrame
from posepile_torch.errors import (
    ConversionError,
    MissingRawFileError,
    UnknownNameError,
    UnreadableRawFileError,
)
from posepile_torch.masks import Mask
from posepile_torch.rawfiles import Hdf5File, read_cdf, read_npz, read_xml
from posepile_torch.sources.h36m import SKELETON, Human36M

SPLITS = {
    "S1": "train",
    "S5": "train",
    "S6": "train",
    "S7": "train",
    "S8": "train",
    "S9": "test",
    "S11": "test",
}
"""The actors with public poses and their customary splits."""

CAMERA_SIZES = {
    "54138969": (1000, 1002),
    "55011271": (1000, 1000),
    "58860488": (1000, 1000),
    "60457274": (1000, 1002),
}
"""Image (width, height) by camera, in the order of the calibration file."""

RENAMED = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}
"""Activities that some actors have under another name (VideoPose3D)."""

DISPLACED_S9 = ("Greeting", "SittingDown 1", "Waiting 1")
"""Recordings of S9 whose motion capture is displaced (PosePile); the names are exact."""

DISPLACEMENT_MM = np.array([200.0, 0.0, 0.0])
"""By how much, in the world."""

CORRUPT_VIDEO = ("S11", "Directions", "54138969")

ROWS = (*range(1, 11), *range(12, 16), 17, 18, 19, 21, 22, 25, 26, 27, 29, 30, 0)
"""The distinct ones of the 32 raw rows, in the order of ``h36m_25`` (PosePile)."""

_RAW_JOINTS = 32
_SUBJECTS = 11  # with calibration; four of them have no public poses
_CHOICES = {"s11_directions": ("skip-camera", "skip", "keep"), "poses": ("cdf", "npz")}
_NPZ = "data_3d_h36m.npz"


class Human36MConverter(Converter):
    """Reads the raw files of :class:`~posepile_torch.sources.Human36M`.

    Options: ``correct_s9`` moves the three displaced recordings of S9 back, ``s11_directions`` is
    ``"skip-camera"``, ``"skip"`` or ``"keep"``, ``train_step`` and ``test_step`` say of how many
    frames one is read, and ``poses`` is ``"cdf"`` for the files of the dataset or ``"npz"`` for
    ``data_3d_h36m.npz`` of VideoPose3D in the raw folder.
    """

    source = Human36M
    version: ClassVar[str] = "1"
    plan: ClassVar[Plan] = Plan()
    default_options: ClassVar[Mapping[str, str | int | float | bool]] = {
        "correct_s9": True,
        "s11_directions": "skip-camera",
        "train_step": 5,
        "test_step": 64,
        "poses": "cdf",
    }

    def units(self) -> Iterator[Unit]:
        """List one unit per recording and camera."""
        choice = self._choice("s11_directions")
        found = False
        for subject, split in SPLITS.items():
            for recording in self._recordings(subject):
                found = True
                for camera in CAMERA_SIZES:
                    if _is_left_out(subject, recording, camera, choice):
                        continue
                    name = f"{subject}/{recording.replace(' ', '-')}/{camera}"
                    fields = {"subject": subject, "recording": recording, "camera": camera}
                    yield Unit(name, split, fields)
        if not found:
            raise MissingRawFileError(
                "no poses",
                where=self.root,
                rule="poses are S1/MyPoseFeatures/D3_Positions/*.cdf and so on",
                fix="unpack Poses_D3_Positions of at least one actor",
            )

    def frames(self, unit: Unit) -> Iterator[RawFrame]:
        """Yield every 5th or 64th frame of one video."""
        subject, recording, name = unit["subject"], unit["recording"], unit["camera"]
        folder = self.root / subject
        joints = self._joints(subject, recording)
        moved = bool(self.options["correct_s9"]) and subject == "S9" and recording in DISPLACED_S9
        if moved:
            joints = joints - DISPLACEMENT_MM
        camera = self.cameras[subject, name]
        stem = _video_stem(folder / "Videos", recording, name)
        frames = range(0, len(joints), self._step(unit.split))
        segments = folder / "MySegmentsMat"
        marked = _masks(segments / "ground_truth_bb" / f"{stem}.mat", frames, camera)
        masks = _masks(segments / "ground_truth_bs" / f"{stem}.mat", frames, camera)
        for frame, area, mask in zip(frames, marked, masks, strict=True):
            box = None if area is None else area.box
            if box is not None and moved:
                box = _moved_back(box, camera, joints[frame, SKELETON.index("pelv")])
            yield RawFrame(
                index=frame,
                image=VideoFrame(folder / "Videos" / f"{stem}.mp4", frame),
                camera=camera,
                sequence=f"{subject}/{recording}",
                camera_name=name,
                activity=activity_of(recording),
                people=[RawPerson(joints3d=joints[frame], box=box, mask=mask, subject=subject)],
            )

    def _choice(self, option: str) -> str:
        choice, known = str(self.options[option]), _CHOICES[option]
        if choice not in known:
            where = f"option {option} of h36m"
            raise UnknownNameError.among("choice", choice, known, where=where)
        return choice

    def _recordings(self, subject: str) -> list[str]:
        if self._choice("poses") == "npz":
            return sorted(self._positions.get(subject, ()))
        files = (self.root / subject / "MyPoseFeatures" / "D3_Positions").glob("*.cdf")
        # Names with an underscore are "_ALL", which holds all recordings once more.
        return sorted(path.stem for path in files if "_" not in path.stem)

    def _joints(self, subject: str, recording: str) -> NDArray[np.float64]:
        """Return the distinct joints ``[frames, 25, 3]`` in world mm."""
        if self._choice("poses") == "npz":
            where: Path | str = f"{self.root / _NPZ}, {subject}, {recording}"
            # VideoPose3D stores metres, as float32.
            poses = np.asarray(self._positions[subject][recording], np.float64) * 1000
        else:
            folder = self.root / subject / "MyPoseFeatures" / "D3_Positions"
            where = folder / f"{recording}.cdf"
            poses = _cdf_poses(where).astype(np.float64)
        if poses.ndim != 3 or poses.shape[1:] != (_RAW_JOINTS, 3):
            raise UnreadableRawFileError(
                f"poses have the shape {poses.shape}",
                where=where,
                rule="poses are frames x 32 joints x 3",
                fix="make the file again from D3_Positions, with all 32 joints",
            )
        return np.ascontiguousarray(poses[:, ROWS])

    @functools.cached_property
    def _positions(self) -> Mapping[str, Mapping[str, NDArray[np.float32]]]:
        """Poses of ``data_3d_h36m.npz`` by subject and recording."""
        path = self.root / _NPZ
        content = read_npz(path, ["positions_3d"], profile="numpy")["positions_3d"]
        positions = content.item() if content.shape == () else None
        if not isinstance(positions, dict) or not all(
            isinstance(recordings, dict) for recordings in positions.values()
        ):
            raise UnreadableRawFileError(
                "positions_3d is no table of tables",
                where=path,
                rule="it holds poses by subject and recording",
                fix="make the file again with VideoPose3D's preparation from CDF files",
            )
        return positions

    def _step(self, split: str) -> int:
        option = "train_step" if split == "train" else "test_step"
        step = int(self.options[option])
        if step < 1:
            raise ConversionError(
                f"{option} is {step}", where="options of h36m", rule="steps are 1 or more"
            )
        return step

    @functools.cached_property
    def cameras(self) -> Mapping[tuple[str, str], Camera]:
        """Cameras by subject and name, from ``metadata.xml``."""
        path = self.root / "Release-v1.2" / "metadata.xml"
        numbers = _calibration(path)
        # 4 cameras x 11 subjects x (three angles, centre in mm), then 4 cameras x (f, c, k, p).
        outer = numbers[:264].reshape(len(CAMERA_SIZES), _SUBJECTS, 6)
        inner = numbers[264:].reshape(len(CAMERA_SIZES), 9)
        return {
            (subject, name): _camera(
                outer[row, int(subject[1:]) - 1],
                inner[row],
                size,
                where=f"{path}, {subject}, camera {name}",
            )
            for row, (name, size) in enumerate(CAMERA_SIZES.items())
            for subject in SPLITS
        }


def activity_of(recording: str) -> str:
    """Return the activity of a recording such as ``"WalkingDog 1"``, in the common spelling."""
    name = recording.split(" ")[0]
    return RENAMED.get(name, name)


def _is_left_out(subject: str, recording: str, camera: str, choice: str) -> bool:
    if (subject, recording) != CORRUPT_VIDEO[:2]:
        return False
    return choice == "skip" or (choice == "skip-camera" and camera == CORRUPT_VIDEO[2])


def _video_stem(folder: Path, recording: str, camera: str) -> str:
    """Return the name of a video, whose spelling may differ from that of poses in ``.npz``."""
    spellings = (recording, *(recording.replace(new, old, 1) for old, new in RENAMED.items()))
    for spelling in spellings:
        if (folder / f"{spelling}.{camera}.mp4").is_file():
            return f"{spelling}.{camera}"
    raise MissingRawFileError("there is no such video", where=folder / f"{recording}.{camera}.mp4")


def _cdf_poses(path: Path) -> NDArray[np.float32]:
    """Return all rows ``[frames, 32, 3]`` in world mm."""
    poses = read_cdf(path, ["Pose"])["Pose"]
    if poses.ndim != 3 or poses.shape[0] != 1 or poses.shape[2] != 3 * _RAW_JOINTS:
        raise UnreadableRawFileError(
            f"the variable Pose has the shape {poses.shape}",
            where=path,
            rule="D3_Positions holds 1 x frames x 96 numbers",
            fix="fetch Poses_D3_Positions again, not another kind of pose",
        )
    rows: NDArray[np.float32] = poses[0].reshape(-1, _RAW_JOINTS, 3)
    return rows


def _calibration(path: Path) -> NDArray[np.float64]:
    """Return the 300 numbers of the node ``w0``."""
    node = next(read_xml(path).iter("w0"), None)
    text = "" if node is None or node.text is None else node.text
    try:
        numbers = np.array(text.strip().strip("[]").split(), np.float64)
    except ValueError:
        numbers = np.empty(0)
    if numbers.shape != (300,):
        raise UnreadableRawFileError(
            f"the node w0 has {len(numbers)} numbers" if node is not None else "no node w0",
            where=path,
            rule="metadata.xml has 300 numbers in the node w0",
            fix="take the file from the code of Release-v1.2",
        )
    return numbers


def _camera(
    outer: NDArray[np.float64], inner: NDArray[np.float64], size: tuple[int, int], *, where: str
) -> Camera:
    # The rotation is world to camera, about x, then the new y, then the new z; the position is
    # the optical centre (PosePile, module h36m).
    (fx, fy, cx, cy), k, (p1, p2) = inner[:4], inner[4:7], inner[7:]
    camera = Camera(
        R=_about(0, outer[0]) @ _about(1, outer[1]) @ _about(2, outer[2]),
        t=outer[3:],
        K=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]),
        size=size,
        lens=Lens.h36m_toolbox(k, (p2, p1)),
    )
    return camera.validated(where=where)


def _about(axis: int, angle_rad: float) -> NDArray[np.float64]:
    """Return the rotation matrix about a coordinate axis."""
    matrix = np.eye(3)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


def _masks(path: Path, frames: range, camera: Camera) -> Iterator[Mask | None]:
    """Yield the mask of each frame, or None for all if there is no file, which is optional.

    One mask in 5 or 64 is wanted, so each is looked up by its reference; as cells of MATLAB they
    would all be read.
    """
    if not path.is_file():
        yield from itertools.repeat(None, len(frames))
        return
    with Hdf5File(path) as file:
        references = file.read("Masks").ravel()
        if len(references) < frames.stop:
            raise UnreadableRawFileError(
                f"there are {len(references)} masks for {frames.stop} frames",
                where=path,
                rule="Masks has one entry per frame",
                fix="fetch the file again, or remove it: masks and boxes are optional",
            )
        for frame in frames:
            with file.reading():
                cell = file.root[references[frame]]
                file.refuse_external(cell, f"mask {frame}")
                stored = np.asarray(cell[()])  # transposed, as MATLAB's arrays lie in HDF5
            mask = Mask.from_array(np.atleast_2d(stored.T != 0))
            if mask.size != camera.size:
                raise UnreadableRawFileError(
                    f"mask {frame} is {mask.size}, the image {camera.size} (width, height)",
                    where=path,
                )
            yield mask


def _moved_back(
    box: NDArray[np.float64], camera: Camera, pelvis_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Undo the displacement of S9 in a box, at the depth of the (displaced) pelvis."""
    depth_mm = camera.to_camera(pelvis_mm + DISPLACEMENT_MM)[2]
    corners = camera.to_world(camera.back_project(boxes.to_xyxy(box).reshape(2, 2), depth_mm))
    low, high = camera.project(corners - DISPLACEMENT_MM)
    return np.concatenate([low, high - low])
