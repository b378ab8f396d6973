"""Evaluators of PoseTrack: average precision and tracking."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import PredictionError, ProtocolError
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import (
    OnMissing,
    Protocol,
)
from posepile_torch.evaluate.results import Counts, Result
from posepile_torch.metrics.posetrack import (
    FramePersons,
    PoseTrackEvaluator,
    PoseTrackFrame,
)
from posepile_torch.metrics.tracking import PoseTrackTrackingEvaluator

from . import _rows as rows


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
