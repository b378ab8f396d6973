"""What scoring starts from and what it gives: joined poses, and scores per person and joint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch import metrics

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Joined:
    """Predictions beside their ground truth, one row per annotated person, sorted by key.

    Args:
        image: ``[N]`` ids of images.
        person: ``[N]`` ids of people.
        pred: ``[N, J, D]``; NaN where missing.
        gt: ``[N, J, D]``; NaN where not labelled.
        labels: Breakdown → ``[N]`` texts.
        frame: ``[N]`` frame numbers, -1 where unknown.
        pred_extras: Further predicted columns.
        gt_extras: Further true columns.
    """

    image: NDArray[np.str_]
    person: NDArray[np.str_]
    pred: Floats
    gt: Floats
    labels: Mapping[str, NDArray[np.str_]]
    frame: NDArray[np.int64]
    pred_extras: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    gt_extras: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of one metric.

    Args:
        values: ``[N, K]`` one column per joint, or a single one; NaN where not evaluated.
        per_joint: Whether columns are joints.
        whole: For metrics that are no mean of scores: the number of given rows.
    """

    values: Floats
    per_joint: bool = False
    whole: Callable[[NDArray[np.int64]], float] | None = None

    def mean(self, rows: NDArray[np.int64], order: str) -> float | None:
        """Return the number of some rows in an order of averaging, or None without any score."""
        chosen = self.values[rows]
        if not np.isfinite(chosen).any():
            return None
        if self.whole is not None:
            return self.whole(rows)
        return float(metrics.aggregate(chosen, order))  # type: ignore[arg-type]


__all__ = ["Floats", "Joined", "Scores"]
