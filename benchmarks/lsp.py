"""LSP and FLIC: PCK with the torso as norm, inclusive and pooled."""

from __future__ import annotations

from posepile_torch.evaluate.protocol import Choice, Frames, MetricSpec, Protocol

from . import _citations as cite
from ._specs import NORMED

_NORM = Choice("norm", "distance of left shoulder and right hip", cite.EVAL_POSE)
_INCLUSIVE = Choice("comparison", "inclusive, d <= t", cite.EVAL_POSE)
_BOX_NORM = "tools that divide by the bounding box of the joints: that is another metric"


def _pck(name: str, threshold: float) -> MetricSpec:
    return MetricSpec(
        name,
        "pck_2d",
        {"norm": "torso", "threshold": threshold, "strict": False},
        unit="%",
        higher_is_better=True,
        about=f"d <= {threshold:g} of the distance of left shoulder and right hip",
    )


LSP = Protocol(
    name="lsp/pck-torso",
    version=1,
    title="LSP test, PCK@0.2 of the torso",
    benchmark="lsp",
    skeleton="lsp_14",
    target="joints2d",
    space="image",
    metrics=(
        _pck("PCK@0.2", 0.2),
        MetricSpec(
            "AUC",
            "pck_curve_area",
            {"norm": "torso", "limit": 0.2, "step": 0.01},
            unit="%",
            higher_is_better=True,
            about="trapezoid area under PCK at 0, 0.01, ..., 0.2",
        ),
    ),
    frames=Frames(splits=("test",), valid="images 1001 to 2000", expected=1000),
    breakdowns=("joint",),
    groups={
        "Head": ("neck", "htop"),
        "Shoulder": ("rsho", "lsho"),
        "Elbow": ("relb", "lelb"),
        "Wrist": ("rwri", "lwri"),
        "Hip": ("rhip", "lhip"),
        "Knee": ("rkne", "lkne"),
        "Ankle": ("rank", "lank"),
    },
    evaluator=NORMED,
    raw_truth="posepile_torch.benchmarks.lsp_raw:truth_from_raw",
    choices=(
        _NORM,
        _INCLUSIVE,
        Choice("annotation", "person-centric (PC), the modern one", cite.EVAL_POSE),
        Choice("averaging", "pooled over joints and images", cite.EVAL_POSE),
        Choice("occluded joints", "are evaluated like the others", cite.EVAL_POSE),
    ),
    not_comparable=("observer-centric (OC) annotations", _BOX_NORM),
    notes=('"PDJ" is the same quantity on thresholds up to 0.5',),
)
FLIC = Protocol(
    name="flic/pck-torso",
    version=1,
    title="FLIC test, elbows and wrists, PCK of the torso (MODEC radii 10 and 20)",
    benchmark="flic",
    skeleton="flic_11",
    joints="lelb relb lwri rwri",
    target="joints2d",
    space="image",
    metrics=(_pck("PCK@0.2", 0.2), _pck("PCK@0.1", 0.1)),
    frames=Frames(splits=("test",), valid="istest", expected=1016),
    breakdowns=("joint",),
    groups={"Elbow": ("lelb", "relb"), "Wrist": ("lwri", "rwri")},
    evaluator=NORMED,
    choices=(
        _NORM,
        Choice("comparison", "inclusive, d <= t", cite.MODEC),
        Choice(
            "radii",
            "MODEC scales the torso to 100 px: radius 20 is PCK@0.2, radius 10 PCK@0.1",
            cite.MODEC,
        ),
        Choice("joints", "elbows and wrists, both sides pooled", cite.MODEC),
        Choice(
            "annotation",
            "observer-centric; people who face away have their sides exchanged",
            cite.MODEC,
        ),
    ),
    not_comparable=("person-centric annotations", _BOX_NORM),
)
