"""EMDB-1 (camera space), EMDB-2 (world space) and RICH (the community protocol of WHAM).

Joints, vertices and global rotations of truth and prediction are given; no body model is needed.
"""

from __future__ import annotations

from posepile_torch.evaluate.protocol import Choice, Frames, MetricSpec, Protocol

from . import _citations as cite
from . import _specs as specs
from .threedpw import smpl24_metrics

FPS = 30.0
_MESH = Choice("vertices", "aligned by the same midpoint of the hips", cite.EMDB)
_MIDHIP = Choice("root", "midpoint of the hips (SMPL joints 1 and 2)", cite.EMDB)
_POOLED = Choice("averaging", "pooled over the frames of all sequences", cite.EMDB)
_TABLE = (
    "joints (24), vertices and, for MPJAE, rotations come from a table of ground truth: the body "
    "model is not part of this library"
)

EMDB1 = Protocol(
    name="emdb1",
    version=1,
    title="EMDB-1: SMPL joints, vertices and orientations in camera space, jitter",
    benchmark="emdb",
    skeleton="smpl_24",
    root=specs.MID_HIP,
    target="vertices",
    metrics=(
        *smpl24_metrics(root=specs.MID_HIP),
        MetricSpec(
            "Jitter",
            "emdb_jitter",
            unit="10 m/s³",
            root=None,
            order="group_mean",
            over="sequence",
            about="third difference times fps³; nine joints are set to zero, the sum is divided "
            "by all 24",
        ),
    ),
    frames=Frames(valid="sequences with the flag emdb1, good_frames_mask"),
    breakdowns=("sequence", "joint"),
    fps=FPS,
    choices=(
        Choice("frames", "17 sequences with the flag emdb1, good frames only", cite.EMDB),
        Choice("truth", "gendered SMPL, moved to camera space frame by frame", cite.EMDB),
        _MIDHIP,
        _MESH,
        Choice(
            "alignment",
            "similarity fitted to 24 joints, applied to joints and vertices",
            cite.EMDB,
        ),
        Choice("orientation", "global rotations of 9 joints, degrees", cite.EMDB),
        _POOLED,
        Choice(
            "jitter",
            "mean of the means per sequence; joints 0, 7, 8, 10, 11, 20-23 are zeroed and still "
            "counted; sees predicted translation, which the published evaluation sets to zero",
            cite.EMDB,
        ),
    ),
    not_comparable=(
        "jitter over all 24 joints (EMDB-2, WHAM)",
        "vertices aligned on vertices",
    ),
    notes=(
        "HybrIK: about 103.0 MPJPE, 65.6 PA, 122.2 MVE (recalled from the paper, not checked)",
        _TABLE,
    ),
)


def _world(name: str, function: str, about: str, unit: str = "mm") -> MetricSpec:
    return MetricSpec(name, function, unit=unit, root=None, order="sample_mean", about=about)


def _camera_space(fps: float) -> tuple[MetricSpec, ...]:
    return (
        specs.pa_mpjpe(),
        specs.mpjpe(),
        specs.mve("PVE"),
        MetricSpec(
            "Accel",
            "acceleration_error_mps2",
            {"trim": 1, "fps": fps},
            unit="m/s²",
            about="second difference of root-relative joints times fps², without the first and "
            "last value of a sequence",
        ),
    )


_ACCEL = Choice(
    "acceleration",
    "relative to the midpoint of the hips, times 900, without first and last value",
    cite.WHAM,
)
EMDB2 = Protocol(
    name="emdb2",
    version=1,
    title="EMDB-2: trajectories in world space (joints, vertices; protocol of WHAM)",
    benchmark="emdb",
    skeleton="smpl_24",
    root=specs.MID_HIP,
    target="vertices",
    space="world",
    metrics=(
        _world("WA-MPJPE", "wa_mpjpe", "chunks of 100 frames, aligned as a whole"),
        _world("W-MPJPE", "w_mpjpe", "chunks of 100 frames, aligned on their first two frames"),
        MetricSpec(
            "RTE",
            "rte",
            unit="%",
            root="pelv",
            order="sample_mean",
            about="root after a rigid fit of the whole path, in percent of its length",
        ),
        _world("Jitter", "jitter", "third difference times fps³, 24 joints", "10 m/s³"),
        MetricSpec(
            "Foot sliding",
            "foot_sliding",
            unit="mm",
            root=None,
            about="movement of vertices 3216, 3387, 6617, 6787 where the true one moves < 10 mm",
        ),
    ),
    frames=Frames(valid="sequences with the flag emdb2"),
    breakdowns=("sequence",),
    fps=FPS,
    choices=(
        Choice("frames", "25 sequences with the flag emdb2", cite.WHAM),
        Choice("chunks", "100 frames; the last one may be shorter", cite.WHAM),
        Choice("RTE", "rigid fit without scale over the whole sequence", cite.WHAM),
        Choice("jitter", "all 24 joints", cite.WHAM),
        Choice("averaging", "pooled over frames", cite.WHAM),
    ),
    not_comparable=(
        "chunks of other lengths",
        "jitter of emdb1, which zeroes nine joints",
    ),
    notes=(_TABLE,),
)
EMDB2_CAMERA = Protocol(
    name="emdb2/camera",
    version=1,
    title="EMDB-2: the errors in camera space beside the trajectories (protocol of WHAM)",
    benchmark="emdb",
    skeleton="smpl_24",
    root=specs.MID_HIP,
    target="vertices",
    metrics=_camera_space(FPS),
    frames=Frames(valid="sequences with the flag emdb2"),
    breakdowns=("sequence",),
    fps=FPS,
    choices=(
        Choice("frames", "25 sequences with the flag emdb2", cite.WHAM),
        Choice("root", "midpoint of the hips, joints and vertices", cite.WHAM),
        _ACCEL,
        Choice("averaging", "pooled over frames", cite.WHAM),
    ),
    not_comparable=("emdb1: other sequences", "accelerations in mm/frame²"),
    notes=(_TABLE,),
)
RICH = Protocol(
    name="rich/wham",
    version=1,
    title="RICH test: community protocol of WHAM, SMPL joints and vertices",
    benchmark="rich",
    skeleton="smpl_24",
    root=specs.MID_HIP,
    target="vertices",
    metrics=_camera_space(FPS),
    frames=Frames(valid="test sequences of the official list"),
    breakdowns=("sequence",),
    fps=FPS,
    choices=(
        Choice("status", "community protocol: PosePile's own script does not run", cite.WHAM),
        Choice(
            "truth",
            "gendered SMPL-X turned into SMPL vertices by the public 10475-to-6890 matrix; 24 "
            "joints by the SMPL regressor on both meshes",
            cite.WHAM,
        ),
        Choice("root", "midpoint of the hips, joints and vertices", cite.WHAM),
        _ACCEL,
        Choice("averaging", "pooled over frames", cite.WHAM),
    ),
    not_comparable=("numbers on SMPL-X meshes", "accelerations in mm/frame²"),
    notes=(_TABLE,),
)
