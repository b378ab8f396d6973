"""Evaluator of average precision over OKS, for COCO and its relatives."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import (
    OnMissing,
    Protocol,
)
from posepile_torch.evaluate.results import Counts, Result
from posepile_torch.metrics.coco_ap import OksEvaluator, OksResult
from posepile_torch.metrics.keypoint_tables import KeypointDetections, KeypointPersons
from posepile_torch.metrics.oks_sets import CrowdPoseEvaluator, WholeBodyEvaluator, oks_rules

from . import _rows as rows

RULES = {
    "coco/oks": "coco",
    "ochuman/oks": "ochuman",
    "human-art/oks": "human_art",
    "crowdpose/oks": "crowdpose",
    "aic/oks": "aic",
    "halpe/oks": "halpe",
}
"""Protocol → entry of :data:`posepile_torch.metrics.oks_sets.OKS_RULES`."""


def evaluate_oks(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth, on_missing: OnMissing
) -> Result:
    """Compute average precision and recall.

    ``on_missing`` is about keypoints that are not finite: an error, or infinitely far. A person
    who is not found is a miss under either.
    """
    rows.check_policy(protocol, on_missing)
    rows.check_people(predictions)
    persons, images = _persons(truth)
    detections = KeypointDetections(
        image=_ids(predictions.image),
        keypoints=predictions.joints,
        score=np.asarray(rows.predicted_column(predictions, "score", protocol), np.float64),
        box=predictions.extras.get("box"),
    )
    found = _computed(protocol, persons, detections, images, truth, on_missing)
    values = tuple(
        rows.valued(
            protocol,
            metric,
            found[str(metric.arguments.get("part", ""))][str(metric.arguments["stat"])],
            aggregation="mean over OKS thresholds and recall grid",
            n_samples=len(persons),
        )
        for metric in protocol.metrics
    )
    first = next(iter(found.values()))
    uncounted = int(persons.uncounted().sum())
    counts = Counts(
        n_expected=len(persons),
        n_evaluated=len(persons) - uncounted,
        n_excluded=uncounted,
    )
    notes: tuple[str, ...] = (f"{first.n_detections} detections took part",)
    if first.n_over_limit:
        notes += (f"{first.n_over_limit} detections beyond the limit per image were left out",)
    return rows.result(
        protocol, predictions, truth, on_missing, values=values, counts=counts, notes=notes
    )


def _computed(
    protocol: Protocol,
    persons: KeypointPersons,
    detections: KeypointDetections,
    images: list[Any],
    truth: GroundTruth,
    on_missing: OnMissing,
) -> dict[str, OksResult]:
    policy: Any = on_missing
    known = {image.item() if hasattr(image, "item") else image for image in images}
    keep = np.isin(detections.image, list(known)) if len(detections) else np.zeros(0, bool)
    chosen = KeypointDetections(
        image=detections.image[keep],
        keypoints=detections.keypoints[keep],
        score=detections.score[keep],
        box=None if detections.box is None else detections.box[keep],
    )
    if protocol.name == "coco-wholebody/oks":
        whole = WholeBodyEvaluator(policy)
        whole.update(persons, chosen, images)
        return whole.compute()
    rules = dataclasses.replace(oks_rules(RULES[protocol.name]), on_missing=policy)
    if protocol.name == "crowdpose/oks":
        index = np.asarray(rows.true_column(truth, "crowd_index", protocol), np.float64)
        levels = dict(zip(_ids(truth.image).tolist(), index.tolist(), strict=True))
        crowd = CrowdPoseEvaluator(levels, rules)
        crowd.update(persons, chosen, images)
        return {"": crowd.compute()}
    evaluator = OksEvaluator(rules)
    evaluator.update(persons, chosen, images)
    return {"": evaluator.compute()}


def _persons(truth: GroundTruth) -> tuple[KeypointPersons, list[Any]]:
    """Return annotated people without the rows of empty images, and the ids of all images."""
    images = _ids(truth.image)
    real = truth.person != ""

    def column(name: str, kind: type) -> NDArray[Any] | None:
        values = truth.extras.get(name)
        return None if values is None else np.asarray(values)[real].astype(kind)

    joints = truth.joints[real]
    persons = KeypointPersons(
        image=images[real],
        keypoints=np.nan_to_num(joints),
        labelled=np.asarray(np.isfinite(joints).all(-1)),
        area=column("area", np.float64),
        box=column("box", np.float64),
        crowd=column("crowd", np.bool_),
        ignored=column("ignored", np.bool_),
    )
    return persons, sorted(set(images.tolist()))


def _ids(image: NDArray[np.str_]) -> NDArray[Any]:
    """Return ids of images as integers if all of them are, so that 9 sorts before 10."""
    texts = np.asarray(image, dtype=str)
    if all(text.isdigit() for text in texts.tolist()):
        return texts.astype(np.int64)
    return texts
