"""EHF: whole SMPL-X meshes and their parts, under three alignments that are told apart by name.

Truth and predictions have the columns ``vertices`` ``[10475, 3]`` and joints of the SMPL-X body.
The truth says which vertices belong to hands and face in the columns ``in_left_hand``,
``in_right_hand`` and ``in_face``; those lists are licensed and come from the user.
"""

from __future__ import annotations

from posepile_torch.evaluate.protocol import (
    Align,
    Choice,
    Frames,
    MetricSpec,
    Protocol,
    Published,
)
from posepile_torch.skeleton import Skeleton

from . import _citations as cite
from . import _specs as specs

FUNCTIONS = ("part_errors",)
PARTS = ("all", "body", "left_hand", "right_hand", "hands", "face")
"""``"body"`` is what is in neither hand nor face, ``"hands"`` the mean of both hands."""

ROOTS = {"all": "pelv", "left_hand": "lwri", "right_hand": "rwri", "face": "neck"}
_FRAMES = Frames(valid="100 frames", expected=100)
_MEAN = Choice("averaging", "mean over vertices, then over images", cite.OSX)
_INDEX = Choice("vertices of hands and face", "the published index files, from the user", cite.OSX)
_NOTES = (
    "the mesh of the truth is in the frame of the scan; rotating it into the camera changes "
    "nothing after alignment, and all of it without",
)


def _part_metrics(prefix: str, parts: tuple[str, ...], align: Align) -> tuple[MetricSpec, ...]:
    return tuple(
        MetricSpec(
            f"{prefix} {part.replace('_', ' ')}",
            "part_errors",
            {"part": part},
            order="sample_mean",
            align=align,
            root=ROOTS.get(part) if align == "none" else None,
            about={
                "none": "after moving the part's own root to the origin",
                "similarity": "rotation, translation and scale fitted to the part's own vertices",
                "rigid": "rotation and translation fitted to the part's own vertices, no scale",
            }[align]
            + ("; mean of left and right" if part == "hands" else ""),
        )
        for part in parts
    )


def _protocol(
    variant: str,
    title: str,
    found: tuple[MetricSpec, ...],
    choice: Choice,
    comparable: tuple[Published, ...],
    not_comparable: tuple[str, ...],
) -> Protocol:
    return Protocol(
        name=f"ehf/{variant}",
        version=1,
        title=f"EHF, {title}",
        benchmark="ehf",
        skeleton="smplx_55",
        root="pelv",
        target="vertices",
        metrics=found,
        frames=_FRAMES,
        evaluator="posepile_torch.benchmarks.ehf_scoring:evaluate_parts",
        choices=(choice, _INDEX, _MEAN),
        comparable=comparable,
        not_comparable=not_comparable,
        notes=_NOTES,
    )


PVE = _protocol(
    "pve",
    "vertex errors after translation",
    _part_metrics("MPVPE", ("all", "left_hand", "right_hand", "hands", "face"), "none"),
    Choice("alignment", "own root: pelvis, wrists, neck; translation only", cite.OSX),
    (),
    ("PA-MPVPE", "SMPLer-X prints 62.3 mm for the whole body, with its own training data"),
)
PA_V2V = _protocol(
    "pa-v2v",
    "vertex errors after Procrustes alignment with scale",
    _part_metrics("PA-MPVPE", PARTS, "similarity"),
    Choice("alignment", "similarity with scale, each part on its own vertices", cite.OSX),
    (
        Published(
            "ExPose",
            {
                "PA-MPVPE all": 56.65,
                "PA-MPVPE right hand": 14.6,
                "PA-MPVPE left hand": 14.5,
                "PA-MPVPE face": 6.9,
            },
            "mmhuman3d, model zoo",
        ),
    ),
    ("ehf/rigid: the same without scale, which PosePile's script calls PA",),
)
RIGID = _protocol(
    "rigid",
    "vertex errors after rigid alignment, without scale",
    _part_metrics("rigid MPVPE", PARTS, "rigid"),
    Choice("alignment", "rotation and translation only, each part by itself", cite.POSEPILE),
    (),
    ("PA-MPVPE: it has a scale",),
)

_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_LEFT, _RIGHT = (
    (f"{s}wrist", *(f"{s}{finger}{i}" for finger in _FINGERS for i in (1, 2, 3, 4))) for s in "lr"
)
JOINTS56 = Skeleton.parse(
    "ehf_56",
    joints=" ".join((specs.LSP14, *_LEFT, *_RIGHT)),
    edges="rhip-rkne-rank",
    sided=" ".join(("wrist", *_FINGERS)),
)
"""14 body joints of the SMPL-X regressor, then 21 joints per hand: wrist, and from thumb to pinky
three joints and the tip."""

PA_MPJPE = Protocol(
    name="ehf/pa-mpjpe",
    version=1,
    title="EHF, joint errors of body and hands after Procrustes alignment",
    benchmark="ehf",
    skeleton=JOINTS56,
    metrics=(
        specs.pa_mpjpe("PA-MPJPE body", joints=specs.LSP14, fit=specs.LSP14, order="sample_mean"),
        specs.pa_mpjpe("PA-MPJPE left hand", joints=_LEFT, fit=_LEFT, order="sample_mean"),
        specs.pa_mpjpe("PA-MPJPE right hand", joints=_RIGHT, fit=_RIGHT, order="sample_mean"),
    ),
    frames=_FRAMES,
    choices=(
        Choice("body", "14 joints of the SMPL-X regressor, from the user", cite.OSX),
        Choice(
            "hands",
            "wrist, three joints and a tip per finger; tips are the vertices 5361, 4933, 5058, "
            "5169, 5286 (left) and 8079, 7669, 7794, 7905, 8022 (right)",
            cite.OSX,
        ),
        Choice("alignment", "similarity, body and hands each by themselves", cite.OSX),
        _MEAN,
    ),
    comparable=(
        Published(
            "ExPose",
            {
                "PA-MPJPE body": 55.7,
                "PA-MPJPE right hand": 14.6,
                "PA-MPJPE left hand": 14.4,
            },
            "mmhuman3d, model zoo",
        ),
    ),
    not_comparable=("vertex errors",),
)
