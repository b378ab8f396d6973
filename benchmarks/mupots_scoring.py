"""Evaluators of MuPoTS-3D: matching by 2D joints, then scores per sequence or pooled."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import PredictionError, ProtocolError
from posepile_torch.evaluate.engine import evaluate
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import (
    MetricSpec,
    OnMissing,
    Protocol,
)
from posepile_torch.evaluate.results import Counts, MetricValue, Result
from posepile_torch.metrics.multiperson import (
    MupotsEvaluator,
    MupotsResult,
    MupotsSequence,
    match_mupots,
)

from . import _rows as rows


def evaluate_mupots(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth, on_missing: OnMissing
) -> Result:
    """Match and score; the evaluator of the tables per sequence."""
    rows.check_policy(protocol, on_missing)
    pred2d, gt2d = _image_joints(protocol, predictions, truth)
    people = rows.rows_by_image(predictions.image)
    sequence = _sequences(protocol, truth)
    variants: dict[tuple[bool, bool], MupotsResult] = {}
    for metric in protocol.metrics:
        key = (protocol.root_of(metric) is None, bool(metric.arguments.get("rescale")))
        if key in variants:
            continue
        evaluator = MupotsEvaluator(align="absolute" if key[0] else "root", rescale=key[1])
        for image, true in rows.rows_by_image(truth.image).items():
            mine = people.get(image, np.zeros(0, dtype=np.int64))
            evaluator.update(
                sequence[true[0]],
                image,
                pred3d=predictions.joints[mine],
                gt3d=truth.joints[true],
                pred2d=pred2d[mine],
                gt2d=gt2d[true],
            )
        variants[key] = evaluator.compute()
    found = next(iter(variants.values()))
    n_matched = sum(s.n_matched for s in found.sequences.values())
    values = tuple(
        _value(
            protocol,
            metric,
            variants[protocol.root_of(metric) is None, bool(metric.arguments.get("rescale"))],
        )
        for metric in protocol.metrics
        if metric.function != "mupots_recall"
    )
    values += tuple(
        rows.valued(protocol, metric, found.recall, aggregation="pooled", n_samples=len(truth))
        for metric in protocol.metrics
        if metric.function == "mupots_recall"
    )
    notes: tuple[str, ...] = ()
    if found.without_match:
        names = ", ".join(str(name) for name in found.without_match)
        notes = (f"nobody was matched in {names}: left out of means over matched people",)
    return rows.result(
        protocol,
        predictions,
        truth,
        on_missing,
        values=values,
        counts=_counts(predictions, truth, n_matched),
        notes=notes,
    )


def evaluate_matched(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth, on_missing: OnMissing
) -> Result:
    """Match people, then evaluate the pairs as any other protocol does."""
    pred2d, gt2d = _image_joints(protocol, predictions, truth)
    people = rows.rows_by_image(predictions.image)
    source, target = [], []
    for image, true in rows.rows_by_image(truth.image).items():
        mine = people.get(image, np.zeros(0, dtype=np.int64))
        matched = match_mupots(pred2d[mine], gt2d[true])
        source += mine[matched[matched >= 0]].tolist()
        target += true[matched >= 0].tolist()
    paired = dataclasses.replace(
        predictions,
        image=truth.image[target],
        person=truth.person[target],
        joints=predictions.joints[source],
        extras={name: column[source] for name, column in predictions.extras.items()},
    )
    plain = dataclasses.replace(protocol, evaluator=None)
    found = evaluate(plain, paired, truth, on_missing=on_missing)
    return dataclasses.replace(found, counts=_counts(predictions, truth, len(source)))


def _value(protocol: Protocol, metric: MetricSpec, found: MupotsResult) -> MetricValue:
    score = str(metric.arguments["score"])
    missed = metric.function == "mupots_annotated"

    def of(sequence: MupotsSequence) -> float:
        return sequence.annotated(score) if missed else sequence.matched[score]

    cells = tuple(
        rows.finite_cell(str(name), of(one), one.n_annotated if missed else one.n_matched)
        for name, one in found.sequences.items()
    )
    return rows.valued(
        protocol,
        metric,
        (found.annotated if missed else found.matched)[score],
        aggregation="mean of means per sequence",
        n_samples=sum(cell.n_samples for cell in cells),
        breakdowns={"sequence": cells},
    )


def _counts(predictions: Predictions, truth: GroundTruth, n_matched: int) -> Counts:
    return Counts(
        n_expected=len(truth),
        n_evaluated=n_matched,
        n_missing=len(truth) - n_matched,
        n_unmatched=len(predictions) - n_matched,
    )


def _sequences(protocol: Protocol, truth: GroundTruth) -> list[str]:
    if "sequence" in truth.labels:
        return list(truth.labels["sequence"].tolist())
    raise ProtocolError(
        "the ground truth does not say the sequence of its people",
        where=truth.where,
        rule=f"{protocol.id} is a mean over sequences",
        fix="give the table of ground truth a column 'sequence'",
    )


def _image_joints(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return predicted and true 2D joints; predictions are projected where they have none."""
    rows.check_people(predictions)
    if predictions.space != "camera" or truth.space != "camera":
        raise PredictionError(
            f"predictions in {predictions.space} space, truth in {truth.space} space",
            where=predictions.where,
            rule=f"{protocol.id} is defined in camera space",
            fix="write them in camera space",
        )
    gt2d = np.asarray(rows.true_column(truth, "joints2d", protocol), np.float64)
    if "joints2d" in predictions.extras:
        return np.asarray(predictions.extras["joints2d"], np.float64), gt2d
    intrinsics = np.asarray(rows.true_column(truth, "intrinsics", protocol), np.float64)
    first = {image: at[0] for image, at in rows.rows_by_image(truth.image).items()}
    pred2d = np.full((*predictions.joints.shape[:2], 2), np.nan)
    at = np.array([first.get(image, -1) for image in predictions.image.tolist()], dtype=np.int64)
    seen = at >= 0
    image_plane = np.einsum("nij,nkj->nki", intrinsics[at[seen]], predictions.joints[seen])
    with np.errstate(divide="ignore", invalid="ignore"):
        projected = image_plane[..., :2] / image_plane[..., 2:]
    pred2d[seen] = np.where(image_plane[..., 2:] > 0, projected, np.nan)
    return pred2d, gt2d
