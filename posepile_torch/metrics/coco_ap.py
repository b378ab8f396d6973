"""Average precision and recall of keypoint detections as COCO defines them.

A detection is true if it matches a person at an OKS threshold; AP is the mean, over thresholds
and a recall grid of 101 values, of the precision that is still reached at that recall. Values are
fractions, 0..1; -1 says that there was nothing to find. Nothing of this needs pycocotools.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import MetricError
from posepile_torch.metrics.keypoint_tables import KeypointDetections, KeypointPersons
from posepile_torch.metrics.oks import OKS_SIGMAS
from posepile_torch.metrics.oks_matching import COCO_RANGES, Matches, OksRules, match

RECALLS = np.linspace(0, 1, 101)
COCO_RULES = OksRules(sigmas=OKS_SIGMAS["coco_17"])
"""Rules of the COCO keypoint evaluation."""
SUFFIXES = {"medium": "_M", "large": "_L"}


@dataclass(frozen=True, eq=False)
class OksResult:
    """Average precision and recall, with the curves they come from and all counts.

    Args:
        stats: Name → value in 0..1, or -1 if there was nothing to find. For COCO: AP, AP50, AP75,
            AP_M, AP_L, AR, AR50, AR75, AR_M, AR_L.
        precision: ``[A, T, 101]`` precision per size range and threshold on the recall grid.
        recall: ``[A, T]`` final recall.
        thresholds: ``[T]`` OKS thresholds.
        n_images: Images evaluated.
        n_persons: Size range → persons to be found.
        n_detections: Detections that took part.
        n_over_limit: Detections beyond the limit per image, left out (of all images).
    """

    stats: Mapping[str, float]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    thresholds: tuple[float, ...]
    n_images: int
    n_persons: Mapping[str, int]
    n_detections: int
    n_over_limit: int

    def __getitem__(self, name: str) -> float:
        return self.stats[name]


class OksEvaluator:
    """Streaming keypoint AP and AR.

    Each image is given once, with all its persons and detections, in any order and in batches of
    any size; evaluators of parts of the data are merged. The result is the same to the last bit
    in all these cases: ties of scores are broken by image id, then by the order of rows inside
    the image.

    Args:
        rules: Sigmas, thresholds, size ranges, limits; those of COCO by default. See
            :func:`posepile_torch.metrics.oks_sets.oks_rules` for other data sets.
    """

    def __init__(self, rules: OksRules = COCO_RULES) -> None:
        self.rules = rules
        self._parts: list[Matches] = []
        self._seen: set[Any] = set()

    def update(
        self,
        persons: KeypointPersons,
        detections: KeypointDetections,
        images: Collection[Any] | None = None,
    ) -> None:
        """Take in a batch of images.

        Args:
            persons: All persons of these images.
            detections: All detections of these images; images without any are found wanting.
            images: Ids of the images; None for those that the tables name. If given, a detection
                on any other image raises.

        Raises:
            MetricError: If an image was given before, or the tables do not fit the rules.
        """
        ids = None if images is None else np.array(sorted(images))
        part = match(persons, detections, self.rules, ids)
        self._remember(set(part.image.tolist()))
        self._parts.append(part)

    def merge(self, other: OksEvaluator) -> None:
        """Take in all images of another evaluator with the same rules."""
        if self.rules != other.rules:
            raise MetricError(
                "evaluators with different rules cannot be merged",
                where=type(self).__name__,
                rule="all parts of an evaluation use one set of rules",
            )
        self._remember(other._seen)
        self._parts.extend(other._parts)

    def compute(self, images: Collection[Any] | None = None) -> OksResult:
        """Return the result for all images, or for some of them.

        Args:
            images: Ids of the images to evaluate; each must have been given.
        """
        matches = Matches.joined(self._parts, self.rules)
        if images is not None:
            chosen = set(images)
            if not chosen <= self._seen:
                raise MetricError(
                    f"{len(chosen - self._seen)} images were never given",
                    where=f"{type(self).__name__}.compute",
                    rule="only images that were evaluated can be selected",
                )
            ids = np.array(sorted(chosen)) if chosen else matches.image[:0]
            matches = matches.of_images(ids)
        return summarised(matches, self.rules)

    def _remember(self, images: set[Any]) -> None:
        again = self._seen & images
        if again:
            raise MetricError(
                f"{len(again)} images were given twice, for example {next(iter(again))!r}",
                where=type(self).__name__,
                rule="an image is given once, with all its persons and detections",
                fix="collect the rows of an image before the update; remove padding of samplers",
            )
        if len({isinstance(key, str) for key in self._seen | images}) > 1:
            raise MetricError(
                "some image ids are integers and some strings",
                where=type(self).__name__,
                rule="an image has one id",
            )
        self._seen |= images


def coco_keypoint_ap(
    persons: KeypointPersons,
    detections: KeypointDetections,
    *,
    rules: OksRules = COCO_RULES,
    images: Collection[Any] | None = None,
) -> OksResult:
    """Return average precision and recall of one complete set of detections.

    Args:
        persons: All persons of the data set.
        detections: All detections; none at all give AP 0.
        rules: See :class:`OksRules`.
        images: Ids of the images; None for those that the tables name.
    """
    evaluator = OksEvaluator(rules)
    evaluator.update(persons, detections, images)
    return evaluator.compute()


def summarised(matches: Matches, rules: OksRules) -> OksResult:
    """Return the curves and their averages for matched detections."""
    precision, recall = curves(matches)
    names = [name for name, _ in rules.ranges]
    stats: dict[str, float] = {}
    for label, table in (("AP", precision), ("AR", recall)):
        stats[label] = known_mean(table[0])
        for percent in (50, 75):
            for at in np.flatnonzero(np.isclose(rules.thresholds, percent / 100)).tolist():
                stats[f"{label}{percent}"] = known_mean(table[0, at])
        for number, name in enumerate(names[1:], start=1):
            stats[label + SUFFIXES.get(name, f"_{name}")] = known_mean(table[number])
    return OksResult(
        stats,
        precision,
        recall,
        rules.thresholds,
        len(matches.image),
        dict(zip(names, matches.positives.sum(0).tolist(), strict=True)),
        len(matches.score),
        matches.n_over_limit,
    )


def known_mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the entries above -1; -1 if there are none."""
    known = values[values > -1]
    return float(known.mean()) if known.size else -1.0


def curves(matches: Matches) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return precision ``[A, T, 101]`` on the recall grid and final recall ``[A, T]``."""
    order = np.lexsort((matches.rank, matches.row_image, -matches.score))
    hit = np.moveaxis(matches.hit[order], 0, -1)
    counted = ~np.moveaxis(matches.skipped[order], 0, -1)
    positives = matches.positives.sum(0)
    precision = np.full((*hit.shape[:2], len(RECALLS)), -1.0)
    recall = np.full(hit.shape[:2], -1.0)
    for a, t in np.ndindex(*hit.shape[:2]):
        if positives[a]:
            precision[a, t], recall[a, t] = _curve(hit[a, t][counted[a, t]], int(positives[a]))
    return precision, recall


def _curve(hit: NDArray[np.bool_], positives: int) -> tuple[NDArray[np.float64], float]:
    if not len(hit):
        return np.zeros(len(RECALLS)), 0.0
    true = np.cumsum(hit, dtype=np.float64)
    recall = true / positives
    # pycocotools adds 2e-16 to the denominator, so that its perfect AP is not exactly 1.
    precision = true / np.arange(1, len(hit) + 1)
    # The best precision at this recall or any higher one.
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    # Precision at a recall is that of the first detection that reaches it, 0 beyond the last.
    first = np.searchsorted(recall, RECALLS, side="left")
    return np.append(precision, 0.0)[first], float(recall[-1])


__all__ = [
    "COCO_RANGES",
    "COCO_RULES",
    "KeypointDetections",
    "KeypointPersons",
    "OksEvaluator",
    "OksResult",
    "OksRules",
    "coco_keypoint_ap",
]
