"""ASPset-510: absolute, root-relative and aligned errors of 17 joints, averaged per pose."""

from __future__ import annotations

import dataclasses
from typing import Any

from posepile_torch.evaluate.protocol import Choice, Frames, Protocol

from . import _citations as cite
from . import _specs as specs

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
    evaluator="posepile_torch.benchmarks.aspset_scoring:evaluate_scaled",
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
