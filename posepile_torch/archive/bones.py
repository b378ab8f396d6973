"""Mean bone lengths of an archive, summed up so that the order of records cannot matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from posepile_torch.record_fields import Record
from posepile_torch.skeleton import Skeleton

_SPLITS = ("train", "val")  # the test split never informs a statistic that training may use
_MAX_LENGTH_UM = 2**40  # 1100 km; keeps the sums within int64 for 8 million records


class BoneSums:
    """Sums of bone lengths per edge and split.

    Lengths are rounded to whole micrometres and summed as integers, so that resuming, merging and
    re-counting give the same mean to the last bit. A bone counts where both its ends are known.

    Args:
        skeleton: Its edges are the bones.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self._edges = np.array(skeleton.edges, np.int64).reshape(-1, 2)
        self._sums = {split: [0] * len(self._edges) for split in _SPLITS}
        self._counts = {split: [0] * len(self._edges) for split in _SPLITS}

    def add(self, record: Record) -> None:
        """Count the bones of a record, in the precision in which it is stored."""
        if record.joints3d is None or record.split not in _SPLITS or not len(self._edges):
            return
        ends = record.joints3d[self._edges]
        lengths_um = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) * 1000.0
        with np.errstate(invalid="ignore"):
            counted = lengths_um < _MAX_LENGTH_UM  # NaN compares false
        sums, counts = self._sums[record.split], self._counts[record.split]
        for edge in np.flatnonzero(counted).tolist():
            sums[edge] += round(float(lengths_um[edge]))
            counts[edge] += 1

    def means_mm(self) -> dict[str, tuple[float | None, ...]]:
        """Return the mean lengths in mm over ``train`` and over ``train`` with ``val``."""
        return {"train": self._means(("train",)), "trainval": self._means(_SPLITS)}

    def _means(self, splits: tuple[str, ...]) -> tuple[float | None, ...]:
        means: list[float | None] = []
        for edge in range(len(self._edges)):
            count = sum(self._counts[split][edge] for split in splits)
            total = sum(self._sums[split][edge] for split in splits)
            means.append(total / (count * 1000) if count else None)
        return tuple(means)

    def to_json(self) -> dict[str, Any]:
        """Return the sums for the journal."""
        return {"sums_um": self._sums, "counts": self._counts}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Go on from sums that :meth:`to_json` returned."""
        self._sums = {split: list(data["sums_um"][split]) for split in _SPLITS}
        self._counts = {split: list(data["counts"][split]) for split in _SPLITS}
