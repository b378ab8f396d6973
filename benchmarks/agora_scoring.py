"""Evaluators of AGORA: matching, errors of matched people, quotients by F1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import OnMissing, Protocol
from posepile_torch.evaluate.results import Cell, Counts, Result
from posepile_torch.metrics.agora import AgoraEvaluator, AgoraPart, AgoraRules

from . import _rows as rows
from . import _specs as specs

_BODY22 = (
    "pelv lhip rhip bell lkne rkne spin lank rank thor ltoe rtoe neck lcla rcla head lsho rsho "
    "lelb relb lwri rwri"
)

FINGERS = ("index", "middle", "pinky", "ring", "thu")
"""As SMPL-X names them; three joints each."""

_HAND = {
    f"{side}_hand": tuple(f"{side[0]}{f}{i}" for f in FINGERS for i in (1, 2, 3))
    for side in ("left", "right")
}

_Part = tuple[
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
]


def evaluate_agora(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth, on_missing: OnMissing
) -> Result:
    """Match and score with unrounded F1, misses in no mean error."""
    return _evaluated(protocol, predictions, truth, on_missing, AgoraRules())


def evaluate_tool(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth, on_missing: OnMissing
) -> Result:
    """Match and score with the habits of the public tool."""
    return _evaluated(protocol, predictions, truth, on_missing, AgoraRules.reference())


def _evaluated(
    protocol: Protocol,
    predictions: Predictions,
    truth: GroundTruth,
    on_missing: OnMissing,
    rules: AgoraRules,
) -> Result:
    rows.check_policy(protocol, on_missing)
    rows.check_people(predictions)
    pred2d = np.asarray(rows.predicted_column(predictions, "joints2d", protocol), np.float64)
    gt2d = np.asarray(rows.true_column(truth, "joints2d", protocol), np.float64)
    valid = np.asarray(rows.true_column(truth, "valid", protocol)).astype(bool)
    groups = truth.extras.get("group")
    parts = _all_parts(protocol, predictions, truth)
    people = rows.rows_by_image(predictions.image)
    true_people = rows.rows_by_image(truth.image)
    evaluator = AgoraEvaluator(rules)
    for image in sorted({*people, *true_people}):
        mine = people.get(image, np.zeros(0, dtype=np.int64))
        true = true_people.get(image)
        if true is None:
            continue  # an image without annotation is not evaluated
        evaluator.update(
            image,
            pred2d=pred2d[mine],
            gt2d=gt2d[true],
            valid=valid[true],
            parts={
                name: AgoraPart(pred=p[mine], gt=g[true], pred_root=pr[mine], gt_root=gr[true])
                for name, (p, g, pr, gr) in parts.items()
            },
            groups=None if groups is None else np.asarray(groups, dtype=str)[true].tolist(),
        )
    found = evaluator.compute()
    scores = {
        "agora_f1": found.f1,
        "agora_precision": found.precision,
        "agora_recall": found.recall,
    }
    values = []
    for metric in protocol.metrics:
        measure = str(metric.arguments.get("measure", ""))
        if metric.function in scores:
            number = scores[metric.function]
        elif metric.function == "agora_mean":
            number = found.mean_mm.get(measure, float("nan"))
        else:
            number = found.normalised_mm.get(measure, float("nan"))
        cells = tuple(
            Cell(label, means[measure], found.n_matched)
            for label, means in found.groups.items()
            if metric.function == "agora_mean" and np.isfinite(means.get(measure, float("nan")))
        )
        values.append(
            rows.valued(
                protocol,
                metric,
                number,
                aggregation="mean over matched people",
                n_samples=found.n_matched,
                breakdowns={"group": cells} if cells else {},
            )
        )
    counts = Counts(
        n_expected=int(valid.sum()),
        n_evaluated=found.n_matched,
        n_missing=found.n_missed,
        n_unmatched=found.n_false_positives,
        n_excluded=0,
    )
    return rows.result(
        protocol, predictions, truth, on_missing, values=tuple(values), counts=counts
    )


def _all_parts(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth
) -> dict[str, _Part]:
    """Return measure → predicted and true points, and the roots of both."""
    skeleton = protocol.named_skeleton

    def side(poses: NDArray[np.float64], names: tuple[str, ...]) -> NDArray[np.float64]:
        return np.asarray(poses[:, skeleton.indices(list(names))])

    def part(names: tuple[str, ...], root: tuple[str, ...]) -> _Part:
        pred, gt = (side(poses, names) for poses in (predictions.joints, truth.joints))
        roots = [side(poses, root).mean(1) for poses in (predictions.joints, truth.joints)]
        return pred, gt, roots[0], roots[1]

    asked = {str(m.arguments.get("measure", "")) for m in protocol.metrics}
    all_body = skeleton.joints if len(skeleton) == 24 else tuple(_BODY22.split())
    found = {"mpjpe_body": part(all_body, specs.MID_HIP)}
    for hand, names in _HAND.items():
        if f"mpjpe_{hand}" in asked:
            found[f"mpjpe_{hand}"] = part(names, (f"{hand[0]}wri",))
    for measure, column, root in (
        ("mve_body", "vertices", specs.MID_HIP),
        ("mpjpe_face", "face", ("neck",)),
    ):
        if measure in asked:
            pred = np.asarray(rows.predicted_column(predictions, column, protocol), np.float64)
            gt = np.asarray(rows.true_column(truth, column, protocol), np.float64)
            roots = [side(poses, root).mean(1) for poses in (predictions.joints, truth.joints)]
            found[measure] = (pred, gt, roots[0], roots[1])
    return found
