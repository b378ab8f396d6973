"""Evaluator of EHF: vertex errors of parts under several alignments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from posepile_torch import metrics
from posepile_torch.errors import PredictionError
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.joining import join
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import (
    Align,
    OnMissing,
    Protocol,
)
from posepile_torch.evaluate.results import Counts, Result

from . import _rows as rows
from .ehf import ROOTS


def evaluate_parts(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth, on_missing: OnMissing
) -> Result:
    """Compute vertex errors of all parts.

    Raises:
        PredictionError: If a mesh is missing under the policy ``"error"``.
    """
    rows.true_column(truth, "vertices", protocol)
    rows.predicted_column(predictions, "vertices", protocol)
    joined = join(predictions, truth)
    data = joined.data
    pred = np.asarray(data.pred_extras["vertices"], np.float64)
    gt = np.asarray(data.gt_extras["vertices"], np.float64)
    if pred.shape != gt.shape:
        raise PredictionError(
            f"meshes of shape {list(pred.shape[1:])}, true ones {list(gt.shape[1:])}",
            where=predictions.where,
            rule="prediction and truth have the same vertices",
        )
    present = np.asarray(np.isfinite(pred).all((1, 2)) & np.isfinite(data.pred).any((1, 2)))
    if on_missing == "error" and not present.all():
        raise PredictionError(
            f"{int((~present).sum())} of {len(present)} images have no usable mesh",
            where=predictions.where,
            rule=f"{protocol.id} needs one per image",
            fix='add them, or choose the policy "skip"',
        )
    parts = vertex_parts(protocol, truth)
    errors: dict[tuple[str, Align], NDArray[np.float64]] = {}
    values = []
    for metric in protocol.metrics:
        part = str(metric.arguments["part"])
        names = ("left_hand", "right_hand") if part == "hands" else (part,)
        for name in names:
            if (name, metric.align) not in errors:
                errors[name, metric.align] = _errors(
                    protocol, name, metric.align, parts, (pred, gt), (data.pred, data.gt), present
                )
        per_image = np.mean([errors[name, metric.align] for name in names], axis=0)
        values.append(
            rows.valued(
                protocol,
                metric,
                float(per_image.mean()) if len(per_image) else float("nan"),
                aggregation="mean of means per person",
                alignment=metric.align,
                n_samples=len(per_image),
            )
        )
    counts = Counts(
        n_expected=len(truth),
        n_evaluated=int(present.sum()),
        n_missing=int((~present).sum()),
        n_duplicates=joined.n_duplicates,
        n_unmatched=joined.n_unmatched,
    )
    return rows.result(
        protocol,
        predictions,
        truth,
        on_missing,
        values=tuple(values),
        counts=counts,
        notes=joined.notes,
    )


def vertex_parts(protocol: Protocol, truth: GroundTruth) -> Mapping[str, NDArray[np.int64]]:
    """Return part → numbers of its vertices, from the columns ``in_...`` of the truth."""
    inside = {
        name: np.asarray(rows.true_column(truth, f"in_{name}", protocol))[0].astype(bool)
        for name in ("left_hand", "right_hand", "face")
    }
    found = {name: np.flatnonzero(mask) for name, mask in inside.items()}
    count = len(inside["face"])
    found["body"] = np.flatnonzero(~np.logical_or.reduce(list(inside.values())))
    found["all"] = np.arange(count)
    return found


def _errors(
    protocol: Protocol,
    part: str,
    align: Align,
    parts: Mapping[str, NDArray[np.int64]],
    vertices: tuple[NDArray[np.float64], NDArray[np.float64]],
    joints: tuple[NDArray[np.float64], NDArray[np.float64]],
    present: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the error of one part per image that is evaluated."""
    roots: list[Mapping[str, object] | None] = [None, None]
    if align == "none":
        at = protocol.named_skeleton.index(ROOTS[part])
        roots = [{part: side[present][:, at]} for side in joints]
    found = metrics.part_errors(
        vertices[0][present],
        vertices[1][present],
        {part: parts[part].tolist()},
        align=align,
        pred_roots=roots[0],
        gt_roots=roots[1],
        reduce="sample",
    )
    return np.asarray(found[part])
