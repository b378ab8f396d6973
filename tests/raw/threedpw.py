"""Fabricates a tiny copy of 3DPW: Python 2 pickles and numbered JPEG frames.

``train/courtyard_toy_00``: landscape, two people; in frame 2 the camera pose of person 1 is not
valid, in frame 3 person 0 has no 2D point. ``validation/downtown_toy_00``: portrait, one person,
300 betas. ``test/office_toy_00``: landscape, two people; the last frame has no valid camera pose.
"""

import pickle
import struct
from pathlib import Path
from typing import ClassVar

import numpy as np
from raw.toy_people import joints_of, moving, picture

from posepile_torch import skeletons
from posepile_torch.images import encode_jpeg
from posepile_torch.rotations import from_rotvec

SMPL = skeletons.get("smpl_24").joints
# Written out here, so that the library's own table is not the judge of itself.
_OPENPOSE = "nose neck rsho relb rwri lsho lelb lwri rhip rkne rank lhip lkne lank"
OPENPOSE = [*_OPENPOSE.split(), "reye", "leye", "rear", "lear"]
LANDSCAPE, PORTRAIT = (640, 360), (360, 640)


def write_raw(root: Path, frames: int = 4) -> Path:
    """Write three sequences, one per split."""
    root = Path(root)
    content = _sequence(root, "courtyard_toy_00", LANDSCAPE, "mf", frames, seed=1)
    content["campose_valid"][1][2] = 0
    content["poses2d"][0][3] = 0
    _write(root, "train", content)
    content = _sequence(root, "downtown_toy_00", PORTRAIT, "f", frames, seed=2)
    content["betas"] = [np.concatenate([content["betas"][0], np.full(290, 9.0)])]
    _write(root, "validation", content)
    content = _sequence(root, "office_toy_00", LANDSCAPE, "ff", frames, seed=3)
    for valid in content["campose_valid"]:
        valid[frames - 1] = 0
    content["cam_poses"][frames - 1] = np.nan  # nothing there may be relied on
    _write(root, "test", content)
    return root


def _sequence(root, name, size, genders, frames, seed):
    rng = np.random.default_rng(seed)
    # Metres, in a world with an axis of its own; the person's up is nowhere near an axis.
    tilt = from_rotvec([0.7, -0.4, 1.1])
    spots = [(-650.0, 0.0), (650.0, 0.0)] if len(genders) == 2 else [(0.0, 0.0)]
    bodies = [
        moving(seed * 10 + row, frames, spot) / 1000 @ tilt.T for row, spot in enumerate(spots)
    ]
    K = np.array([[600.0, 0, size[0] / 2 + 3], [0, 605.0, size[1] / 2 - 2], [0, 0, 1]])
    poses = np.stack([_camera_pose(tilt, frame) for frame in range(frames)])
    people = np.stack(bodies, axis=1)
    folder = root / "imageFiles" / name
    folder.mkdir(parents=True)
    points = np.zeros((frames, len(genders), len(OPENPOSE), 3))
    for frame in range(frames):
        pixels, depth = _projected(people[frame], poses[frame], K)
        data = encode_jpeg(picture(size, pixels, depth), quality=97)
        (folder / f"image_{frame:05d}.jpg").write_bytes(data)
        points[frame, ..., :2] = _projected(joints_of(people[frame], OPENPOSE), poses[frame], K)[0]
        points[frame, ..., 2] = rng.uniform(0.4, 1.02, points.shape[1:3])
        points[frame, :, OPENPOSE.index("rear")] = 0  # OpenPose did not find it
    smpl = joints_of(people, SMPL)
    count = len(genders)
    return {
        "sequence": name,
        "genders": list(genders),
        "betas": [rng.normal(size=10) for _ in range(count)],
        "poses": [rng.normal(scale=0.3, size=(frames, 72)) for _ in range(count)],
        "trans": [smpl[:, row, 0] for row in range(count)],
        "poses2d": [points[:, row].transpose(0, 2, 1).copy() for row in range(count)],
        "jointPositions": [smpl[:, row].reshape(frames, 72) for row in range(count)],
        "cam_poses": poses,
        "campose_valid": [np.ones(frames, np.int64) for _ in range(count)],
        "cam_intrinsics": K,
        "img_frame_ids": 2 * np.arange(frames) + 7,
    }


def _camera_pose(tilt, frame):
    """World to camera, metres: 4.2 m before the people, wandering from frame to frame."""
    towards = np.diag([1.0, -1.0, -1.0]) @ from_rotvec([0.05, 0.03 * frame, 0.02]) @ tilt.T
    pose = np.eye(4)
    pose[:3, :3] = towards
    pose[:3, 3] = -towards @ (tilt @ [0.1 * frame, 1.1, 4.2])
    return pose


def _projected(points, pose, K):
    cam = points @ pose[:3, :3].T + pose[:3, 3]
    return (cam[..., :2] / cam[..., 2:]) @ K[:2, :2].T + K[:2, 2], cam[..., 2]


def _write(root, folder, content):
    path = root / "sequenceFiles" / folder / f"{content['sequence']}.pkl"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        _Python2Pickler(file).dump(content)
    # The module that numpy 2 calls numpy._core was numpy.core.
    path.write_bytes(path.read_bytes().replace(b"numpy._core.", b"numpy.core."))


class _Python2Pickler(pickle._Pickler):
    """Writes text and bytes alike as the byte strings of Python 2."""

    dispatch: ClassVar[dict] = dict(pickle._Pickler.dispatch)

    def __init__(self, file):
        super().__init__(file, protocol=2, fix_imports=True)

    def _save_string(self, value):
        data = value.encode("latin1") if isinstance(value, str) else value
        short = len(data) < 256
        self.write(b"U" + bytes([len(data)]) if short else b"T" + struct.pack("<i", len(data)))
        self.write(data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = _save_string
