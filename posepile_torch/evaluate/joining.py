"""The join of predictions with ground truth by image and person; the order of rows is nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import PredictionError
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.scores import Joined

Key = tuple[str, str] | str


@dataclass(frozen=True, eq=False, kw_only=True)
class Join:
    """Predictions beside the ground truth, and what did not fit.

    Args:
        data: One row per annotated person; NaN poses where there is no single prediction.
        n_duplicates: Annotated people who are predicted more than once; treated as missing.
        n_unmatched: Predictions without an annotation.
        notes: Remarks in words.
    """

    data: Joined
    n_duplicates: int
    n_unmatched: int
    notes: tuple[str, ...]


def join(predictions: Predictions, truth: GroundTruth) -> Join:
    """Put predictions beside the annotated people by key.

    Predictions without ids of people are joined by image alone; every image then has one
    annotated person.

    Raises:
        PredictionError: If no key occurs on both sides, or images alone do not identify people.
    """
    expected = _true_keys(predictions, truth)
    given = _given_keys(predictions)
    counts = Counter(given)
    row_of = {key: row for row, key in enumerate(given)}
    source = np.array(
        [row_of[key] if counts[key] == 1 else -1 for key in expected], dtype=np.int64
    )
    known = set(expected)
    if predictions and truth and not known & counts.keys():
        raise PredictionError(
            f"not one of {len(given)} predictions has the key of an annotated person",
            where=predictions.where,
            rule=f"keys are (image, person); the truth has for example {expected[0]!r}",
            fix=f"the predictions have for example {given[0]!r}; write the ids of the truth",
        )
    duplicates = sum(counts[key] > 1 for key in known)
    unmatched = sum(number for key, number in counts.items() if key not in known)
    notes = []
    if unmatched:
        notes.append(f"{unmatched} predictions have no annotation in this protocol; not used")
    if duplicates:
        notes.append(f"{duplicates} people are predicted more than once; treated as missing")
    found = source >= 0
    joints = np.full((len(truth), *predictions.joints.shape[1:]), np.nan)
    joints[found] = predictions.joints[source[found]]
    data = Joined(
        image=truth.image,
        person=truth.person,
        pred=joints,
        gt=truth.joints,
        labels=truth.labels,
        frame=np.full(len(truth), -1) if truth.frame is None else truth.frame,
        pred_extras={name: _taken(column, source) for name, column in predictions.extras.items()},
        gt_extras=truth.extras,
    )
    return Join(data=data, n_duplicates=duplicates, n_unmatched=unmatched, notes=tuple(notes))


def _true_keys(predictions: Predictions, truth: GroundTruth) -> list[Key]:
    if predictions.person is not None:
        return list(zip(truth.image.tolist(), truth.person.tolist(), strict=True))
    images: list[Key] = truth.image.tolist()
    crowded = [image for image, number in Counter(images).items() if number > 1]
    if crowded:
        raise PredictionError(
            f"no column person, but {len(crowded)} images have several annotated people",
            where=predictions.where,
            rule="without ids of people every image has one annotated person",
            fix=f"add a column person; the first such image is {crowded[0]!r}",
        )
    return images


def _given_keys(predictions: Predictions) -> list[Key]:
    if predictions.person is None:
        return list(predictions.image.tolist())
    return list(zip(predictions.image.tolist(), predictions.person.tolist(), strict=True))


def _taken(column: NDArray[Any], source: NDArray[np.int64]) -> NDArray[Any]:
    """Rows of a column in the order of the truth; NaN or empty where there is no prediction."""
    column = np.asarray(column)
    if column.dtype.kind in "iub":
        column = column.astype(np.float64)
    fill = column.dtype.type("" if column.dtype.kind == "U" else np.nan)
    taken = np.full((len(source), *column.shape[1:]), fill, dtype=column.dtype)
    taken[source >= 0] = column[source[source >= 0]]
    return taken


__all__ = ["Join", "join"]
