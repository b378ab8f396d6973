"""Persons and detections of many images as flat tables, the input of the OKS evaluators.

One row is one person; the column ``image`` says where it belongs. Keypoints are in pixels, areas
in square pixels, boxes are x, y, width, height. All evaluators read these tables, so that every
data set of the COCO family enters the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import MetricError


@dataclass(frozen=True, eq=False, kw_only=True)
class KeypointPersons:
    """Ground-truth persons of any number of images.

    The order of rows inside an image matters in one case only: of two persons with exactly equal
    similarity to a detection, the later row is matched.

    Args:
        image: ``[G]`` image ids, integers or strings.
        keypoints: ``[G, K, 2]`` px; keypoints that are not labelled are not read.
        labelled: ``[G, K]`` whether the keypoint is annotated (COCO: v > 0).
        area: ``[G]`` px², as annotated; may be None for rules that take the area from the box.
        box: ``[G, 4]`` px; needed for persons without a labelled keypoint and by such rules.
        crowd: ``[G]`` whether the row stands for a crowd, which takes any number of detections.
        ignored: ``[G]`` rows that count neither as found nor as missed. Crowds and persons without
            a labelled keypoint are ignored in any case.
    """

    image: NDArray[Any]
    keypoints: NDArray[np.float64]
    labelled: NDArray[np.bool_]
    area: NDArray[np.float64] | None = None
    box: NDArray[np.float64] | None = None
    crowd: NDArray[np.bool_] | None = None
    ignored: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        where = type(self).__name__
        count, keypoints = _image_and_keypoints(self, where)
        _convert(self, "labelled", (count, keypoints.shape[1]), np.bool_, where)
        _convert(self, "area", (count,), np.float64, where)
        _convert(self, "box", (count, 4), np.float64, where)
        _convert(self, "crowd", (count,), np.bool_, where)
        _convert(self, "ignored", (count,), np.bool_, where)
        if self.area is not None and not (self.area >= 0).all():
            raise MetricError(
                "an area is negative or not finite",
                where=where,
                rule="areas are in square pixels, at least 0",
            )

    def __len__(self) -> int:
        return len(self.image)

    def uncounted(self) -> NDArray[np.bool_]:
        """Return which rows are neither found nor missed whatever their size, ``[G]``."""
        skip = np.asarray(~self.labelled.any(1))
        for column in (self.crowd, self.ignored):
            if column is not None:
                skip |= column
        return skip

    def columns(self, keypoints: slice) -> KeypointPersons:
        """Return the same persons with some of their keypoints, all else unchanged."""
        return replace(
            self, keypoints=self.keypoints[:, keypoints], labelled=self.labelled[:, keypoints]
        )

    @classmethod
    def from_coco(
        cls,
        annotations: Sequence[Mapping[str, Any]],
        *,
        field: str = "keypoints",
        count: int | None = None,
    ) -> KeypointPersons:
        """Read the ``annotations`` of a COCO keypoint file.

        A row is ignored if its ``num_keypoints`` is 0, as the evaluation tools do: CrowdPose files
        count only visible keypoints there. Annotation ids are not needed.

        Args:
            annotations: Dicts with ``image_id``, keypoints as flat x, y, v and, where present,
                ``area``, ``bbox``, ``iscrowd``, ``num_keypoints``, ``ignore``.
            field: Name of the keypoints in the file.
            count: Number of keypoints, for a list that may be empty.
        """
        where = f"{cls.__name__}.from_coco"
        triples = _triples(annotations, field, count, where)
        return cls(
            image=_image_ids([a["image_id"] for a in annotations]),
            keypoints=triples[..., :2],
            labelled=triples[..., 2] > 0,
            area=_optional(annotations, "area", (), where),
            box=_optional(annotations, "bbox", (4,), where),
            crowd=np.array([bool(a.get("iscrowd", 0)) for a in annotations], dtype=bool),
            ignored=np.array(
                [bool(a.get("ignore", 0)) or a.get("num_keypoints") == 0 for a in annotations],
                dtype=bool,
            ),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class KeypointDetections:
    """Detected persons of any number of images.

    Of equal scores the earlier row of an image goes first, and images go in ascending order of
    their ids; nothing else depends on the order of rows.

    Args:
        image: ``[D]`` image ids, of the type of those of the persons.
        keypoints: ``[D, K, 2]`` px.
        score: ``[D]`` confidence of the whole person, larger is better.
        box: ``[D, 4]`` px; only its area is used, to tell the size of unmatched detections.
        area: ``[D]`` px², taken instead of that of the box. Without both, the extent of all
            predicted keypoints.
    """

    image: NDArray[Any]
    keypoints: NDArray[np.float64]
    score: NDArray[np.float64]
    box: NDArray[np.float64] | None = None
    area: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        where = type(self).__name__
        count, _ = _image_and_keypoints(self, where)
        _convert(self, "score", (count,), np.float64, where)
        _convert(self, "box", (count, 4), np.float64, where)
        _convert(self, "area", (count,), np.float64, where)
        if not np.isfinite(self.score).all():
            raise MetricError(
                f"{int((~np.isfinite(self.score)).sum())} scores are not finite",
                where=where,
                rule="detections are ranked by their scores",
                fix="remove such detections, or give them a score knowingly",
            )

    def __len__(self) -> int:
        return len(self.image)

    def areas_px2(self) -> NDArray[np.float64]:
        """Return the area by which an unmatched detection belongs to a size range, ``[D]``."""
        if self.area is not None:
            return self.area
        if self.box is not None:
            return np.asarray(self.box[:, 2] * self.box[:, 3])
        return keypoint_extent(self.keypoints)

    def columns(
        self, keypoints: slice, score: NDArray[np.float64] | None = None
    ) -> KeypointDetections:
        """Return the same detections with some of their keypoints, and another score if given."""
        return replace(
            self,
            keypoints=self.keypoints[:, keypoints],
            score=self.score if score is None else score,
        )

    @classmethod
    def from_coco(
        cls,
        results: Sequence[Mapping[str, Any]],
        *,
        field: str = "keypoints",
        count: int | None = None,
    ) -> KeypointDetections:
        """Read a COCO result list; an empty one is a valid result.

        Args:
            results: Dicts with ``image_id``, ``score``, keypoints as flat x, y, v and, where
                present in all of them, ``bbox``.
            field: Name of the keypoints in the file.
            count: Number of keypoints, for a list that may be empty.
        """
        where = f"{cls.__name__}.from_coco"
        return cls(
            image=_image_ids([r["image_id"] for r in results]),
            keypoints=_triples(results, field, count, where)[..., :2],
            score=np.array([r["score"] for r in results], dtype=np.float64),
            box=_optional(results, "bbox", (4,), where),
        )


def keypoint_extent(keypoints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area of the tight box around the finite keypoints of each row, ``[D]`` px²."""
    finite = np.asarray(np.isfinite(keypoints).all(-1))[..., None]
    low = np.where(finite, keypoints, np.inf).min(1, initial=np.inf)
    high = np.where(finite, keypoints, -np.inf).max(1, initial=-np.inf)
    size = np.where(finite.any(1), high - low, 0.0)
    return np.asarray(size[:, 0] * size[:, 1])


def _image_and_keypoints(
    table: KeypointPersons | KeypointDetections, where: str
) -> tuple[int, NDArray[np.float64]]:
    image = np.asarray(table.image)
    if image.size == 0 and image.dtype.kind == "f":
        image = image.astype(np.int64)  # the type of an empty list
    if image.ndim != 1 or image.dtype.kind not in "iuU":
        raise MetricError(
            f"image ids of shape {list(image.shape)} and type {image.dtype}",
            where=where,
            rule="image ids are a vector of integers or of strings",
        )
    keypoints = np.asarray(table.keypoints, dtype=np.float64)
    if keypoints.ndim != 3 or keypoints.shape[2] != 2 or len(keypoints) != len(image):
        raise MetricError(
            f"keypoints of shape {list(keypoints.shape)} for {len(image)} rows",
            where=where,
            rule="keypoints are [rows, K, 2]",
        )
    object.__setattr__(table, "image", image)
    object.__setattr__(table, "keypoints", keypoints)
    return len(image), keypoints


def _convert(table: object, name: str, shape: tuple[int, ...], dtype: Any, where: str) -> None:
    value = getattr(table, name)
    if value is None:
        return
    array = np.asarray(value)
    if array.shape != shape or (dtype is np.bool_ and array.size and array.dtype != np.bool_):
        raise MetricError(
            f"{name} has shape {list(array.shape)} and type {array.dtype}",
            where=where,
            rule=f"{name} has shape {list(shape)}"
            + (" and is boolean" if dtype is np.bool_ else ""),
        )
    object.__setattr__(table, name, array.astype(dtype, copy=False))


def _image_ids(ids: Sequence[Any]) -> NDArray[Any]:
    return np.array(ids) if ids else np.zeros(0, dtype=np.int64)


def _triples(
    rows: Sequence[Mapping[str, Any]], field: str, count: int | None, where: str
) -> NDArray[np.float64]:
    lengths = {len(row[field]) for row in rows}
    if count is not None:
        lengths.add(3 * count)
    if len(lengths) > 1 or any(length % 3 for length in lengths):
        raise MetricError(
            f"lists of {sorted(lengths)} numbers in {field!r}",
            where=where,
            rule="every row has x, y, v for the same number of keypoints",
        )
    if not lengths:
        raise MetricError(
            "an empty list does not say how many keypoints there are",
            where=where,
            fix="pass count=<number of keypoints>",
        )
    return np.array([row[field] for row in rows], dtype=np.float64).reshape(
        len(rows), lengths.pop() // 3, 3
    )


def _optional(
    rows: Sequence[Mapping[str, Any]], name: str, shape: tuple[int, ...], where: str
) -> NDArray[np.float64] | None:
    given = [row for row in rows if row.get(name) is not None]
    if not given:
        return None
    if len(given) < len(rows):
        raise MetricError(
            f"{len(rows) - len(given)} of {len(rows)} rows have no {name!r}",
            where=where,
            rule="a field is there for all rows or for none",
        )
    return np.array([row[name] for row in rows], dtype=np.float64).reshape(len(rows), *shape)
