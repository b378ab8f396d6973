"""PoseTrack 2017 and 2018: average precision and tracking of 15 joint types.

A row of the predictions is one person; joints that are not finite are not predicted. Scores of
joints are the column ``confidence``, or ``score`` for whole people; tracking needs ``track``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch import skeletons
from posepile_torch.errors import PredictionError, ProtocolError
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import (
    Choice,
    Frames,
    MetricSpec,
    OnMissing,
    Protocol,
    Published,
)
from posepile_torch.evaluate.results import Counts, Result
from posepile_torch.metrics.posetrack import (
    POSETRACK_GROUPS,
    POSETRACK_JOINTS,
    FramePersons,
    PoseTrackEvaluator,
    PoseTrackFrame,
    posetrack18_joints,
)
from posepile_torch.metrics.tracking import PoseTrackTrackingEvaluator
from posepile_torch.rawfiles import read_json

from . import _citations as cite
from . import _rows as rows

FUNCTIONS = ("posetrack_ap", "posetrack_tracking")
COLUMNS = (*POSETRACK_GROUPS, "Total")
HEAD_SHARE = 0.6

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
                joints=POSETRACK_JOINTS if column == "Total" else POSETRACK_GROUPS[column],
            )
            for column in ("Total", *POSETRACK_GROUPS)
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
        evaluator="posepile_torch.benchmarks.posetrack:"
        + ("evaluate_tracking" if tracking else "evaluate_ap"),
        raw_truth="posepile_torch.benchmarks.posetrack:truth_from_raw" if year == 18 else None,
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


def evaluate_ap(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth, on_missing: OnMissing
) -> Result:
    """Compute average precision per joint type and group."""
    evaluator = PoseTrackEvaluator()
    sequence, number = _times(protocol, truth)
    for image, frame in _frames(protocol, predictions, truth, on_missing).items():
        evaluator.update((sequence[image], number[image], image), frame)
    found = evaluator.compute()
    groups = found.groups()
    values = tuple(
        rows.valued(
            protocol,
            metric,
            groups[str(metric.arguments["column"])],
            aggregation="mean over joint types",
            n_samples=len(truth),
        )
        for metric in protocol.metrics
        if np.isfinite(groups[str(metric.arguments["column"])])
    )
    notes: tuple[str, ...] = ()
    if len(values) < len(protocol.metrics):
        absent = [name for name, value in groups.items() if not np.isfinite(value)]
        notes = (f"never annotated, and left out: {', '.join(absent)}",)
    return rows.result(
        protocol,
        predictions,
        truth,
        on_missing,
        values=values,
        counts=Counts(n_expected=len(truth), n_evaluated=len(truth)),
        notes=notes,
    )


def evaluate_tracking(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth, on_missing: OnMissing
) -> Result:
    """Compute MOTA, MOTP, precision and recall, mean over joint types."""
    evaluator = PoseTrackTrackingEvaluator()
    sequence, number = _times(protocol, truth)
    frames = _frames(protocol, predictions, truth, on_missing, tracks=True)
    for name in sorted(set(sequence.values())):
        images = sorted((i for i in frames if sequence[i] == name), key=lambda i: number[i])
        evaluator.update(name, [frames[image] for image in images])
    totals = evaluator.compute().totals()
    values = tuple(
        rows.valued(
            protocol,
            metric,
            totals[str(metric.arguments["score"])],
            aggregation="mean over joint types",
            n_samples=len(truth),
        )
        for metric in protocol.metrics
    )
    return rows.result(
        protocol,
        predictions,
        truth,
        on_missing,
        values=values,
        counts=Counts(n_expected=len(truth), n_evaluated=len(truth)),
    )


def _frames(
    protocol: Protocol,
    predictions: Predictions,
    truth: GroundTruth,
    on_missing: OnMissing,
    *,
    tracks: bool = False,
) -> dict[str, PoseTrackFrame]:
    """Return image → its people; images without an annotated person are not evaluated."""
    rows.check_policy(protocol, on_missing)
    rows.check_people(predictions)
    size = np.asarray(rows.true_column(truth, "head_size", protocol), np.float64)
    ignore = truth.extras.get("ignore_regions")
    true_track = _tracks(rows.true_column(truth, "track", protocol)) if tracks else None
    track = _tracks(rows.predicted_column(predictions, "track", protocol)) if tracks else None
    score = _joint_scores(protocol, predictions)
    people = rows.rows_by_image(predictions.image)
    frames = {}
    for image, true in rows.rows_by_image(truth.image).items():
        mine = people.get(image, np.zeros(0, dtype=np.int64))
        regions = [] if ignore is None else json.loads(str(ignore[true[0]]) or "[]")
        frames[image] = PoseTrackFrame(
            persons=FramePersons(
                joints=truth.joints[true],
                head_size=size[true],
                track=None if true_track is None else true_track[true],
            ),
            predictions=FramePersons(
                joints=predictions.joints[mine],
                score=score[mine],
                track=None if track is None else track[mine],
            ),
            ignore=[np.array(region, np.float64) for region in regions],
        )
    return frames


def _joint_scores(protocol: Protocol, predictions: Predictions) -> NDArray[np.float64]:
    shape = predictions.joints.shape[:2]
    if "confidence" in predictions.extras:
        return np.asarray(predictions.extras["confidence"], np.float64)
    score = np.asarray(rows.predicted_column(predictions, "score", protocol), np.float64)
    return np.broadcast_to(score[:, None], shape)


def _tracks(column: NDArray[Any]) -> NDArray[np.int64]:
    try:
        return np.asarray(column).astype(np.float64).astype(np.int64)
    except ValueError as error:
        raise PredictionError(
            f"a track is no number: {error}",
            where="the column track",
            rule="tracks are integers from 0",
        ) from error


def _times(protocol: Protocol, truth: GroundTruth) -> tuple[dict[str, str], dict[str, int]]:
    if "sequence" not in truth.labels or truth.frame is None:
        raise ProtocolError(
            "the ground truth does not say sequence and frame of its people",
            where=truth.where,
            rule=f"{protocol.id} orders frames by time",
            fix="give the table of ground truth the columns 'sequence' and 'frame'",
        )
    images = truth.image.tolist()
    sequence = dict(zip(images, truth.labels["sequence"].tolist(), strict=True))
    return sequence, dict(zip(images, truth.frame.tolist(), strict=True))


def truth_from_raw(protocol: Protocol, path: Path, body_models: Path | None) -> GroundTruth:
    """Read the JSON files of PoseTrack 2018, one per sequence.

    The id of an image is its file name without the ending; labelled frames only.

    Args:
        protocol: Not used beyond its name.
        path: Folder with ``annotations/val/*.json``, ``val/*.json`` or ``*.json``.
        body_models: Not used.
    """
    del body_models
    folders = [path / "annotations" / "val", path / "val", path]
    files = next((f for folder in folders if (f := sorted(folder.glob("*.json")))), [])
    if not files:
        raise ProtocolError(
            "no file annotations/val/*.json",
            where=path,
            rule=f"{protocol.id} reads one file per sequence",
            fix="pass the folder that holds 'annotations'",
        )
    columns: dict[str, list[Any]] = {
        name: [] for name in ("image", "person", "sequence", "frame", "size", "track", "ignore")
    }
    triples: list[Any] = []
    for file in files:
        _read_sequence(file, columns, triples)
    table = np.array(triples, np.float64).reshape(-1, 17, 3)
    return GroundTruth(
        image=np.array(columns["image"], dtype=str),
        person=np.array(columns["person"], dtype=str),
        joints=posetrack18_joints(table[..., :2], table[..., 2]),
        skeleton=skeletons.get("posetrack_15"),
        space="image",
        labels={"sequence": np.array(columns["sequence"], dtype=str)},
        frame=np.array(columns["frame"], dtype=np.int64),
        extras={
            "head_size": np.array(columns["size"], np.float64),
            "track": np.array(columns["track"], dtype=str),
            "ignore_regions": np.array(columns["ignore"], dtype=str),
        },
        where=str(path),
    )


def _read_sequence(file: Path, columns: dict[str, list[Any]], triples: list[Any]) -> None:
    data = read_json(file)
    images = {image["id"]: image for image in data["images"] if image.get("is_labeled", True)}
    for person in data["annotations"]:
        image = images.get(person["image_id"])
        if image is None or "keypoints" not in person or "bbox_head" not in person:
            continue
        width, height = person["bbox_head"][2:]
        xs, ys = image.get("ignore_regions_x") or [], image.get("ignore_regions_y") or []
        regions = [list(zip(x, y, strict=True)) for x, y in zip(xs, ys, strict=True)]
        columns["image"].append(str(Path(image["file_name"]).with_suffix("")))
        columns["person"].append(str(person["track_id"]))
        columns["sequence"].append(str(image.get("vid_id", file.stem)))
        columns["frame"].append(int(image.get("frame_id", image["id"])))
        columns["size"].append(HEAD_SHARE * float(np.hypot(width, height)))
        columns["track"].append(str(person["track_id"]))
        columns["ignore"].append(json.dumps(regions))
        triples.append(person["keypoints"])
