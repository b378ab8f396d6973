"""Lengths by which 2D distances are divided, computed from what the truth has.

The evaluator of this module adds them as columns, then evaluates as usual: ``head_size`` from
``head_box``, ``box_size`` from ``box``, and ``torso`` from two joints of the truth.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from posepile_torch import metrics
from posepile_torch.evaluate.engine import evaluate
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.joining import join
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import OnMissing, Protocol
from posepile_torch.evaluate.results import Result

from . import _rows as rows

TORSO = ("lsho", "rhip")
"""Left shoulder and right hip: the torso of LSP and FLIC."""

JHMDB_TORSO = ("lsho", "rhip")
"""Joints 4 and 5 of JHMDB's own list, counted from zero."""


def evaluate_normed(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth, on_missing: OnMissing
) -> Result:
    """Add the norms that the metrics name, then evaluate.

    A text ``norm`` of a metric names a column. Columns that the truth has are taken as they are.
    """
    needed = {str(m.arguments["norm"]) for m in protocol.metrics if "norm" in m.arguments}
    columns = {name: _norm(name, protocol, predictions, truth) for name in sorted(needed)}
    normed = dataclasses.replace(truth, extras={**truth.extras, **columns})
    plain = dataclasses.replace(protocol, evaluator=None)
    return evaluate(plain, predictions, normed, on_missing=on_missing)


def _norm(
    name: str, protocol: Protocol, predictions: Predictions, truth: GroundTruth
) -> NDArray[np.float64]:
    if name in truth.extras:
        return np.asarray(truth.extras[name], np.float64)
    if name == "torso":
        ends = protocol.named_skeleton.indices(list(TORSO)).tolist()
        return _measured(metrics.torso_norm(truth.joints, ends=(ends[0], ends[1])))
    if name == "eye_corners":
        ends = protocol.named_skeleton.indices(["face37", "face46"]).tolist()
        return _measured(metrics.torso_norm(truth.joints, ends=(ends[0], ends[1])))
    if name == "torso_or_predicted":
        ends = protocol.named_skeleton.indices(list(JHMDB_TORSO)).tolist()
        fallback = join(predictions, truth).data.pred
        return _measured(
            metrics.torso_norm(
                truth.joints, ends=(ends[0], ends[1]), fallback=fallback, minimum_px=1.0
            )
        )
    if name == "head_size":
        return _measured(metrics.head_norm(rows.true_column(truth, "head_box", protocol)))
    return _measured(metrics.box_norm(rows.true_column(truth, "box", protocol)))


def _measured(norm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the norm with 0, which leaves a person out, where a joint of it is unknown."""
    return np.nan_to_num(np.asarray(norm, np.float64))
