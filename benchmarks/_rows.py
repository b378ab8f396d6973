"""What evaluators of several benchmarks do with rows of people, each written once."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import PredictionError, ProtocolError
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import MetricSpec, OnMissing, Protocol
from posepile_torch.evaluate.results import Cell, Counts, MetricValue, Result


def rows_by_image(image: NDArray[np.str_]) -> dict[str, NDArray[np.int64]]:
    """Return image → its rows in their order."""
    found: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(image.tolist()):
        found[name].append(row)
    return {name: np.array(rows, dtype=np.int64) for name, rows in found.items()}


def check_people(predictions: Predictions) -> None:
    """Raise if a predicted person is given twice."""
    if predictions.person is None:
        return
    keys = Counter(zip(predictions.image.tolist(), predictions.person.tolist(), strict=True))
    if len(keys) < len(predictions):
        (image, person), number = keys.most_common(1)[0]
        raise PredictionError(
            f"person {person!r} of image {image!r} is predicted {number} times",
            where=predictions.where,
            rule="a row is one predicted person; ids of people are unique in their image",
            fix="number the people of an image, or leave the column person out",
        )


def true_column(truth: GroundTruth, name: str, protocol: Protocol) -> NDArray[Any]:
    """Return a column of the truth.

    Raises:
        ProtocolError: If the truth has none of that name.
    """
    if name in truth.extras:
        return truth.extras[name]
    raise ProtocolError(
        f"the ground truth has no column {name!r}",
        where=truth.where,
        rule=f"{protocol.id} needs it",
        fix="pass the raw files of the benchmark, or a table with that column",
    )


def predicted_column(predictions: Predictions, name: str, protocol: Protocol) -> NDArray[Any]:
    """Return a column of the predictions.

    Raises:
        PredictionError: If they have none of that name.
    """
    if name in predictions.extras:
        return predictions.extras[name]
    raise PredictionError(
        f"the predictions have no column {name!r}",
        where=predictions.where,
        rule=f"{protocol.id} needs it",
        fix=f"store {name} beside the joints",
    )


def check_policy(protocol: Protocol, on_missing: OnMissing) -> None:
    """Raise for the policy ``"skip"``, under which a missed person would cost nothing."""
    if on_missing == "skip":
        raise ProtocolError(
            "the policy 'skip'",
            where=protocol.id,
            rule="a person who is not found is a miss in these scores",
            fix='use "error" or "count_as_wrong"',
        )


def valued(
    protocol: Protocol,
    metric: MetricSpec,
    value: float,
    *,
    aggregation: str,
    alignment: str = "none",
    n_samples: int = 0,
    breakdowns: dict[str, tuple[Cell, ...]] | None = None,
) -> MetricValue:
    """Return one number with what defines it."""
    if not np.isfinite(value):
        raise PredictionError(
            f"nothing to average for {metric.name!r}",
            where=protocol.id,
            rule="a number needs at least one evaluated person",
            fix="check that predictions and truth name the same images",
        )
    root = protocol.root_of(metric)
    return MetricValue(
        metric=metric.name,
        value=float(value),
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        aggregation=aggregation,
        joints=protocol.joints_of(metric),
        root="none"
        if root is None
        else str(root)
        if isinstance(root, str)
        else " and ".join(root),
        alignment=alignment,
        n_samples=n_samples,
        breakdowns=breakdowns or {},
    )


def result(
    protocol: Protocol,
    predictions: Predictions,
    truth: GroundTruth,
    on_missing: OnMissing,
    *,
    values: tuple[MetricValue, ...],
    counts: Counts,
    notes: tuple[str, ...] = (),
) -> Result:
    """Return the result of an evaluator with the notes of predictions and truth."""
    return Result(
        protocol=protocol.id,
        values=values,
        counts=counts,
        on_missing=on_missing,
        name=predictions.name,
        truth=truth.where,
        truth_fingerprint=truth.fingerprint,
        notes=(*truth.notes, *predictions.approximations, *notes),
    )


def finite_cell(label: str, value: float, n_samples: int) -> Cell:
    """Return an entry of a breakdown; None for a value that is not finite."""
    return Cell(label, float(value) if np.isfinite(value) else None, n_samples)
