"""The OKS data sets beside COCO: their sigmas, areas, subsets and parts.

All of them share the matching and the averages of :mod:`posepile_torch.metrics.coco_ap`; what
differs is written down here once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import MetricError, UnknownNameError
from posepile_torch.metrics.coco_ap import OksEvaluator, OksResult
from posepile_torch.metrics.keypoint_tables import (
    KeypointDetections,
    KeypointPersons,
    keypoint_extent,
)
from posepile_torch.metrics.oks import OKS_SIGMAS
from posepile_torch.metrics.oks_matching import COCO_RANGES, OksRules

_ALL_SIZES = (("all", COCO_RANGES["all"]),)

OKS_RULES: Mapping[str, OksRules] = MappingProxyType(
    {
        "coco": OksRules(OKS_SIGMAS["coco_17"]),
        "ochuman": OksRules(OKS_SIGMAS["coco_17"]),
        "human_art": OksRules(OKS_SIGMAS["coco_17"]),
        "crowdpose": OksRules(OKS_SIGMAS["crowdpose_14"], area="box", ranges=_ALL_SIZES),
        "aic": OksRules(OKS_SIGMAS["aic_14"], area="box"),
        "halpe": OksRules(OKS_SIGMAS["halpe_136"]),
        "halpe_26": OksRules(OKS_SIGMAS["halpe_136"][:26]),
        "coco_wholebody": OksRules(OKS_SIGMAS["coco_wholebody_133"]),
    }
)
"""Rules by data set. OCHuman and Human-Art are COCO's with other images; CrowdPose and AI
Challenger take the size of a person from its box (0.53 of it); CrowdPose has no size ranges."""

CrowdLevel = Literal["easy", "medium", "hard"]
CROWD_BOUNDS = (0.2, 0.8)  # of the released tool; the text of the paper says 0.1 and 0.8

WHOLEBODY_PARTS: Mapping[str, slice] = MappingProxyType(
    {
        "body": slice(0, 17),
        "foot": slice(17, 23),
        "face": slice(23, 91),
        "left_hand": slice(91, 112),
        "right_hand": slice(112, 133),
        "wholebody": slice(0, 133),
    }
)
"""The six evaluations of COCO-WholeBody, as ranges of its 133 keypoints."""


def oks_rules(name: str) -> OksRules:
    """Return the rules of a data set of :data:`OKS_RULES`."""
    if name not in OKS_RULES:
        raise UnknownNameError.among("OKS data set", name, OKS_RULES)
    return OKS_RULES[name]


def crowd_level(crowd_index: float) -> CrowdLevel:
    """Return the CrowdPose subset of an image: easy < 0.2 <= medium < 0.8 <= hard."""
    if not 0 <= crowd_index <= 1:
        raise MetricError(
            f"a crowd index of {crowd_index}",
            where="crowd_level",
            rule="the crowd index of an image (crowdIndex in the file) is in 0..1",
        )
    low, high = CROWD_BOUNDS
    return "easy" if crowd_index < low else "medium" if crowd_index < high else "hard"


class CrowdPoseEvaluator(OksEvaluator):
    """CrowdPose: COCO's AP, and AP on images with few, some and many people in each other's way.

    The statistics are AP, AP50, AP75, AR, AR50, AR75, AP_easy, AP_medium, AP_hard. Persons come
    with boxes; those with ``num_keypoints == 0`` in the file, which counts visible keypoints only,
    are to be marked as ignored (:meth:`KeypointPersons.from_coco` does it).

    Args:
        crowd_index: Image id → crowd index in 0..1, for all images.
        rules: Other rules than those of CrowdPose.
    """

    def __init__(
        self, crowd_index: Mapping[Any, float], rules: OksRules = OKS_RULES["crowdpose"]
    ) -> None:
        super().__init__(rules)
        self.levels = {image: crowd_level(index) for image, index in crowd_index.items()}

    def merge(self, other: OksEvaluator) -> None:
        """Take in all images of another evaluator, and their crowd indices."""
        super().merge(other)
        if isinstance(other, CrowdPoseEvaluator):
            self.levels.update(other.levels)

    def compute(
        self, images: Collection[Any] | None = None, *, rounded: bool = False
    ) -> OksResult:
        """Return the nine statistics; -1 for a subset without a person to be found.

        Args:
            images: Ids of the images to evaluate; None for all.
            rounded: Parity switch: round the AP of the three subsets to 4 decimals, as the
                released tool does.
        """
        result = super().compute(images)
        chosen = self._seen if images is None else set(images)
        unknown = chosen - set(self.levels)
        if unknown:
            raise MetricError(
                f"{len(unknown)} images have no crowd index, for example {next(iter(unknown))!r}",
                where=type(self).__name__,
                rule="every image of CrowdPose has a crowdIndex",
                fix="pass those of the annotation file",
            )
        stats = dict(result.stats)
        for level in get_args(CrowdLevel):
            subset = super().compute({i for i in chosen if self.levels[i] == level})
            stats[f"AP_{level}"] = round(subset["AP"], 4) if rounded else subset["AP"]
        return replace(result, stats=stats)


class WholeBodyEvaluator:
    """COCO-WholeBody: six evaluations over body, feet, face, hands and all of them.

    Each part has its own sigmas, and a person without a labelled keypoint of the part is ignored
    there; the area is that of the whole person everywhere. Without boxes, the size of an
    unmatched detection is the extent of its body keypoints, in all six.

    Args:
        on_missing: See :class:`OksRules`.
    """

    def __init__(self, on_missing: Literal["error", "count_as_wrong"] = "error") -> None:
        sigmas = OKS_SIGMAS["coco_wholebody_133"]
        self.parts = {
            name: OksEvaluator(OksRules(sigmas[part], on_missing=on_missing))
            for name, part in WHOLEBODY_PARTS.items()
        }

    def update(
        self,
        persons: KeypointPersons,
        detections: KeypointDetections,
        images: Collection[Any] | None = None,
        part_scores: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> None:
        """Take in a batch of images with all 133 keypoints.

        Args:
            persons: All persons of these images.
            detections: All detections of these images.
            images: Ids of the images; None for those that the tables name.
            part_scores: Part → ``[D]`` scores that rank the detections in the evaluation of this
                part; the score of the person where none are given.
        """
        scores = dict(part_scores or {})
        for name in scores:
            if name not in self.parts:
                raise UnknownNameError.among("part of COCO-WholeBody", name, self.parts)
        for table in (persons, detections):
            if table.keypoints.shape[1] != 133:
                raise MetricError(
                    f"{table.keypoints.shape[1]} keypoints",
                    where=type(table).__name__,
                    rule="COCO-WholeBody has 133 keypoints",
                )
        if detections.area is None and detections.box is None:
            body = detections.keypoints[:, WHOLEBODY_PARTS["body"]]
            detections = replace(detections, area=keypoint_extent(body))
        for name, part in WHOLEBODY_PARTS.items():
            self.parts[name].update(
                persons.columns(part), detections.columns(part, scores.get(name)), images
            )

    def merge(self, other: WholeBodyEvaluator) -> None:
        """Take in all images of another evaluator."""
        for name, evaluator in self.parts.items():
            evaluator.merge(other.parts[name])

    def compute(self, images: Collection[Any] | None = None) -> dict[str, OksResult]:
        """Return the ten statistics of each part, see :data:`WHOLEBODY_PARTS`."""
        return {name: evaluator.compute(images) for name, evaluator in self.parts.items()}


__all__ = [
    "CROWD_BOUNDS",
    "OKS_RULES",
    "WHOLEBODY_PARTS",
    "CrowdLevel",
    "CrowdPoseEvaluator",
    "WholeBodyEvaluator",
    "crowd_level",
    "oks_rules",
]
