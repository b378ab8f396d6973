"""ASPset-510: absolute, root-relative and aligned errors of 17 joints, averaged per pose."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import ProtocolError
from posepile_torch.evaluate.engine import evaluate
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import Choice, Frames, OnMissing, Protocol
from posepile_torch.evaluate.results import Result

from . import _citations as cite
from . import _specs as specs

UNIVERSAL_HEIGHT_MM = 910.0
"""Knee-to-neck height to which the optional universal scale brings the truth."""

_MEAN: dict[str, Any] = {"order": "sample_mean"}
TEST = Protocol(
    name="aspset/test",
    version=1,
    title="ASPset-510 test, 17 joints: absolute, root-relative and Procrustes",
    benchmark="aspset",
    skeleton="aspset_17",
    root="pelv",
    metrics=(
        specs.mpjpe(**_MEAN),
        specs.pck("PCK@150", 150, strict=False, **_MEAN),
        specs.ampjpe(**_MEAN),
        specs.pck("APCK@150", 150, strict=False, root=None, **_MEAN),
        specs.pa_mpjpe(**_MEAN),
        specs.pck("PA-PCK@150", 150, strict=False, align="similarity", **_MEAN),
    ),
    frames=Frames(step=5, valid="every 5th frame of 50 Hz"),
    breakdowns=("subject", "camera", "joint"),
    fps=10.0,
    choices=(
        Choice("joints", "all 17, the pelvis with its zero error included", cite.ASPSET),
        Choice("root", "the pelvis", cite.ASPSET),
        Choice("frames", "every 5th frame (10 Hz), all cameras of a clip", cite.ASPSET),
        Choice("thresholds", "inclusive, d <= 150 mm", cite.ASPSET),
        Choice("averaging", "per pose, then over poses", cite.ASPSET),
        Choice(
            "alignment",
            "the optimum without reflection; posekit keeps a wrong scale where the free optimum "
            "is a reflection",
            cite.OURS,
        ),
        Choice("precision", "float64 here, float32 in the reference", cite.OURS),
    ),
    not_comparable=("numbers with the universal scale",),
)
UNIVERSAL = dataclasses.replace(
    TEST,
    name="aspset/universal-scale",
    title="ASPset-510 test, truth scaled to one height from knee to neck",
    evaluator="posepile_torch.benchmarks.aspset:evaluate_scaled",
    choices=(
        *TEST.choices,
        Choice(
            "scale",
            "the truth is scaled about the origin so that its height from knee to neck is 910 mm",
            cite.ASPSET,
        ),
    ),
    not_comparable=("numbers without the universal scale",),
)


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
