"""A small protocol with ground truth and predictions whose numbers are known by hand."""

from __future__ import annotations

import dataclasses

import numpy as np

from posepile_torch.evaluate import Frames, GroundTruth, MetricSpec, Predictions, Protocol
from posepile_torch.skeleton import Skeleton

SKELETON = Skeleton.parse(
    "toy_7",
    joints="pelv lhip rhip neck head lwri rwri",
    edges="pelv-lhip,pelv-neck-head,neck-lwri",
)
METRICS = (
    MetricSpec("MPJPE", "mpjpe", also=("group_mean", "sample_mean", "joint_mean")),
    MetricSpec("PA-MPJPE", "pa_mpjpe"),
    MetricSpec(
        "PCK@150", "pck", {"threshold": 150.0, "strict": True}, unit="%", higher_is_better=True
    ),
    MetricSpec(
        "CPS@150", "cps", {"threshold": 150.0, "strict": True}, unit="%", higher_is_better=True
    ),
)
PROTOCOL = Protocol(
    name="toy/pelvis",
    version=3,
    title="Toy",
    benchmark="toy",
    skeleton=SKELETON,
    root="pelv",
    frames=Frames(splits=("test",)),
    metrics=METRICS,
    breakdowns=("activity", "subject", "joint"),
)


def protocol(*metrics: MetricSpec, **changes: object) -> Protocol:
    """The toy protocol with other metrics and other fields."""
    return dataclasses.replace(PROTOCOL, metrics=metrics or METRICS, **changes)


def poses(count: int, seed: int = 0) -> np.ndarray:
    """``[count, 7, 3]`` plausible absolute poses in mm, camera space: x right, y down."""
    rng = np.random.default_rng(seed)
    rest = np.array(
        [[0, 0, 0], [90, 60, 0], [-90, 60, 0], [0, -500, 20], [0, -700, -40],
         [350, -60, -80], [-350, 40, -120]], float
    )  # fmt: skip
    return (
        rest + rng.normal(0, 40, (count, 7, 3)) + [0, 0, 4000] + rng.normal(0, 300, (count, 1, 3))
    )


def truth(joints: np.ndarray, **columns: object) -> GroundTruth:
    """Ground truth with image ids ``i000`` and so on, one person each."""
    count = len(joints)
    labels = {
        name: np.array(columns.pop(name), dtype=str)
        for name in ("activity", "subject", "sequence", "camera")
        if name in columns
    }
    given = {
        "image": np.array([f"i{i:03d}" for i in range(count)]),
        "person": np.full(count, "0"),
        "space": "camera" if joints.shape[-1] == 3 else "image",
        "labels": labels,
        "skeleton": SKELETON,
        "where": "toy truth",
    } | columns
    return GroundTruth(joints=joints, **given)


def predictions(joints: np.ndarray, **columns: object) -> Predictions:
    """Predictions with the keys of :func:`truth`."""
    count = len(joints)
    given = {
        "image": np.array([f"i{i:03d}" for i in range(count)]),
        "person": np.full(count, "0"),
        "space": "camera" if joints.shape[-1] == 3 else "image",
        "skeleton": SKELETON,
        "name": "toy",
    } | columns
    return Predictions(joints=joints, **given)


def shuffled(given: Predictions, order: np.ndarray) -> Predictions:
    """The same predictions in another order of rows."""
    return dataclasses.replace(
        given,
        image=given.image[order],
        person=given.person[order],
        joints=given.joints[order],
        extras={name: column[order] for name, column in given.extras.items()},
    )
