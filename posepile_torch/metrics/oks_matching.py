"""Greedy matching of detections with persons by OKS, for all images of a batch at once.

The rule of the COCO evaluation is sequential inside an image: detections choose in descending
order of score. Images, size ranges and thresholds do not depend on each other, so each step takes
the detections of one rank in all of them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import MetricError
from posepile_torch.metrics.keypoint_tables import KeypointDetections, KeypointPersons
from posepile_torch.metrics.oks import oks

COCO_RANGES: Mapping[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Size ranges of COCO, in px², both ends included."""
BOX_SHARE = 0.53  # of the box is taken by a person on average (CrowdPose, AI Challenger)
PAIR_VALUES = 1 << 16  # keypoints compared at once: the arrays of a step stay in the cache


@dataclass(frozen=True)
class OksRules:
    """The choices of an OKS evaluation; the defaults are those of COCO.

    Args:
        sigmas: One per keypoint, see :data:`posepile_torch.metrics.OKS_SIGMAS`.
        area: Where the size of a person comes from: ``"annotation"``, or ``"box"`` for 0.53 times
            the area of its box.
        ranges: Size ranges in px², bounds included; the first one carries the headline.
        thresholds: OKS from which a detection matches; the match at t needs min(t, 1 - 1e-10).
        max_detections: Detections of an image that count, best scores first.
        on_missing: A predicted keypoint that is not finite raises, or counts as infinitely far.
    """

    sigmas: tuple[float, ...]
    area: Literal["annotation", "box"] = "annotation"
    ranges: tuple[tuple[str, tuple[float, float]], ...] = tuple(COCO_RANGES.items())
    thresholds: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
    max_detections: int = 20
    on_missing: Literal["error", "count_as_wrong"] = "error"

    def __post_init__(self) -> None:
        if not self.ranges or not all(0 < t <= 1 for t in self.thresholds or (0,)):
            raise MetricError(
                f"ranges {self.ranges} and thresholds {self.thresholds}",
                where="OksRules",
                rule="there is at least one size range and one threshold, in 0..1 without 0",
            )

    def person_areas_px2(self, persons: KeypointPersons) -> NDArray[np.float64]:
        """Return the area that scales the similarity and decides the size range, ``[G]``."""
        if self.area == "box" and persons.box is not None:
            return np.asarray(BOX_SHARE * persons.box[:, 2] * persons.box[:, 3])
        if self.area == "annotation" and persons.area is not None:
            return persons.area
        if not len(persons):
            return np.zeros(0)
        raise MetricError(
            f"the persons have no {'boxes' if self.area == 'box' else 'areas'}",
            where="OksRules",
            rule=f"these rules take the size of a person from its {self.area}",
            fix=f"pass {'box' if self.area == 'box' else 'area'}= to KeypointPersons",
        )


@dataclass(frozen=True, eq=False)
class Matches:
    """What remains of a batch for the precision-recall curves.

    Args:
        image: ``[I]`` ids of the images.
        positives: ``[I, A]`` persons to be found in each image and size range.
        row_image: ``[N]`` image id of each counted detection.
        rank: ``[N]`` its place among the detections of its image.
        score: ``[N]``.
        hit: ``[N, A, T]`` whether it is matched.
        skipped: ``[N, A, T]`` whether it counts neither as true nor as false.
        n_over_limit: Detections beyond the limit per image, left out.
    """

    image: NDArray[Any]
    positives: NDArray[np.int64]
    row_image: NDArray[Any]
    rank: NDArray[np.int64]
    score: NDArray[np.float64]
    hit: NDArray[np.bool_]
    skipped: NDArray[np.bool_]
    n_over_limit: int

    @classmethod
    def joined(cls, parts: Sequence[Matches], rules: OksRules) -> Matches:
        """Return several batches as one."""
        if not parts:
            shape = (0, len(rules.ranges), len(rules.thresholds))
            none, flags = np.zeros(0, dtype=np.int64), np.zeros(shape, dtype=bool)
            return cls(
                none, np.zeros(shape[:2], np.int64), none, none, np.zeros(0), flags, flags, 0
            )

        def joined_ids(arrays: list[NDArray[Any]]) -> NDArray[Any]:
            # An empty batch has integers in place of ids that it does not have.
            return np.concatenate([a for a in arrays if len(a)] or arrays[:1])

        return cls(
            joined_ids([part.image for part in parts]),
            np.concatenate([part.positives for part in parts]),
            joined_ids([part.row_image for part in parts]),
            np.concatenate([part.rank for part in parts]),
            np.concatenate([part.score for part in parts]),
            np.concatenate([part.hit for part in parts]),
            np.concatenate([part.skipped for part in parts]),
            sum(part.n_over_limit for part in parts),
        )

    def of_images(self, images: NDArray[Any]) -> Matches:
        """Return the part that belongs to some of the images."""
        chosen, rows = np.isin(self.image, images), np.isin(self.row_image, images)
        return Matches(
            self.image[chosen],
            self.positives[chosen],
            self.row_image[rows],
            self.rank[rows],
            self.score[rows],
            self.hit[rows],
            self.skipped[rows],
            self.n_over_limit,
        )


def match(
    persons: KeypointPersons,
    detections: KeypointDetections,
    rules: OksRules,
    images: NDArray[Any] | None = None,
) -> Matches:
    """Match the detections of a batch of images with its persons.

    Args:
        persons: All persons of the images.
        detections: All detections of the images.
        rules: See :class:`OksRules`.
        images: Ids of all images; None for those that the tables name.
    """
    _check_keypoints(persons, detections, rules)
    image, person_image, detection_image = _images(persons, detections, images)
    area = rules.person_areas_px2(persons)
    counted = ~persons.uncounted()
    low, high = np.array([bounds for _, bounds in rules.ranges]).T
    regular = counted[:, None] & (area[:, None] >= low) & (area[:, None] <= high)
    positives = np.zeros((len(image), len(low)), dtype=np.int64)
    np.add.at(positives, person_image, regular)

    order = np.lexsort((-detections.score, detection_image))
    rank = _places(detection_image[order], len(image))
    kept = rank < rules.max_detections
    order, rank = order[kept], rank[kept]
    code = detection_image[order]
    crowd = persons.crowd if persons.crowd is not None else np.zeros(len(persons), dtype=bool)
    people = _People(persons, area, person_image, regular, crowd)
    hit, skipped = _walk(detections, order, code, rank, people, rules, len(image))

    size = detections.areas_px2()[order][:, None]
    outside = (size < low) | (size > high)
    skipped |= ~hit & outside[:, :, None]
    return Matches(
        image,
        positives,
        image[code],
        rank,
        detections.score[order],
        hit,
        skipped,
        int((~kept).sum()),
    )


@dataclass(frozen=True, eq=False)
class _People:
    table: KeypointPersons
    area: NDArray[np.float64]
    image: NDArray[np.int64]
    regular: NDArray[np.bool_]  # [G, A] to be found in the range
    crowd: NDArray[np.bool_]


def _walk(
    detections: KeypointDetections,
    order: NDArray[np.int64],
    code: NDArray[np.int64],
    rank: NDArray[np.int64],
    people: _People,
    rules: OksRules,
    n_images: int,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which detections are matched, and which of them with an ignored person."""
    flags = (len(order), len(rules.ranges), len(rules.thresholds))
    hit, skipped = np.zeros(flags, dtype=bool), np.zeros(flags, dtype=bool)
    n_detections = np.bincount(code, minlength=n_images)
    n_persons = np.bincount(people.image, minlength=n_images)
    by_image = np.argsort(people.image, kind="stable")
    first_person = np.cumsum(n_persons) - n_persons
    first_row = np.cumsum(n_detections) - n_detections
    # Images with about the same number of persons share an array, to keep the padding small.
    width = np.where(n_persons > 0, 2 ** np.ceil(np.log2(np.maximum(n_persons, 1))), 0)
    for wide in np.unique(width[(width > 0) & (n_detections > 0)]).astype(int).tolist():
        chosen = np.flatnonzero((width == wide) & (n_detections > 0))
        # Descending, so that the images that still have a detection of a rank come first.
        chosen = chosen[np.argsort(-n_detections[chosen], kind="stable")]
        slot = np.arange(wide)
        there = slot < n_persons[chosen][:, None]
        person = by_image[np.where(there, first_person[chosen][:, None] + slot, 0)]
        group = _Group(person, there, people, rules)
        places = np.arange(n_detections[chosen[0]])
        given = places < n_detections[chosen][:, None]
        row = np.where(given, first_row[chosen][:, None] + places, 0)
        similarity = group.similarities(detections, order[row], given, rules)
        for place, active in enumerate(given.sum(0).tolist()):
            rows = row[:active, place]
            hit[rows], skipped[rows] = group.choose(similarity[:active, place])
    return hit, skipped


class _Group:
    """Images with up to the same number of persons, and which of these are still free."""

    def __init__(
        self,
        person: NDArray[np.int64],
        there: NDArray[np.bool_],
        people: _People,
        rules: OksRules,
    ) -> None:
        self.person, self.there, self.people = person, there, people
        regular = people.regular[person].transpose(0, 2, 1)  # [I, A, G]
        present = there[:, None, :]
        shape = (*regular.shape[:2], len(rules.thresholds), there.shape[1])
        self.regular = np.broadcast_to((regular & present)[:, :, None], shape).copy()
        self.ignored = np.broadcast_to((~regular & present)[:, :, None], shape).copy()
        self.crowd = people.crowd[person]
        self.least = np.minimum(np.array(rules.thresholds), 1 - 1e-10)

    def similarities(
        self,
        detections: KeypointDetections,
        detection: NDArray[np.int64],
        given: NDArray[np.bool_],
        rules: OksRules,
    ) -> NDArray[np.float64]:
        """Return the OKS of all detections with all persons per image, ``[I, D, G]``, else -1."""
        image, place, slot = np.nonzero(given[:, :, None] & self.there[:, None, :])
        similarity = np.full((*given.shape, self.there.shape[1]), -1.0)
        similarity[image, place, slot] = pair_oks(
            self.people.table,
            self.people.area,
            detections,
            self.person[image, slot],
            detection[image, place],
            rules,
        )
        return similarity

    def choose(
        self, similarity: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Match one detection per image; return hits and matches with ignored persons."""
        n, last = len(similarity), similarity.shape[1] - 1
        regular, ignored = self.regular[:n], self.ignored[:n]
        value = similarity[:, None, None, :]
        found, place = _best(value, regular, self.least, last)
        np.put_along_axis(
            regular, place, np.take_along_axis(regular, place, -1) & ~found[..., None], -1
        )
        # Ignored persons are considered only where no regular one matches.
        loose, other = _best(value, ignored, self.least, last)
        loose &= ~found
        stays = np.take_along_axis(self.crowd[:n, None, None, :], other, -1)
        keeps = np.take_along_axis(ignored, other, -1) & (~loose[..., None] | stays)
        np.put_along_axis(ignored, other, keeps, -1)
        return found | loose, loose


def _best(
    value: NDArray[np.float64], free: NDArray[np.bool_], least: NDArray[np.float64], last: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return whether the most similar free person is similar enough, and its place."""
    candidates = np.where(free, value, -1.0)
    # The later of equal persons wins, hence the reversed search.
    place = last - candidates[..., ::-1].argmax(-1)[..., None]
    return np.take_along_axis(candidates, place, -1)[..., 0] >= least, place


def pair_oks(
    persons: KeypointPersons,
    area: NDArray[np.float64],
    detections: KeypointDetections,
    person: NDArray[np.int64],
    detection: NDArray[np.int64],
    rules: OksRules,
) -> NDArray[np.float64]:
    """Return the OKS of chosen pairs of persons and detections, ``[P]``."""
    result = np.empty(len(person))
    bare = np.asarray(~persons.labelled.any(1))[person]
    step = max(1, PAIR_VALUES // persons.keypoints.shape[1])
    for pairs in (np.flatnonzero(~bare), np.flatnonzero(bare)):
        for start in range(0, len(pairs), step):
            at = pairs[start : start + step]
            g = person[at]
            box = persons.box[g] if persons.box is not None and bare[at[0]] else None
            result[at] = oks(
                detections.keypoints[detection[at]],
                persons.keypoints[g],
                labelled=persons.labelled[g],
                area=area[g],
                sigmas=rules.sigmas,
                box=box,
                on_missing=rules.on_missing,
            )
    return result


def _places(codes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the place of each entry among those of its (sorted) code."""
    number = np.bincount(codes, minlength=count)
    return np.asarray(np.arange(len(codes)) - (np.cumsum(number) - number)[codes])


def _images(
    persons: KeypointPersons, detections: KeypointDetections, images: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    tables = [table.image for table in (persons, detections)]
    given = [ids for ids in tables if len(ids)]
    if images is not None and len(images):
        given.append(np.asarray(images))
    if len({"U" if ids.dtype.kind == "U" else "i" for ids in given}) > 1:
        raise MetricError(
            "image ids are integers in one table and strings in another",
            where="KeypointDetections",
            rule="an image has one id",
        )
    if not given:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, empty
    image = np.unique(np.concatenate(given) if images is None else np.asarray(images))
    codes = []
    for ids, what in zip(tables, ("a person", "a detection"), strict=True):
        code = np.searchsorted(image, ids) if len(ids) else np.zeros(0, dtype=np.int64)
        unknown = ~np.isin(ids, image)
        if unknown.any():
            raise MetricError(
                f"{what} belongs to image {ids[unknown][0]!r}",
                where="images",
                rule="persons and detections belong to the images that are evaluated",
                fix="check the split, and the type of the image ids",
            )
        codes.append(code)
    return image, codes[0], codes[1]


def _check_keypoints(
    persons: KeypointPersons, detections: KeypointDetections, rules: OksRules
) -> None:
    expected = len(rules.sigmas)
    for table in (persons, detections):
        if table.keypoints.shape[1] != expected:
            raise MetricError(
                f"{table.keypoints.shape[1]} keypoints",
                where=type(table).__name__,
                rule=f"these rules have {expected} sigmas, one per keypoint",
                fix="choose the rules of the keypoint set, or select its keypoints",
            )
