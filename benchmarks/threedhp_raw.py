"""Ground truth of MPI-INF-3DHP from the files of its test set, ``TS1`` ... ``TS6``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posepile_torch import skeletons
from posepile_torch.errors import ProtocolError
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.protocol import Protocol
from posepile_torch.rawfiles import read_mat

ACTIVITIES = (
    "Stand/Walk",
    "Exercise",
    "Sit on Chair",
    "Reach/Crouch",
    "On Floor",
    "Sports",
    "Misc.",
)
"""Names of the activities 1..7."""

SCENES = {
    "TS1": "green screen",
    "TS2": "green screen",
    "TS3": "no green screen",
    "TS4": "no green screen",
    "TS5": "outdoor",
    "TS6": "outdoor",
}


def truth_from_raw(protocol: Protocol, path: Path, body_models: Path | None) -> GroundTruth:
    """Read ``annot_data.mat`` of every sequence below a folder.

    The id of an image is ``TS1/img_000001``; images count from 1. Joints are in camera space.

    Args:
        protocol: Says which skeleton is read, and which sequences are left out.
        path: Folder with ``TS1`` ... ``TS6``.
        body_models: Not used.
    """
    del body_models
    variable = "univ_annot3" if protocol.target == "joints3d_univ" else "annot3"
    image, joints, sequence, activity, frame = [], [], [], [], []
    for name in SCENES:
        if name in protocol.frames.exclude_sequences:
            continue
        file = path / name / "annot_data.mat"
        if not file.is_file():
            raise ProtocolError(
                f"no file {file.name} of {name}",
                where=path,
                rule="the test set has the folders TS1 ... TS6",
                fix="pass the folder that holds them, or convert and pass the archive",
            )
        data = read_mat(file, [variable, "valid_frame", "activity_annotation"])
        valid = np.flatnonzero(np.asarray(data["valid_frame"]).reshape(-1) == 1)
        poses = _frames_first(np.asarray(data[variable], np.float64), file)
        labels = np.asarray(data["activity_annotation"]).reshape(-1).astype(int)
        image += [f"{name}/img_{number + 1:06d}" for number in valid.tolist()]
        joints.append(poses[valid])
        sequence += [name] * len(valid)
        activity += [ACTIVITIES[labels[number] - 1] for number in valid]
        frame += (valid + 1).tolist()
    return GroundTruth(
        image=np.array(image, dtype=str),
        person=np.full(len(image), "0"),
        joints=np.concatenate(joints),
        skeleton=skeletons.get("3dhp_17"),
        space="camera",
        labels={
            "sequence": np.array(sequence, dtype=str),
            "activity": np.array(activity, dtype=str),
            "scene": np.array([SCENES[name] for name in sequence], dtype=str),
        },
        frame=np.array(frame, dtype=np.int64),
        where=str(path),
    )


def _frames_first(poses: NDArray[np.float64], file: Path) -> NDArray[np.float64]:
    """Return ``[T, 17, 3]`` from MATLAB's ``[3, 17, 1, T]``."""
    if poses.ndim == 4 and poses.shape[:3] == (3, 17, 1):
        return np.ascontiguousarray(poses[:, :, 0].transpose(2, 1, 0))
    if poses.shape == (3, 17):  # a single frame loses its axes
        return poses.T[None]
    raise ProtocolError(
        f"poses of shape {list(poses.shape)}",
        where=file,
        rule="the annotation is [3, 17, 1, frames]",
        fix="download the test set again",
    )
