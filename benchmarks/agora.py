"""AGORA: people are matched by 24 projected joints, errors of matched people, divided by F1.

Numbers of the leaderboard come from the benchmark's server; those computed here are estimates on
the validation set. Predictions have the column ``joints2d`` in pixels of the 3840 x 2160 images,
the truth too, and ``valid``; both may have ``vertices`` of the body.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import Choice, Frames, MetricSpec, OnMissing, Protocol
from posepile_torch.evaluate.results import Cell, Counts, Result
from posepile_torch.metrics.agora import AgoraEvaluator, AgoraPart, AgoraRules

from . import _citations as cite
from . import _rows as rows
from . import _specs as specs

FUNCTIONS = ("agora_mean", "agora_normalised", "agora_f1", "agora_precision", "agora_recall")
HANDS = ("index", "middle", "pinky", "ring", "thu")
_BODY22 = (
    "pelv lhip rhip bell lkne rkne spin lank rank thor ltoe rtoe neck lcla rcla head lsho rsho "
    "lelb relb lwri rwri"
)
_HAND = {
    f"{side}_hand": tuple(f"{side[0]}{f}{i}" for f in HANDS for i in (1, 2, 3))
    for side in ("left", "right")
}
_CHOICES = (
    Choice("valid people", "flagged valid and occluded by 0 to 90 percent", cite.AGORA_PAPER),
    Choice(
        "matching",
        "the pair with the smallest discrepancy of 24 joints in the image, again and again; "
        "accepted if both are free and the tight boxes (legacy +1 px) overlap by 0.1; a pair with "
        "an annotated person who is not valid retires that person only",
        cite.AGORA_PAPER,
    ),
    Choice(
        "discrepancy",
        "largest singular value of the matrix of differences, as the public tool has it; "
        "its low-overlap pairs may end the matching early, these do not",
        f"{cite.AGORA_PAPER}; {cite.OURS}",
    ),
    Choice("root", "midpoint of the hips, wrist, or neck; translation only", cite.AGORA_PAPER),
    Choice("F1", "TP / (TP + (FP + FN) / 2), not rounded before it divides", cite.OURS),
    Choice("missed people", "enter F1, never a mean error", cite.OURS),
    Choice(
        "parity",
        "agora/smpl-tool rounds F1 to 2 decimals and lets missed people enter means of hands and "
        "face as zero",
        cite.AGORA_PAPER,
    ),
)
_NOT = ("numbers of the leaderboard: those are of the test set, by the server",)


def _metrics(measures: dict[str, str]) -> tuple[MetricSpec, ...]:
    found = []
    for measure, label in measures.items():
        kind = "NMJE" if measure.startswith("mpjpe") else "NMVE"
        for function, name in (
            ("agora_mean", label),
            ("agora_normalised", label.replace("MPJPE", kind).replace("MVE", kind)),
        ):
            found.append(
                MetricSpec(
                    name,
                    function,
                    {"measure": measure},
                    about="mean over matched people" + ("" if name == label else ", over F1"),
                )
            )
    for function, name in (
        ("agora_f1", "F1"),
        ("agora_precision", "precision"),
        ("agora_recall", "recall"),
    ):
        found.append(MetricSpec(name, function, unit="", higher_is_better=True))
    return tuple(found)


def _smpl(variant: str, tool: bool) -> Protocol:
    return Protocol(
        name=f"agora/{variant}",
        version=1,
        title="AGORA validation, SMPL: 24 joints and body vertices"
        + (", with the roundings of the public tool" if tool else ""),
        benchmark="agora",
        skeleton="smpl_24",
        root=specs.MID_HIP,
        target="vertices",
        metrics=_metrics({"mpjpe_body": "MPJPE body", "mve_body": "MVE body"}),
        frames=Frames(splits=("val",), valid="occlusion 0..90 percent"),
        on_missing="count_as_wrong",
        evaluator="posepile_torch.benchmarks.agora:evaluate_tool"
        if tool
        else "posepile_torch.benchmarks.agora:evaluate_agora",
        choices=_CHOICES,
        not_comparable=_NOT,
    )


SMPL = _smpl("smpl", tool=False)
SMPL_TOOL = _smpl("smpl-tool", tool=True)
SMPLX = Protocol(
    name="agora/smplx-joints",
    version=1,
    title="AGORA validation, SMPL-X: body and hand joints, face landmarks",
    benchmark="agora",
    skeleton="smplx_55",
    root=specs.MID_HIP,
    metrics=_metrics(
        {
            "mpjpe_body": "MPJPE body",
            "mpjpe_left_hand": "MPJPE left hand",
            "mpjpe_right_hand": "MPJPE right hand",
            "mpjpe_face": "MPJPE face",
            "mpjpe_full": "MPJPE full body",
        }
    ),
    frames=Frames(splits=("val",), valid="occlusion 0..90 percent"),
    on_missing="count_as_wrong",
    evaluator="posepile_torch.benchmarks.agora:evaluate_agora",
    choices=(
        *_CHOICES,
        Choice(
            "joints",
            "22 of the body, 15 per hand, 51 landmarks of the face in the column face",
            cite.AGORA_PAPER,
        ),
        Choice("full body", "body + (left hand + right hand + face) / 3", cite.AGORA_PAPER),
    ),
    not_comparable=(*_NOT, "SMPLer-X prints NMVE 107.2 mm: vertices, test set"),
)


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


_Part = tuple[
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
]


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
