"""JHMDB, and the hands and faces of COCO-WholeBody, as mmpose evaluates them."""

from __future__ import annotations

from posepile_torch.evaluate.protocol import Choice, Frames, MetricSpec, Protocol, Published
from posepile_torch.skeleton import Skeleton

from . import _citations as cite
from ._specs import NORMED

_PER_JOINT = Choice(
    "averaging",
    "per joint over its visible instances, then over joints that are visible at all; a joint that "
    "never is has no value (mmpose averages -1 into groups)",
    f"{cite.MMPOSE}; {cite.OURS}",
)
_STRICT = Choice("comparison", "strict, d < t", cite.MMPOSE)
_GROUPS = {
    "Head": ("head",),
    "Shoulder": ("rsho", "lsho"),
    "Elbow": ("relb", "lelb"),
    "Wrist": ("rwri", "lwri"),
    "Hip": ("rhip", "lhip"),
    "Knee": ("rkne", "lkne"),
    "Ankle": ("rank", "lank"),
}


def _pck(name: str, norm: str, about: str) -> MetricSpec:
    return MetricSpec(
        name,
        "pck_2d",
        {"norm": norm, "threshold": 0.2, "strict": True},
        unit="%",
        higher_is_better=True,
        order="joint_mean",
        about=about,
    )


JHMDB = Protocol(
    name="jhmdb/pck",
    version=1,
    title="JHMDB, PCK@0.2 by box and by torso, one split",
    benchmark="jhmdb",
    skeleton="jhmdb_15",
    target="joints2d",
    space="image",
    metrics=(
        _pck("PCK@0.2 (box)", "box_size", "d < 0.2 of the longer side of the box"),
        _pck(
            "PCK@0.2 (torso)",
            "torso_or_predicted",
            "d < 0.2 of the distance of joints 4 and 5; of the predicted one if that is < 1 px",
        ),
    ),
    frames=Frames(splits=("test",), valid="visible joints"),
    breakdowns=("joint",),
    groups=_GROUPS,
    evaluator=NORMED,
    choices=(
        _STRICT,
        _PER_JOINT,
        Choice("box", "longer side of the annotated box", cite.MMPOSE),
        Choice("torso", "joints 4 and 5, with the prediction below 1 px", cite.MMPOSE),
        Choice("splits", "evaluated one by one; tables average three", cite.MMPOSE),
    ),
    comparable=(Published("pose_resnet_50, mean of 3 splits", {"PCK@0.2 (box)": 96.0}, "mmpose"),),
    not_comparable=("PCK by box beside PCK by torso",),
)

_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
HAND21 = Skeleton.parse(
    "hand_21",
    joints=" ".join(("wrist", *(f"{finger}{i}" for finger in _FINGERS for i in (1, 2, 3, 4)))),
    edges="wrist-thumb1-thumb2-thumb3-thumb4",
)
"""Wrist, then thumb to pinky from the palm to the tip."""

FACE68 = Skeleton.parse(
    "face_68", joints=" ".join(f"face{i}" for i in range(1, 69)), edges="face1-face2"
)
"""The 68 landmarks of a face by their customary numbers from 1."""

_EPE = MetricSpec("EPE", "epe", unit="px", about="pooled mean distance in pixels")
_AUC = MetricSpec(
    "AUC",
    "auc_2d",
    {"norm_factor_px": 30.0, "thresholds": 20},
    unit="%",
    higher_is_better=True,
    order="joint_mean",
    about="mean of strict PCK at i/20 of 30 px, i = 0..19; a perfect prediction scores 95",
)
HAND = Protocol(
    name="coco-wholebody/hand-crops",
    version=1,
    title="COCO-WholeBody, single hands: PCK@0.2 by box, AUC, EPE",
    benchmark="coco-wholebody",
    skeleton=HAND21,
    target="joints2d",
    space="image",
    metrics=(
        _pck("PCK@0.2 (box)", "box_size", "d < 0.2 of the longer side of the box"),
        _AUC,
        _EPE,
    ),
    frames=Frames(splits=("val",), valid="labelled keypoints"),
    breakdowns=("joint",),
    evaluator=NORMED,
    choices=(
        _STRICT,
        _PER_JOINT,
        Choice("AUC", "left Riemann sum over 20 thresholds up to 30 px", cite.MMPOSE),
        Choice("EPE", "pooled", cite.MMPOSE),
    ),
    not_comparable=("average precision over OKS of the same keypoints",),
)
FACE = Protocol(
    name="coco-wholebody/face-crops",
    version=1,
    title="COCO-WholeBody, single faces: NME by the outer corners of the eyes",
    benchmark="coco-wholebody",
    skeleton=FACE68,
    target="joints2d",
    space="image",
    metrics=(
        MetricSpec(
            "NME",
            "nme",
            {"norm": "eye_corners"},
            unit="",
            about="pooled mean of the distance over that of the landmarks 37 and 46",
        ),
    ),
    frames=Frames(splits=("val",), valid="labelled keypoints"),
    breakdowns=("joint",),
    evaluator=NORMED,
    choices=(
        Choice(
            "norm", "distance of the outer corners of the eyes (landmarks 37, 46)", cite.MMPOSE
        ),
        Choice("averaging", "pooled over people and landmarks", cite.MMPOSE),
    ),
    not_comparable=("NME by box or by pupils",),
)
