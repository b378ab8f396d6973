"""AGORA: matching of people by 2D joints, errors of matched people, normalisation by F1.

Errors are in mm, 2D joints in pixels of the 3840 x 2160 images (multiply predictions on the
1280 x 720 images by 3). Leaderboard numbers come from the benchmark's server; numbers computed
here are estimates on the validation set.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import MetricError
from posepile_torch.metrics.streaming import RunningMoments

AgoraCost = Literal["spectral", "mean_distance"]
OCCLUSION_LIMIT_PERCENT = 90.0
EXTREMITIES = ("left_hand", "right_hand", "face")


@dataclass(frozen=True)
class AgoraRules:
    """How people are matched and averaged; :meth:`reference` has all habits of the public tool.

    Args:
        cost: Discrepancy of two sets of 2D joints: ``"spectral"``, the largest singular value of
            the matrix of differences, as in the public tool, or ``"mean_distance"``.
        min_iou: Smallest IoU of the tight boxes around the joints of a pair.
        stop_early: Discarded pairs use up the number of predictions, so that several of them can
            end the matching while good pairs remain.
        misses_as_zero: Missed people enter the means of hands and face with error 0.
        rounded: F1 is rounded to 2 decimals before it divides means that are rounded to 1.
    """

    cost: AgoraCost = "spectral"
    min_iou: float = 0.1
    stop_early: bool = False
    misses_as_zero: bool = False
    rounded: bool = False

    def __post_init__(self) -> None:
        if self.cost not in get_args(AgoraCost):
            raise MetricError(
                f"cost={self.cost!r}",
                where="AgoraRules",
                fix=f"choose one of {', '.join(get_args(AgoraCost))}",
            )

    @classmethod
    def reference(cls) -> AgoraRules:
        """Return the rules of the public tool."""
        return cls(stop_early=True, misses_as_zero=True, rounded=True)


@dataclass(frozen=True, eq=False)
class AgoraMatch:
    """Pairs of one image.

    Args:
        prediction: ``[G]`` prediction of each annotated person, -1 for none.
        missed: ``[G]`` valid people without a prediction.
        n_false_positives: Predictions without a person.
    """

    prediction: NDArray[np.int64]
    missed: NDArray[np.bool_]
    n_false_positives: int


@dataclass(frozen=True, eq=False, kw_only=True)
class AgoraPart:
    """Points of one body part of all people of an image; each side is moved to its own root.

    Args:
        pred: ``[P, V, 3]`` mm: joints or vertices.
        gt: ``[G, V, 3]`` mm.
        pred_root: ``[P, 3]`` mm: mid-hip for the body, wrist for a hand, neck for the face.
        gt_root: ``[G, 3]`` mm.
    """

    pred: NDArray[np.float64]
    gt: NDArray[np.float64]
    pred_root: NDArray[np.float64]
    gt_root: NDArray[np.float64]

    def errors_mm(
        self, prediction: NDArray[np.int64], person: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the mean distance of chosen pairs, ``[n]``."""
        p = np.asarray(self.pred, dtype=np.float64)[prediction]
        g = np.asarray(self.gt, dtype=np.float64)[person]
        if p.shape != g.shape or p.ndim != 3 or p.shape[2] != 3:
            raise MetricError(
                f"predicted points {list(np.shape(self.pred))}, true {list(np.shape(self.gt))}",
                where="AgoraPart",
                rule="both have the same points, [people, V, 3]",
            )
        p = p - np.asarray(self.pred_root, dtype=np.float64)[prediction][:, None]
        g = g - np.asarray(self.gt_root, dtype=np.float64)[person][:, None]
        errors = np.asarray(np.sqrt(((p - g) ** 2).sum(-1)).mean(-1))
        if not np.isfinite(errors).all():
            raise MetricError(
                f"{int((~np.isfinite(errors)).sum())} matched people have points that are not"
                " finite",
                where="AgoraPart",
                rule="a prediction is whole; leaving one out makes it a miss",
                fix="remove such predictions",
            )
        return errors


@dataclass(frozen=True, eq=False)
class AgoraResult:
    """Scores over all images.

    Args:
        mean_mm: Measure → mean error of matched people; ``"mpjpe_full"`` and ``"mve_full"`` are
            body + (left hand + right hand + face) / 3 where all four parts were given.
        normalised_mm: Measure → mean error divided by F1 (NMJE, NMVE).
        precision: TP / (TP + FP).
        recall: TP / (TP + FN).
        f1: TP / (TP + (FP + FN) / 2).
        n_matched: TP.
        n_false_positives: FP.
        n_missed: FN.
        groups: Label → measure → mean error of the matched people of this group.
        group_recall: Label → recall of the people of this group.
    """

    mean_mm: Mapping[str, float]
    normalised_mm: Mapping[str, float]
    precision: float
    recall: float
    f1: float
    n_matched: int
    n_false_positives: int
    n_missed: int
    groups: Mapping[str, Mapping[str, float]]
    group_recall: Mapping[str, float]


def agora_valid(flag: object, occlusion_percent: object) -> NDArray[np.bool_]:
    """Return which annotated people count: flagged valid and occluded by 0..90 percent.

    Args:
        flag: ``[G]`` validity flags of the annotation.
        occlusion_percent: ``[G]``.
    """
    occlusion = np.asarray(occlusion_percent, dtype=np.float64)
    visible = (occlusion >= 0) & (occlusion <= OCCLUSION_LIMIT_PERCENT)
    return np.asarray(np.asarray(flag, dtype=bool) & visible)


def match_agora(
    pred2d: NDArray[np.float64],
    gt2d: NDArray[np.float64],
    valid: NDArray[np.bool_],
    rules: AgoraRules = AgoraRules(),
) -> AgoraMatch:
    """Pair predictions with annotated people of one image, most similar pairs first.

    A pair is accepted if both are free and their boxes overlap enough. A pair with a person that
    is not valid takes this person out of the way and leaves the prediction free. Of pairs with
    equal cost, that of the earlier prediction comes first, then that of the earlier person.

    Args:
        pred2d: ``[P, 24, 2]`` px.
        gt2d: ``[G, 24, 2]`` px.
        valid: ``[G]``, see :func:`agora_valid`.
        rules: See :class:`AgoraRules`.
    """
    pred, gt = (np.asarray(x, dtype=np.float64) for x in (pred2d, gt2d))
    counts = np.asarray(valid, dtype=bool)
    if len(counts) != len(gt) or not (np.isfinite(pred).all() and np.isfinite(gt).all()):
        raise MetricError(
            f"{len(gt)} people and {len(counts)} flags, or 2D joints that are not finite",
            where="match_agora",
            rule="every person has a flag, and all 2D joints are finite",
        )
    prediction = np.full(len(gt), -1, dtype=np.int64)
    free_prediction, free_person = np.ones(len(pred), dtype=bool), np.ones(len(gt), dtype=bool)
    if len(pred) and len(gt):
        cost, overlap = _costs(pred, gt, rules.cost), _box_overlaps(pred, gt)
        used = 0
        for flat in np.argsort(cost.ravel(), kind="stable").tolist():
            p, g = divmod(flat, len(gt))
            if not (free_prediction[p] and free_person[g]):
                continue
            if rules.stop_early and used >= len(pred):
                break
            if overlap[p, g] < rules.min_iou:
                used += 1
            elif not counts[g]:
                free_person[g] = False
            else:
                free_prediction[p] = free_person[g] = False
                prediction[g] = p
                used += 1
    return AgoraMatch(prediction, counts & (prediction < 0), int(free_prediction.sum()))


class AgoraEvaluator:
    """Streaming AGORA scores; images in any order, the same result to the last bit.

    Args:
        rules: See :class:`AgoraRules`.
    """

    def __init__(self, rules: AgoraRules = AgoraRules()) -> None:
        self.rules = rules
        self._counts = np.zeros(3, dtype=np.int64)  # matched, false positives, missed
        self._errors: dict[tuple[str, str | None], RunningMoments] = {}
        self._found: dict[str, NDArray[np.int64]] = {}  # matched, missed
        self._seen: set[Hashable] = set()

    def update(
        self,
        image: Hashable,
        *,
        pred2d: NDArray[np.float64],
        gt2d: NDArray[np.float64],
        valid: NDArray[np.bool_],
        parts: Mapping[str, AgoraPart],
        groups: Sequence[str] | None = None,
    ) -> AgoraMatch:
        """Take in one image and return its pairs.

        Args:
            image: Its key; an image is given once.
            pred2d: ``[P, 24, 2]`` px.
            gt2d: ``[G, 24, 2]`` px: all annotated people, also those that are not valid.
            valid: ``[G]``.
            parts: Measure (``"mpjpe_body"``, ``"mve_body"``, ``"mve_left_hand"``,
                ``"mpjpe_face"``, ...) → its points.
            groups: ``[G]`` a label per annotated person for breakdowns, such as ``"kid"`` or a
                bin of occlusion.
        """
        match = match_agora(pred2d, gt2d, valid, self.rules)
        person = np.flatnonzero(match.prediction >= 0)
        errors = {
            measure: part.errors_mm(match.prediction[person], person) if len(person) else None
            for measure, part in parts.items()
        }
        self._remember({image})
        self._counts += [len(person), match.n_false_positives, match.missed.sum()]
        labels = None if groups is None else np.asarray(groups)
        if labels is not None:
            for label in np.unique(labels).tolist():
                mine = labels == label
                found = self._found.setdefault(label, np.zeros(2, dtype=np.int64))
                found += [mine[person].sum(), (mine & match.missed).sum()]
        for measure, found_mm in errors.items():
            moments = self._moments(measure, None)
            if found_mm is None:
                continue
            moments.update(found_mm)
            if labels is not None:
                for label in np.unique(labels[person]).tolist():
                    self._moments(measure, label).update(found_mm[labels[person] == label])
        return match

    def merge(self, other: AgoraEvaluator) -> None:
        """Take in all images of another evaluator with the same rules."""
        if self.rules != other.rules:
            raise MetricError(
                "evaluators with different rules cannot be merged",
                where="AgoraEvaluator.merge",
                rule="all parts of an evaluation use one set of rules",
            )
        self._remember(other._seen)
        self._counts = self._counts + other._counts
        for (measure, label), moments in other._errors.items():
            self._moments(measure, label).merge(moments)
        for label, found in other._found.items():
            self._found[label] = self._found.get(label, 0) + found

    def compute(self) -> AgoraResult:
        """Return errors, detection scores and their quotient; NaN where nothing was matched."""
        matched, false, missed = self._counts.tolist()
        f1 = _quotient(matched, matched + (false + missed) / 2)
        means = self._means(None, missed)
        shown = round(f1, 2) if self.rules.rounded else f1
        if self.rules.rounded:
            means = {name: round(value, 1) for name, value in means.items()}
        normalised = {name: _quotient(value, shown) for name, value in means.items()}
        if self.rules.rounded:
            normalised = {name: round(value, 1) for name, value in normalised.items()}
        found = sorted(self._found.items())
        return AgoraResult(
            mean_mm=means,
            normalised_mm=normalised,
            precision=_quotient(matched, matched + false),
            recall=_quotient(matched, matched + missed),
            f1=shown,
            n_matched=matched,
            n_false_positives=false,
            n_missed=missed,
            groups={label: self._means(label, int(lost)) for label, (_, lost) in found},
            group_recall={label: _quotient(int(n), int(n + lost)) for label, (n, lost) in found},
        )

    def _means(self, label: str | None, missed: int) -> dict[str, float]:
        means = {}
        for measure in sorted({name for name, _ in self._errors}):
            moments = self._moments(measure, label)
            mean, count = float(moments.mean()), int(moments.count())
            if self.rules.misses_as_zero and measure.endswith(EXTREMITIES) and count:
                mean *= count / (count + missed)
            means[measure] = mean
        for kind in ("mpjpe", "mve"):
            body, *others = (means.get(f"{kind}_{part}") for part in ("body", *EXTREMITIES))
            known = [value for value in others if value is not None]
            if body is not None and len(known) == len(EXTREMITIES):
                means[f"{kind}_full"] = body + sum(known) / len(known)
        return means

    def _moments(self, measure: str, label: str | None) -> RunningMoments:
        return self._errors.setdefault((measure, label), RunningMoments())

    def _remember(self, images: set[Hashable]) -> None:
        again = self._seen & images
        if again:
            raise MetricError(
                f"image {next(iter(again))!r} was given twice",
                where="AgoraEvaluator",
                rule="an image is given once, with all its people and predictions",
            )
        self._seen |= images


def _costs(
    pred: NDArray[np.float64], gt: NDArray[np.float64], cost: AgoraCost
) -> NDArray[np.float64]:
    delta = pred[:, None] - gt[None]
    if cost == "spectral":
        return np.asarray(np.linalg.norm(delta, ord=2, axis=(-2, -1)))
    return np.asarray(np.linalg.norm(delta, axis=-1).mean(-1))


def _box_overlaps(pred: NDArray[np.float64], gt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of tight joint boxes; sides are one pixel longer, as in the public tool."""
    low = np.maximum(pred.min(1)[:, None], gt.min(1)[None])
    high = np.minimum(pred.max(1)[:, None], gt.max(1)[None])
    shared = np.maximum(high - low + 1, 0).prod(-1)
    sizes = [(x.max(1) - x.min(1) + 1).prod(-1) for x in (pred, gt)]
    return np.asarray(shared / (sizes[0][:, None] + sizes[1][None] - shared))


def _quotient(a: Any, b: Any) -> float:
    return float(a) / float(b) if b else float("nan")
