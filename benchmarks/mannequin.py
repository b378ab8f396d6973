"""The mannequin: the library's own synthetic people, evaluated as the demo reports them."""

from __future__ import annotations

from posepile_torch.evaluate.protocol import Choice, Frames, MetricSpec, Protocol
from posepile_torch.sources.mannequin import SKELETON

_OWN = "this library; docs/mannequin.md"

MPJPE = Protocol(
    name="mannequin/mpjpe",
    version=1,
    title="Mannequin, 19 joints relative to the pelvis",
    benchmark="mannequin",
    skeleton=SKELETON,
    root="pelv",
    space="world",
    frames=Frames(splits=("test",), valid="every person who is in view"),
    metrics=(
        MetricSpec(
            "MPJPE",
            "mpjpe",
            unit="mm",
            also=("group_mean",),
            about="mean distance of the joints after moving both pelvises to the origin",
        ),
        MetricSpec(
            "PA-MPJPE",
            "pa_mpjpe",
            unit="mm",
            about="the same after the best rotation, translation and scale, no reflection",
        ),
        MetricSpec(
            "PCK@150",
            "pck",
            {"threshold": 150.0, "strict": True},
            unit="%",
            higher_is_better=True,
            about="joints closer than 150 mm, relative to the pelvis",
        ),
        MetricSpec(
            "AUC-31",
            "auc_31",
            unit="%",
            higher_is_better=True,
            about="mean of the PCK at 0, 5, ..., 150 mm; 96.8 at best",
        ),
    ),
    breakdowns=("activity", "sequence", "subject", "camera", "joint"),
    choices=(
        Choice("joints", "all 19, the pelvis with its zero error included", _OWN),
        Choice("root", "the pelvis joint of prediction and truth", _OWN),
        Choice("frames", "every frame of the test split", _OWN),
        Choice("averaging", "pooled over persons, frames and joints", _OWN),
        Choice("missing predictions", "an error unless the user decides otherwise", _OWN),
    ),
    not_comparable=("any published benchmark: the data are synthetic",),
)
"""Every frame of the test split, pooled; what the demo prints."""
