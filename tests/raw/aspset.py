"""Fabricates a tiny raw copy of ASPset-510: C3D by ezc3d, CSV, JSON, Matroska."""

import json
from pathlib import Path

import ezc3d
import numpy as np
from raw import toy_people

from posepile_torch.mannequin.storage import Video

# Names of the points in the C3D files (skeleton aspset_17j of posekit), and what they are here.
LABELS = {
    "right_ankle": "rank", "right_knee": "rkne", "right_hip": "rhip", "right_wrist": "rwri",
    "right_elbow": "relb", "right_shoulder": "rsho", "left_ankle": "lank", "left_knee": "lkne",
    "left_hip": "lhip", "left_wrist": "lwri", "left_elbow": "lelb", "left_shoulder": "lsho",
    "head_top": "htop", "head": "head", "neck": "neck", "spine": "spin", "pelvis": "pelv",
}  # fmt: skip
SIZE = (640, 360)
ANGLES_DEG = {"left": -40, "mid": 0, "right": 40}
CLIPS = (
    ("04ac", "0001", "train", "all"),
    ("04ac", "0002", "train", "mid"),
    ("5cb9", "0001", "val", "right"),
    ("1e28", "0001", "test", "left"),
)


def write_raw(root, *, clips=CLIPS, frames=3, test_joints=True):
    """Write some clips of one person each, with a mark on every joint.

    Args:
        root: Folder to make.
        clips: Rows of ``splits.csv``.
        frames: Frames of each clip.
        test_joints: Whether the joints of the test split are there.
    """
    root = Path(root)
    root.mkdir(parents=True)
    (root / "splits.csv").write_text("".join(",".join(row) + "\n" for row in clips))
    for seed, (subject, clip, split, view) in enumerate(clips):
        folder = root / ("test" if split == "test" else "trainval")
        # The world of ASPset has y down.
        joints = toy_people.moving(seed, frames) * (1, -1, -1)
        if split != "test" or test_joints:
            path = folder / "joints_3d" / subject / f"{subject}-{clip}.c3d"
            write_c3d(path, toy_people.joints_of(joints, LABELS.values()))
        for name in ANGLES_DEG if view == "all" else [view]:
            _write_view(folder, subject, f"{subject}-{clip}", name, joints)
    return root


def write_c3d(path, points, *, units="mm", skeleton="aspset_17j", labels=tuple(LABELS)):
    """Write points ``[F, J, 3]`` as posekit does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = ezc3d.c3d()
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [50]
    point["UNITS"]["value"] = [units]
    point["LABELS"]["value"] = list(labels)[: points.shape[1]]
    file.add_parameter("POINT", "SKEL", [skeleton])
    file["data"]["points"] = points.transpose(2, 1, 0).astype(np.float64)
    file.write(str(path))


def camera_matrices(view):
    """Intrinsic 3x4 and extrinsic 4x4 matrix of a camera seven metres away."""
    angle = np.deg2rad(ANGLES_DEG[view])
    intrinsics = np.array([[905.0, 0, 331.4, 0], [0, 903.0, 176.2, 0], [0, 0, 1, 0]])
    extrinsics = np.eye(4)
    extrinsics[0, [0, 2]] = np.cos(angle), np.sin(angle)
    extrinsics[2, [0, 2]] = -np.sin(angle), np.cos(angle)
    extrinsics[:3, 3] = -150, 900, 7000
    return intrinsics, extrinsics


def projected(points, view):
    """Pixels and depths of world points, by the published matrices alone."""
    intrinsics, extrinsics = camera_matrices(view)
    homogeneous = np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1)
    image = homogeneous @ (intrinsics @ extrinsics).T
    return image[..., :2] / image[..., 2:], image[..., 2]


def _write_view(folder, subject, clip, view, joints):
    path = folder / "cameras" / subject / f"{subject}-{view}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    matrices = zip(("intrinsic_matrix", "extrinsic_matrix"), camera_matrices(view), strict=True)
    path.write_text(json.dumps({name: matrix.ravel().tolist() for name, matrix in matrices}))
    pixels, depth = projected(joints, view)
    corners = np.concatenate([pixels.min(axis=1) - 12, pixels.max(axis=1) + 12], axis=1)
    path = folder / "boxes" / subject / f"{clip}-{view}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [",".join(f"{number:.2f}" for number in row) for row in corners]
    path.write_text("\n".join(["left,top,right,bottom", *rows]) + "\n")
    video = Video(folder / "videos" / subject / f"{clip}-{view}.mkv", SIZE, 50)
    for number in range(len(joints)):
        picture = toy_people.picture(SIZE, pixels[number, None], depth[number, None])
        video.add(number, picture)
    video.close()
