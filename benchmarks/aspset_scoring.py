"""Evaluator of ASPset-510 with truth of one height."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import ProtocolError
from posepile_torch.evaluate.engine import evaluate
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import OnMissing, Protocol
from posepile_torch.evaluate.results import Result

UNIVERSAL_HEIGHT_MM = 910.0
"""Knee-to-neck height to which the optional universal scale brings the truth."""


def evaluate_scaled(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth, on_missing: OnMissing
) -> Result:
    """Scale the truth of every person to the universal height, then evaluate as usual.

    The height is the mean over both sides of knee to hip, plus pelvis to spine to neck.

    Raises:
        ProtocolError: If a joint of that chain is not known.
    """
    height = knee_to_neck_mm(protocol, truth)
    factor = UNIVERSAL_HEIGHT_MM / height
    scaled = dataclasses.replace(truth, joints=truth.joints * factor[:, None, None])
    return evaluate(
        dataclasses.replace(protocol, evaluator=None), predictions, scaled, on_missing=on_missing
    )


def knee_to_neck_mm(protocol: Protocol, truth: GroundTruth) -> NDArray[np.float64]:
    """Return the height of every annotated person from knee to neck along the bones, mm."""
    skeleton = protocol.named_skeleton

    def bone(a: str, b: str) -> NDArray[np.float64]:
        first, second = (truth.joints[:, skeleton.index(name)] for name in (a, b))
        return np.asarray(np.linalg.norm(first - second, axis=-1))

    legs = (bone("lkne", "lhip") + bone("rkne", "rhip")) / 2
    height = legs + bone("pelv", "spin") + bone("spin", "neck")
    if not (height > 0).all():
        raise ProtocolError(
            f"{int((~(height > 0)).sum())} annotated people have no height from knee to neck",
            where=truth.where,
            rule=f"{protocol.id} scales the truth by that height",
            fix="use aspset/test",
        )
    return height
