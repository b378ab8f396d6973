"""PoseTrack 2017 and 2018: average precision and tracking of 15 joint types.

A row of the predictions is one person; joints that are not finite are not predicted. Scores of
joints are the column ``confidence``, or ``score`` for whole people; tracking needs ``track``.
"""

from __future__ import annotations

from posepile_torch.evaluate.protocol import (
    Choice,
    Frames,
    MetricSpec,
    Protocol,
    Published,
)

from . import _citations as cite

GROUPS = {
    "Head": "htop neck nose",
    "Shou": "rsho lsho",
    "Elb": "relb lelb",
    "Wri": "rwri lwri",
    "Hip": "rhip lhip",
    "Knee": "rkne lkne",
    "Ankl": "rank lank",
}
"""Columns of the usual table."""

FUNCTIONS = ("posetrack_ap", "posetrack_tracking")

_COMMON = (
    Choice(
        "joints", "15; the 2018 files' ears are unused, a slot with v = 0 is absent", cite.POSEVAL
    ),
    Choice("norm", "0.6 times the diagonal of the head box; hit: d / norm <= 0.5", cite.POSEVAL),
    Choice(
        "frames",
        "without an annotated person are dropped with their predictions; joints strictly inside "
        "an ignore region are removed, then people without joints",
        cite.POSEVAL,
    ),
)


def _protocol(year: int, *, tracking: bool) -> Protocol:
    if tracking:
        metrics = tuple(
            MetricSpec(
                name,
                "posetrack_tracking",
                {"score": score},
                unit="%",
                higher_is_better=True,
                order="joint_mean",
            )
            for name, score in (
                ("MOTA", "mota"),
                ("MOTP", "motp"),
                ("precision", "precision"),
                ("recall", "recall"),
            )
        )
    else:
        metrics = tuple(
            MetricSpec(
                "mAP" if column == "Total" else f"AP {column}",
                "posetrack_ap",
                {"column": column},
                unit="%",
                higher_is_better=True,
                order="joint_mean",
                joints=GROUPS.get(column),
            )
            for column in ("Total", *GROUPS)
        )
    return Protocol(
        name=f"posetrack{year}{'/tracking' if tracking else ''}",
        version=1,
        title=f"PoseTrack 20{year} validation, "
        + ("MOTA and MOTP" if tracking else "average precision per joint type"),
        benchmark="posetrack",
        skeleton="posetrack_15",
        target="joints2d",
        space="image",
        metrics=metrics,
        frames=Frames(splits=("val",), valid="labelled frames"),
        on_missing="count_as_wrong",
        evaluator="posepile_torch.benchmarks.posetrack_scoring:"
        + ("evaluate_tracking" if tracking else "evaluate_ap"),
        raw_truth="posepile_torch.benchmarks.posetrack_raw:truth_from_raw" if year == 18 else None,
        choices=(*_COMMON, *(_TRACKING if tracking else _AP)),
        comparable=() if tracking else _ANCHORS[year],
        not_comparable=("the other year's frames", "MOTA beside AP of the same predictions")
        if tracking
        else ("the other year's frames", "COCO-type AP over OKS"),
    )


_AP = (
    Choice("matching", "by PCK of whole people, each prediction to its best person", cite.POSEVAL),
    Choice("AP", "area under the monotone curve per joint type, mean over types", cite.POSEVAL),
    Choice("ties of scores", "stable order; the tool's sorting is not stable", cite.OURS),
    Choice(
        "joint scores",
        "as given; multiplying them with scores of people is part of the method",
        cite.POSEVAL,
    ),
)
_TRACKING = (
    Choice(
        "MOTA",
        "100 (1 - (misses + switches + false positives) / joints), mean over types",
        cite.POSEVAL,
    ),
    Choice(
        "MOTP",
        "matched pairs only; the tool with motmetrics 1.2 or newer sums other rows as well",
        cite.OURS,
    ),
    Choice(
        "last frames and empty frames",
        "are evaluated like others; the tool skips the last frame of a sequence and counts one "
        "miss and one false positive for a frame that one side leaves empty "
        "(poseval_quirks of posepile_torch.metrics.tracking)",
        cite.OURS,
    ),
)
_ANCHORS = {
    17: (Published("PoseWarper", {"mAP": 81.2}, "PoseWarper, README"),),
    18: (
        Published("HRNet-W32 256x192, annotated boxes", {"mAP": 83.4}, "mmpose, model zoo"),
        Published("HRNet-W32 256x192, detected boxes", {"mAP": 76.9}, "mmpose, model zoo"),
        Published("PoseWarper", {"mAP": 79.7}, "PoseWarper, README"),
    ),
}

AP17, AP18 = (_protocol(year, tracking=False) for year in (17, 18))
TRACKING17, TRACKING18 = (_protocol(year, tracking=True) for year in (17, 18))
