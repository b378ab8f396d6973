"""PoseTrack 2017/2018 average precision per joint type.

Keypoints are in pixels, the unit of distances is the head size (0.6 times the diagonal of the head
box), results are in percent. 15 joint types, named as in :data:`POSETRACK_JOINTS`. Nothing of this
needs poseval, shapely or motmetrics.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import MetricError

POSETRACK_JOINTS = (
    "rank", "rkne", "rhip", "lhip", "lkne", "lank", "rwri", "relb", "rsho", "lsho", "lelb", "lwri",
    "neck", "nose", "htop",
)  # fmt: skip
"""Joint types of the evaluation, by number; "neck" is the head bottom."""

POSETRACK_GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Head": ("htop", "neck", "nose"),
        "Shou": ("rsho", "lsho"),
        "Elb": ("relb", "lelb"),
        "Wri": ("rwri", "lwri"),
        "Hip": ("rhip", "lhip"),
        "Knee": ("rkne", "lkne"),
        "Ankl": ("rank", "lank"),
    }
)
"""Columns of the usual table."""

# Slots of the 2018 files: nose, head bottom, head top, ears (unused), then COCO's order.
_SLOTS_2018 = (16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9, 1, 0, 2)
HIT_DISTANCE = 0.5  # head sizes, inclusive
NO_SCORE = -9999.0  # poseval's, for joints without a score


@dataclass(frozen=True, eq=False, kw_only=True)
class FramePersons:
    """Annotated or predicted persons of one frame; a joint that is not finite is absent.

    Args:
        joints: ``[N, 15, 2]`` px; NaN where there is no joint.
        head_size: ``[N]`` px, 0.6 times the diagonal of the head box; for annotated persons.
        score: ``[N, 15]`` for predicted persons; NaN counts as the lowest score.
        track: ``[N]`` track ids, for tracking.
    """

    joints: NDArray[np.float64]
    head_size: NDArray[np.float64] | None = None
    score: NDArray[np.float64] | None = None
    track: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        joints = np.asarray(self.joints, dtype=np.float64)
        if joints.size == 0:
            joints = joints.reshape(0, 15, 2)
        object.__setattr__(self, "joints", joints)
        count = len(joints)
        shapes = {"joints": (count, 15, 2), "head_size": (count,), "score": (count, 15)}
        for name, shape in (shapes | {"track": (count,)}).items():
            value = getattr(self, name)
            if value is None:
                continue
            array = np.asarray(value)
            if array.size == 0 and count == 0:
                array = array.reshape(shape)
            if array.shape != shape:
                raise MetricError(
                    f"{name} has shape {list(array.shape)}",
                    where="FramePersons",
                    rule=f"{name} of {count} persons has shape {list(shape)}",
                    fix="the 17 slots of 2018 files go through posetrack18_joints first",
                )
            dtype = np.int64 if name == "track" else np.float64
            object.__setattr__(self, name, array.astype(dtype, copy=False))
        if self.head_size is not None and not (self.head_size > 0).all():
            raise MetricError(
                f"head sizes {self.head_size.tolist()}",
                where="FramePersons",
                rule="distances are measured in head sizes, which are positive",
            )

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which joints there are, ``[N, 15]``."""
        return np.asarray(np.isfinite(self.joints).all(-1))

    def chosen(self, rows: NDArray[np.bool_]) -> FramePersons:
        """Return some of the persons."""
        return FramePersons(
            joints=self.joints[rows],
            head_size=None if self.head_size is None else self.head_size[rows],
            score=None if self.score is None else self.score[rows],
            track=None if self.track is None else self.track[rows],
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class PoseTrackFrame:
    """One frame: annotated persons, predicted persons, and regions that do not count.

    Args:
        persons: Annotated persons, with head sizes.
        predictions: Predicted persons.
        ignore: Polygons ``[P, 2]`` in px; joints strictly inside one do not count.
    """

    persons: FramePersons
    predictions: FramePersons
    ignore: Sequence[NDArray[np.float64]] = field(default=())

    def cleaned(self) -> PoseTrackFrame | None:
        """Return the frame as it is evaluated, or None if it is not.

        A frame without any annotated person is dropped with its predictions. Joints inside ignore
        regions are removed, then persons without joints.
        """
        if not len(self.persons):
            return None
        if self.persons.head_size is None:
            raise MetricError(
                "annotated persons have no head sizes",
                where="PoseTrackFrame",
                rule="distances are measured in head sizes",
                fix="pass head_size=0.6 * diagonal of the head box",
            )
        return PoseTrackFrame(
            persons=self._counted(self.persons), predictions=self._counted(self.predictions)
        )

    def _counted(self, people: FramePersons) -> FramePersons:
        joints = people.joints.copy()
        joints[~people.present] = np.nan
        for polygon in self.ignore:
            joints[strictly_inside(joints, polygon)] = np.nan
        left = replace(people, joints=joints)
        return left.chosen(np.asarray(left.present.any(1)))

    def distances(self) -> NDArray[np.float64]:
        """Return distances in head sizes, ``[predictions, persons, 15]``; NaN where absent."""
        delta = self.predictions.joints[:, None] - self.persons.joints[None]
        size = self.persons.head_size
        scale = np.ones(len(self.persons)) if size is None else size
        squares = delta[..., 0] ** 2 + delta[..., 1] ** 2
        return np.asarray(np.sqrt(squares) / scale[:, None])


def posetrack18_joints(
    keypoints: NDArray[np.float64], visible: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the 15 joints of the evaluation from the 17 slots of a 2018 file.

    Args:
        keypoints: ``[N, 17, 2]`` px: nose, head bottom, head top, two unused ears, then COCO's
            order from the shoulders on.
        visible: ``[N, 17]``; a slot with 0 is absent, for annotations and predictions alike.

    Returns:
        ``[N, 15, 2]`` with NaN for absent joints.
    """
    points, flags = np.asarray(keypoints, dtype=np.float64), np.asarray(visible)
    if points.ndim != 3 or points.shape[1:] != (17, 2) or flags.shape != points.shape[:2]:
        raise MetricError(
            f"keypoints of shape {list(points.shape)}, flags of shape {list(flags.shape)}",
            where="posetrack18_joints",
            rule="files of 2018 have 17 slots per person",
        )
    kept = np.where(flags[..., None] != 0, points, np.nan)
    return np.asarray(kept[:, _SLOTS_2018])


def strictly_inside(
    points: NDArray[np.float64], polygon: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which points lie strictly inside a polygon; those on its border do not.

    Overlapping parts follow the even-odd rule. Points that are not finite are outside.

    Args:
        points: ``[..., 2]`` px.
        polygon: ``[P, 2]`` px corners, P >= 3; the last one joins the first.
    """
    corners = np.asarray(polygon, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise MetricError(
            f"a polygon of shape {list(corners.shape)}",
            where="strictly_inside",
            rule="a polygon has at least three corners x, y",
        )
    x, y = points[..., 0], points[..., 1]
    inside = np.zeros(x.shape, dtype=bool)
    border = np.zeros(x.shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        side = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
        spans = (y0 > y) != (y1 > y)
        inside ^= spans & ((side > 0) == (y1 > y0))
        within = (x >= min(x0, x1)) & (x <= max(x0, x1)) & (y >= min(y0, y1)) & (y <= max(y0, y1))
        border |= (side == 0) & within
    return inside & ~border & np.isfinite(points).all(-1)


def match_frame(hits: NDArray[np.bool_], person_joints: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the prediction of each annotated person of a frame, -1 for none.

    The PCK of a pair is its hits divided by the joints of the annotated person. Each prediction
    stands for its best person only, then each person takes the best of its predictions; of equal
    ones the first.

    Args:
        hits: ``[P, G, 15]`` whether predicted joints hit annotated ones.
        person_joints: ``[G]`` number of annotated joints.
    """
    if not hits.shape[0] or not hits.shape[1]:
        return np.full(hits.shape[1], -1, dtype=np.int64)
    share = hits.sum(-1) / np.maximum(person_joints, 1)
    best_person = share.argmax(1)
    own = np.zeros_like(share)
    rows = np.arange(len(share))
    own[rows, best_person] = share[rows, best_person]
    return np.where(own.max(0) > 0, own.argmax(0), -1)


@dataclass(frozen=True, eq=False)
class PoseTrackResult:
    """Average precision per joint type, in percent.

    Args:
        ap: ``[15]`` in the order of :data:`POSETRACK_JOINTS`; NaN for a type without annotations.
        precision: ``[15]`` over all predictions of the type.
        recall: ``[15]``.
        n_annotated: ``[15]`` annotated joints.
        n_predicted: ``[15]`` predicted joints.
        n_frames: Frames evaluated.
        n_dropped_frames: Frames dropped for want of any annotated person.
    """

    ap: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    n_annotated: NDArray[np.int64]
    n_predicted: NDArray[np.int64]
    n_frames: int
    n_dropped_frames: int

    @property
    def mean_ap(self) -> float:
        """Mean of the AP over the joint types that have one."""
        return nan_mean(self.ap)

    def groups(self) -> dict[str, float]:
        """Return the columns of the usual table: mean AP per group, then ``"Total"``."""
        return posetrack_table(self.ap)


class PoseTrackEvaluator:
    """Streaming AP of PoseTrack.

    Each frame is given once under its own key, in any order; the result does not depend on it.
    Tied scores are ordered by frame key, then by the order of persons (poseval's own sorting is
    not stable, so that its result for tied scores depends on the version of NumPy).
    """

    def __init__(self) -> None:
        self._frames: dict[tuple[Any, ...], _FrameScores | None] = {}

    def update(self, key: Hashable, frame: PoseTrackFrame) -> None:
        """Take in one frame.

        Args:
            key: What orders and identifies it, such as (sequence, frame number); all keys are of
                one form.
            frame: The persons as annotated and predicted.
        """
        entry = key if isinstance(key, tuple) else (key,)
        if entry in self._frames:
            raise _given_twice([entry])
        cleaned = frame.cleaned()
        self._frames[entry] = None if cleaned is None else _scores(cleaned)

    def merge(self, other: PoseTrackEvaluator) -> None:
        """Take in all frames of another evaluator."""
        again = self._frames.keys() & other._frames.keys()
        if again:
            raise _given_twice(again)
        self._frames.update(other._frames)

    def compute(self, *, empty_types_as_zero: bool = False) -> PoseTrackResult:
        """Return AP, precision and recall per joint type.

        Args:
            empty_types_as_zero: Parity switch: a joint type that is neither annotated nor
                predicted has AP 0, as in poseval, instead of being left out.
        """
        kept = [frame for key in self._ordered_keys() if (frame := self._frames[key]) is not None]
        annotated = np.array([frame.annotated for frame in kept]).reshape(-1, 15).sum(0)
        joint, score, hit = (
            np.concatenate([getattr(f, name) for f in kept] or [np.zeros(0)])
            for name in ("joint", "score", "hit")
        )
        table = np.full((3, 15), np.nan)
        predicted = np.zeros(15, dtype=np.int64)
        for number in range(15):
            mine = joint == number
            predicted[number] = mine.sum()
            if annotated[number] or (empty_types_as_zero and not predicted[number]):
                table[:, number] = _precision_recall(
                    score[mine], hit[mine].astype(bool), int(annotated[number])
                )
        ap, precision, recall = table
        dropped = len(self._frames) - len(kept)
        return PoseTrackResult(ap, precision, recall, annotated, predicted, len(kept), dropped)

    def _ordered_keys(self) -> list[tuple[Any, ...]]:
        try:
            return sorted(self._frames)
        except TypeError as error:
            raise MetricError(
                f"the keys of the frames have no order: {error}",
                where=type(self).__name__,
                rule="frame keys are of one form, such as (sequence, frame number)",
            ) from error


def posetrack_table(per_joint: NDArray[np.float64]) -> dict[str, float]:
    """Return the means of :data:`POSETRACK_GROUPS` and ``"Total"``, leaving NaN out."""
    table = {
        name: nan_mean(per_joint[[POSETRACK_JOINTS.index(joint) for joint in joints]])
        for name, joints in POSETRACK_GROUPS.items()
    }
    return table | {"Total": nan_mean(per_joint)}


def nan_mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that are not NaN; NaN if all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


@dataclass(frozen=True, eq=False)
class _FrameScores:
    joint: NDArray[np.int64]  # [n] of each predicted joint
    score: NDArray[np.float64]
    hit: NDArray[np.bool_]
    annotated: NDArray[np.int64]  # [15]


def _scores(frame: PoseTrackFrame) -> _FrameScores:
    hits = frame.distances() <= HIT_DISTANCE  # false where a joint is absent
    there = frame.persons.present
    matched = match_frame(hits, there.sum(1))
    true = np.zeros((len(frame.predictions), 15), dtype=bool)
    for person, prediction in enumerate(matched.tolist()):
        if prediction >= 0:
            true[prediction] = hits[prediction, person]
    row, joint = np.nonzero(frame.predictions.present)
    given = frame.predictions.score
    score = np.full(len(joint), NO_SCORE) if given is None else given[row, joint]
    score = np.where(np.isnan(score), NO_SCORE, score)
    return _FrameScores(joint, score, true[row, joint], there.sum(0))


def _precision_recall(
    score: NDArray[np.float64], hit: NDArray[np.bool_], annotated: int
) -> tuple[float, float, float]:
    """Return AP, and precision and recall over the whole list, in percent."""
    if not len(hit):
        return 0.0, 0.0, 0.0
    hit = hit[np.argsort(-score, kind="stable")]
    true = np.cumsum(hit)
    precision = true / np.arange(1, len(hit) + 1)
    # Area under the precision that is still reached at a recall or any higher one; recall grows
    # by 1 / annotated at every hit.
    reached = np.maximum.accumulate(precision[::-1])[::-1]
    ap = float(reached[hit].sum()) / annotated
    return 100 * ap, 100 * float(precision[-1]), 100 * float(true[-1] / annotated)


def _given_twice(keys: Iterable[Any]) -> MetricError:
    return MetricError(
        f"frames were given twice, for example {next(iter(keys))}",
        where="PoseTrackEvaluator",
        rule="a frame is given once, under its own key",
    )
