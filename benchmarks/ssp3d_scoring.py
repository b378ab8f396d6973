"""Evaluator of SSP-3D: shape errors, then overlaps of silhouettes."""

from __future__ import annotations

import dataclasses

import numpy as np

from posepile_torch import metrics
from posepile_torch.evaluate.engine import evaluate
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.joining import join
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import OnMissing, Protocol
from posepile_torch.evaluate.results import Result

from . import _rows as rows


def evaluate_silhouettes(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth, on_missing: OnMissing
) -> Result:
    """Evaluate the shape as usual, then the overlap of silhouettes."""
    shapes = tuple(m for m in protocol.metrics if m.function != "silhouette_iou")
    plain = dataclasses.replace(protocol, evaluator=None, metrics=shapes)
    found = evaluate(plain, predictions, truth, on_missing=on_missing)
    rows.true_column(truth, "silhouette", protocol)
    rows.predicted_column(predictions, "silhouette", protocol)
    data = join(predictions, truth).data
    given = np.asarray(data.pred_extras["silhouette"], np.float64)
    usable = np.isfinite(given).all((1, 2))
    drawn, true = given[usable] > 0, np.asarray(data.gt_extras["silhouette"])[usable] > 0
    overlaps = tuple(
        rows.valued(
            protocol,
            metric,
            float(metrics.silhouette_iou(drawn, true, reduce=metric.arguments["reduce"])),
            aggregation="pooled" if metric.arguments["reduce"] == "pooled" else "mean per image",
            n_samples=int(usable.sum()),
        )
        for metric in protocol.metrics
        if metric.function == "silhouette_iou"
    )
    return dataclasses.replace(found, values=(*found.values, *overlaps))
