"""Multi-object tracking scores of PoseTrack: MOTA, MOTP, precision and recall per joint type.

CLEAR-MOT (Bernardin and Stiefelhagen 2008) on every joint type by itself: a predicted joint can
match an annotated one within half a head size; a pair that matched last stays together as long as
it can, the rest is assigned at minimum cost. Results are in percent. Nothing of this needs
motmetrics.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import MetricError
from posepile_torch.metrics.assignment import minimum_cost_assignment
from posepile_torch.metrics.posetrack import (
    HIT_DISTANCE,
    FramePersons,
    PoseTrackFrame,
    posetrack_table,
)
from posepile_torch.metrics.streaming import ExactSum

TRACK_LIMIT = 10_000  # poseval encodes track ids below it


@dataclass(frozen=True, eq=False)
class TrackingResult:
    """Tracking scores per joint type, in percent, and the counts they are made of.

    Args:
        mota: ``[15]`` 100 (1 - (misses + switches + false positives) / objects).
        motp: ``[15]`` 100 (1 - mean distance of matched pairs in head sizes).
        precision: ``[15]`` share of predicted joints that are matched.
        recall: ``[15]`` share of annotated joints that are matched.
        objects: ``[15]`` annotated joints.
        matches: ``[15]`` matched pairs, switched ones included.
        misses: ``[15]``.
        false_positives: ``[15]``.
        switches: ``[15]`` matches with another track than the last one.
        n_sequences: Sequences evaluated.
    """

    mota: NDArray[np.float64]
    motp: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    objects: NDArray[np.int64]
    matches: NDArray[np.int64]
    misses: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    switches: NDArray[np.int64]
    n_sequences: int

    def groups(self) -> dict[str, float]:
        """Return MOTA per group of joints, then ``"Total"``, the mean over joint types."""
        return posetrack_table(self.mota)

    def totals(self) -> dict[str, float]:
        """Return the mean over joint types of every score."""
        return {
            name: posetrack_table(getattr(self, name))["Total"]
            for name in ("mota", "motp", "precision", "recall")
        }


class PoseTrackTrackingEvaluator:
    """Streaming MOTA and MOTP of PoseTrack, one whole sequence at a time, in any order.

    Args:
        poseval_quirks: Parity switch for two habits of the reference: the last frame of every
            sequence is left out, and a frame without annotated or without predicted persons
            counts as one miss and one false positive of every joint type, however many persons
            the other side has.
    """

    def __init__(self, *, poseval_quirks: bool = False) -> None:
        self.poseval_quirks = poseval_quirks
        self._counts = np.zeros((5, 15), dtype=np.int64)
        self._distance = ExactSum(15)
        self._seen: set[Hashable] = set()

    def update(self, sequence: Hashable, frames: Sequence[PoseTrackFrame]) -> None:
        """Take in a sequence.

        Args:
            sequence: Its key.
            frames: All frames in order of time, with track ids on both sides.
        """
        cleaned = [kept for frame in frames if (kept := frame.cleaned()) is not None]
        for number, frame in enumerate(cleaned):
            for people in (frame.persons, frame.predictions):
                _check_tracks(people, f"sequence {sequence!r}, annotated frame {number}")
        self._remember({sequence})
        if self.poseval_quirks:
            cleaned = cleaned[:-1]
        last: list[dict[int, int]] = [{} for _ in range(15)]
        for frame in cleaned:
            self._add(frame, last)

    def merge(self, other: PoseTrackTrackingEvaluator) -> None:
        """Take in all sequences of another evaluator."""
        if self.poseval_quirks != other.poseval_quirks:
            raise MetricError(
                "evaluators with and without poseval_quirks cannot be merged",
                where=type(self).__name__,
                rule="all parts of an evaluation use one set of rules",
            )
        self._remember(other._seen)
        self._counts = self._counts + other._counts
        self._distance.merge(other._distance)

    def compute(self) -> TrackingResult:
        """Return the scores per joint type; NaN where there is nothing to divide by."""
        objects, matches, misses, false, switches = self._counts
        distance = np.asarray(self._distance.value())
        return TrackingResult(
            mota=100 * (1 - _ratio(misses + switches + false, objects)),
            motp=100 * (1 - _ratio(distance, matches)),
            precision=100 * _ratio(matches, matches + false),
            recall=100 * _ratio(matches, objects),
            objects=objects.copy(),
            matches=matches.copy(),
            misses=misses.copy(),
            false_positives=false.copy(),
            switches=switches.copy(),
            n_sequences=len(self._seen),
        )

    def _add(self, frame: PoseTrackFrame, last: list[dict[int, int]]) -> None:
        objects, matches, misses, false, switches = self._counts
        persons, predictions = frame.persons, frame.predictions
        if self.poseval_quirks and not (len(persons) and len(predictions)):
            for counter in (objects, misses, false):
                counter += 1
            return
        distances = frame.distances()
        distances[~(distances <= HIT_DISTANCE)] = np.nan
        person_ids, prediction_ids = _tracks(persons), _tracks(predictions)
        matched = np.zeros(distances.shape, dtype=bool)
        for joint in range(15):
            previous = last[joint]
            cost = distances[..., joint].T
            for person, prediction in _paired(cost, person_ids, prediction_ids, previous):
                matched[prediction, person, joint] = True
                track = prediction_ids[prediction]
                switches[joint] += previous.get(person_ids[person], track) != track
                previous[person_ids[person]] = track
        self._distance.add(np.where(matched, distances, 0.0).reshape(-1, 15))
        found, there = matched.sum((0, 1)), persons.present.sum(0)
        objects += there
        matches += found
        misses += there - found
        false += predictions.present.sum(0) - found

    def _remember(self, sequences: set[Hashable]) -> None:
        again = self._seen & sequences
        if again:
            raise MetricError(
                f"sequence {next(iter(again))!r} was given twice",
                where=type(self).__name__,
                rule="a sequence is given once, whole",
            )
        self._seen |= sequences


def _paired(
    cost: NDArray[np.float64],
    persons: list[int],
    predictions: list[int],
    previous: dict[int, int],
) -> list[tuple[int, int]]:
    """Return matched (person, prediction) pairs of one joint type in one frame.

    Args:
        cost: ``[persons, predictions]``, NaN where a pair is impossible.
        persons: Track ids.
        predictions: Track ids.
        previous: Track of a person → track of the prediction that it was last matched with.
    """
    pairs = []
    free = cost.copy()
    for person, track in enumerate(persons):
        # Of two persons that were last matched with one prediction, the earlier row keeps it.
        if previous.get(track) in predictions:
            prediction = predictions.index(previous[track])
            if np.isfinite(free[person, prediction]):
                pairs.append((person, prediction))
                free[person], free[:, prediction] = np.nan, np.nan
    rest = minimum_cost_assignment(free)
    pairs.extend((p, int(rest[p])) for p in np.flatnonzero(rest >= 0).tolist())
    return pairs


def _tracks(people: FramePersons) -> list[int]:
    return [] if people.track is None else people.track.tolist()


def _check_tracks(people: FramePersons, where: str) -> None:
    if not len(people):
        return
    ids = people.track
    if ids is None or len(np.unique(ids)) < len(ids) or ids.min() < 0 or ids.max() >= TRACK_LIMIT:
        raise MetricError(
            f"track ids {None if ids is None else ids.tolist()}",
            where=where,
            rule=f"every person has a track id in 0..{TRACK_LIMIT - 1}, unique inside its frame",
        )


def _ratio(a: NDArray[Any], b: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(np.where(b > 0, a / np.maximum(b, 1), np.nan))
