"""Tiny ground truths and predictions for protocols, made in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from posepile_torch.evaluate import GroundTruth, Predictions
from posepile_torch.evaluate.protocol import Protocol


def body(protocol: Protocol, n: int, *, seed: int = 0) -> np.ndarray:
    """Random poses of the size of a body, ``[n, J, D]``, in front of a camera."""
    rng = np.random.default_rng(seed)
    j = len(protocol.named_skeleton)
    if protocol.target == "joints2d":
        return rng.uniform(50, 450, (n, j, 2))
    return rng.normal(0, 300, (n, j, 3)) + [0, 0, 4000]


def truth_of(protocol: Protocol, joints: np.ndarray, **columns: Any) -> GroundTruth:
    """Truth of one person per image with the given labels and further columns."""
    n = len(joints)
    labels = {
        name: np.asarray(columns.pop(name), dtype=str)
        for name in ("activity", "sequence", "subject", "camera", "scene")
        if name in columns
    }
    frame = columns.pop("frame", None)
    person = np.asarray(columns.pop("person", ["0"] * n), dtype=str)
    image = columns.pop("image", [f"img{i:03d}" for i in range(n)])
    return GroundTruth(
        image=np.asarray(image, dtype=str),
        person=person,
        joints=np.asarray(joints, np.float64),
        skeleton=protocol.named_skeleton,
        space=columns.pop("space", "image" if protocol.target == "joints2d" else "camera"),
        labels=labels,
        frame=None if frame is None else np.asarray(frame, np.int64),
        extras={name: np.asarray(value) for name, value in columns.items()},
        where="toy",
    )


def predictions_of(truth: GroundTruth, joints: np.ndarray, **columns: Any) -> Predictions:
    """Predictions for all people of a truth."""
    return Predictions(
        image=truth.image,
        person=truth.person,
        joints=joints,
        skeleton=truth.skeleton,
        space=truth.space,
        extras={name: np.asarray(value) for name, value in columns.items()},
        name="toy",
    )


def moved(joints: np.ndarray, index: int | list[int], by: Any) -> np.ndarray:
    """Poses with one joint, or several, moved."""
    result = np.array(joints, np.float64)
    result[:, index] += np.asarray(by, np.float64)
    return result
