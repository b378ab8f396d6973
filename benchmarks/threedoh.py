"""3DOH50K test: 14 joints relative to the midpoint of the hips."""

from __future__ import annotations

from posepile_torch.evaluate.protocol import Choice, Frames, Protocol

from . import _citations as cite
from . import _specs as specs

TEST = Protocol(
    name="3doh/test",
    version=1,
    title="3DOH50K test, 14 joints relative to the midpoint of the hips",
    benchmark="3doh",
    skeleton="3doh_14",
    root=specs.MID_HIP,
    metrics=(specs.mpjpe(), specs.pa_mpjpe()),
    frames=Frames(valid="every image of the test set"),
    breakdowns=("joint",),
    choices=(
        Choice("joints", "the 14 of LSP in the data set's own reading", cite.POSEPILE),
        Choice("unit", "stored values times 1000 / 7 are mm", cite.POSEPILE),
        Choice("root", "midpoint of the hips", cite.POSEPILE),
        Choice("averaging", "pooled", cite.POSEPILE),
    ),
    not_comparable=("numbers on SMPL joints of this data set",),
    raw_truth="posepile_torch.benchmarks.threedoh_raw:truth_from_raw",
)
