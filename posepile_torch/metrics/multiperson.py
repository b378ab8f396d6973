"""Several people in one image: MuPoTS-3D matching and scores.

Predicted people are paired with annotated ones by their 2D joints, then compared in 3D. 2D joints
are in pixels, 3D joints in mm in the frame of the camera, percentages are 0..100.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import MetricError
from posepile_torch.metrics.aggregation import aggregate
from posepile_torch.metrics.bones import TDHP17_BONES, rescale_bones
from posepile_torch.metrics.joints import joint_distances
from posepile_torch.metrics.streaming import RunningMoments
from posepile_torch.metrics.thresholds import auc_31, pck

MUPOTS_ROOT = 14  # pelvis
MUPOTS_MATCHED_JOINTS = tuple(range(1, 14))  # neck to left ankle, without the head top
MUPOTS_REACH_PX = 40.0
MUPOTS_SCORES = ("pck_150", "auc_31", "mpjpe_14_mm", "mpjpe_16_mm", "mpjpe_17_mm")
"""PCK@150 (strict) and AUC-31 over joints 0-13; MPJPE over 0-13, all but the pelvis, and all."""

_SETS: Mapping[str, Sequence[int]] = MappingProxyType(
    {
        "mpjpe_14_mm": range(14),
        "mpjpe_16_mm": [*range(14), 15, 16],
        "mpjpe_17_mm": range(17),
    }
)

MupotsAlign = Literal["root", "absolute"]


def match_mupots(pred2d: NDArray[np.float64], gt2d: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the prediction of each annotated person of a frame, -1 for a missed one.

    Annotated people choose in their order. Each takes, of the predictions still free, the one with
    the most joints (of neck to left ankle) less than 40 px away in both x and y; the first one of
    equals; none if no joint is that close. Predicted joints at exactly (0, 0) do not count. What
    remains of the predictions is not punished.

    Args:
        pred2d: ``[P, 17, 2]`` px, projected 3D predictions.
        gt2d: ``[G, 17, 2]`` px.
    """
    pred, gt = (_people(x, 2, "match_mupots") for x in (pred2d, gt2d))
    joints = list(MUPOTS_MATCHED_JOINTS)
    delta = np.abs(pred[:, None, joints] - gt[None, :, joints]).max(-1)
    given = (pred[:, joints] != 0).any(-1)
    near = ((delta < MUPOTS_REACH_PX) & given[:, None]).sum(-1)  # [P, G]
    matched = np.full(len(gt), -1, dtype=np.int64)
    for person in range(len(gt)):
        if len(pred) and near[:, person].max() > 0:
            matched[person] = near[:, person].argmax()
            near[matched[person]] = 0
    return matched


@dataclass(frozen=True, eq=False)
class MupotsSequence:
    """Scores of one sequence.

    Args:
        n_annotated: People annotated.
        n_matched: People with a matched prediction.
        matched: Name of :data:`MUPOTS_SCORES` → mean over matched people (the mean over the joints
            of each person first); NaN if nobody was matched.
    """

    n_annotated: int
    n_matched: int
    matched: Mapping[str, float]

    def annotated(self, score: str) -> float:
        """Return a percentage over all annotated people, missed ones counting 0."""
        if self.n_annotated == 0:
            return float("nan")
        if self.n_matched == 0:
            return 0.0
        return self.matched[score] * self.n_matched / self.n_annotated


@dataclass(frozen=True, eq=False)
class MupotsResult:
    """MuPoTS scores under one choice of ground truth, alignment and bone rescaling.

    Args:
        matched: Score → unweighted mean of the sequences in which somebody was matched.
        annotated: ``"pck_150"`` and ``"auc_31"`` over all annotated people: unweighted mean of all
            sequences, in which missed people count 0.
        pooled: Score → mean over all matched people of all sequences (WACV'23 tables).
        recall: Percentage of annotated people that were matched.
        sequences: Sequence → its scores.
        without_match: Sequences without any match, left out of ``matched``.
    """

    matched: Mapping[str, float]
    annotated: Mapping[str, float]
    pooled: Mapping[str, float]
    recall: float
    sequences: Mapping[Hashable, MupotsSequence]
    without_match: tuple[Hashable, ...]


@dataclass(eq=False)
class _Tally:
    n_annotated: int = 0
    frames: set[Hashable] = field(default_factory=set)
    scores: RunningMoments = field(default_factory=lambda: RunningMoments(len(MUPOTS_SCORES)))


class MupotsEvaluator:
    """Streaming evaluator of MuPoTS-3D; frames in any order, the same result to the last bit.

    The matrix of published variants is {universal, metric ground truth} x {root-relative,
    absolute} x {bones rescaled, raw}: the first is the choice of the array that is passed as
    ``gt3d``, the others are arguments. Headline tables have universal ground truth and rescaled
    bones.

    Args:
        align: ``"root"``: the pelvis of both is subtracted, after rescaling; ``"absolute"``: not.
        rescale: Give predicted bones the lengths of the ground truth, see :func:`rescale_bones`.
    """

    def __init__(self, *, align: MupotsAlign, rescale: bool) -> None:
        if align not in get_args(MupotsAlign):
            raise MetricError(
                f"align={align!r}",
                where="MupotsEvaluator",
                fix=f"choose one of {', '.join(get_args(MupotsAlign))}",
            )
        self.align, self.rescale = align, rescale
        self._sequences: dict[Hashable, _Tally] = {}

    def update(
        self,
        sequence: Hashable,
        frame: Hashable,
        *,
        pred3d: NDArray[np.float64],
        gt3d: NDArray[np.float64],
        pred2d: NDArray[np.float64],
        gt2d: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """Take in one frame and return which prediction each person got, -1 for none.

        Args:
            sequence: Key of the sequence.
            frame: Key of the frame in its sequence; a frame is given once.
            pred3d: ``[P, 17, 3]`` mm in camera space, in the joint order of MPI-INF-3DHP tests.
            gt3d: ``[G, 17, 3]`` mm: all annotated people of a valid frame.
            pred2d: ``[P, 17, 2]`` px.
            gt2d: ``[G, 17, 2]`` px.
        """
        where = "MupotsEvaluator.update"
        pred, gt = (_people(x, 3, where) for x in (pred3d, gt3d))
        if len(pred) != len(pred2d) or len(gt) != len(gt2d):
            raise MetricError(
                f"{len(pred)} and {len(gt)} people in 3D, {len(pred2d)} and {len(gt2d)} in 2D",
                where=where,
                rule="every person has a 2D and a 3D pose",
            )
        matched = match_mupots(pred2d, gt2d)
        found = np.flatnonzero(matched >= 0)
        scores = self._scores(pred[matched[found]], gt[found]) if len(found) else None
        tally = self._sequences.setdefault(sequence, _Tally())
        _remember(tally.frames, {frame}, sequence)
        tally.n_annotated += len(gt)
        if scores is not None:
            tally.scores.update(scores)
        return matched

    def merge(self, other: MupotsEvaluator) -> None:
        """Take in everything that another evaluator of the same variant has taken in."""
        if (self.align, self.rescale) != (other.align, other.rescale):
            raise MetricError(
                "evaluators of different variants cannot be merged",
                where="MupotsEvaluator.merge",
                rule="all parts of an evaluation use one alignment and one rule for bones",
            )
        for sequence, theirs in other._sequences.items():
            tally = self._sequences.setdefault(sequence, _Tally())
            _remember(tally.frames, theirs.frames, sequence)
            tally.n_annotated += theirs.n_annotated
            tally.scores.merge(theirs.scores)

    def compute(self) -> MupotsResult:
        """Return matched, all-annotated and pooled scores, and those of every sequence."""
        sequences, pooled = {}, RunningMoments(len(MUPOTS_SCORES))
        for key in sorted(self._sequences, key=str):
            tally = self._sequences[key]
            pooled.merge(tally.scores)
            sequences[key] = MupotsSequence(
                tally.n_annotated, int(tally.scores.count()[0]), _named(tally.scores)
            )
        with_people = [s for s in sequences.values() if s.n_annotated]
        with_match = [s for s in with_people if s.n_matched]
        n_annotated = sum(s.n_annotated for s in with_people)
        return MupotsResult(
            matched={name: _mean([s.matched[name] for s in with_match]) for name in MUPOTS_SCORES},
            annotated={
                name: _mean([s.annotated(name) for s in with_people])
                for name in ("pck_150", "auc_31")
            },
            pooled=_named(pooled),
            recall=100 * sum(s.n_matched for s in with_people) / n_annotated
            if n_annotated
            else float("nan"),
            sequences=sequences,
            without_match=tuple(
                key for key, s in sequences.items() if s.n_annotated and not s.n_matched
            ),
        )

    def _scores(self, pred: NDArray[np.float64], gt: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return :data:`MUPOTS_SCORES` of each matched person, ``[N, 5]``."""
        if self.rescale:
            pred = rescale_bones(pred, gt, TDHP17_BONES)
        root = MUPOTS_ROOT if self.align == "root" else None
        distances = joint_distances(pred, gt, align="none", root=root)
        scored = distances[:, :14]
        columns = [pck(scored, 150, strict=True, reduce="sample"), auc_31(scored, reduce="sample")]
        columns += [aggregate(distances[:, list(j)], "sample") for j in _SETS.values()]
        return np.stack(columns, axis=1)


def _remember(seen: set[Hashable], frames: set[Hashable], sequence: Hashable) -> None:
    again = seen & frames
    if again:
        raise MetricError(
            f"frame {next(iter(again))!r} of sequence {sequence!r} was given twice",
            where="MupotsEvaluator",
            rule="a frame is given once, with all its people and predictions",
        )
    seen |= frames


def _people(joints: NDArray[np.float64], dims: int, where: str) -> NDArray[np.float64]:
    array = np.asarray(joints, dtype=np.float64)
    if array.size == 0:
        array = array.reshape(0, 17, dims)
    if array.ndim != 3 or array.shape[1:] != (17, dims):
        raise MetricError(
            f"joints of shape {list(array.shape)}",
            where=where,
            rule=f"MuPoTS people have shape [people, 17, {dims}]",
        )
    return array


def _named(moments: RunningMoments) -> dict[str, float]:
    return dict(zip(MUPOTS_SCORES, np.asarray(moments.mean()).tolist(), strict=True))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
