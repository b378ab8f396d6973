"""MPI-INF-3DHP: the official scores on universal skeletons, the same on metric ones, WACV'23.

PCK and AUC look at 14 joints, MPJPE at 17. Both ground truths are of the same frames, and a number
under one is not a number under the other: a predictor trained on universal skeletons belongs to
the universal truth.
"""

from __future__ import annotations

from posepile_torch.evaluate.protocol import (
    Choice,
    Frames,
    MetricSpec,
    Protocol,
    Published,
    Target,
)

from . import _citations as cite
from . import _specs as specs

SCORED = "htop neck rsho relb rwri lsho lelb lwri rhip rkne rank lhip lkne lank"
"""The first 14 joints of the test order, which PCK and AUC look at."""

GROUPS = {
    "Head": ("htop",),
    "Neck": ("neck",),
    "Shoulder": ("rsho", "lsho"),
    "Elbow": ("relb", "lelb"),
    "Wrist": ("rwri", "lwri"),
    "Hip": ("rhip", "lhip"),
    "Knee": ("rkne", "lkne"),
    "Ankle": ("rank", "lank"),
}
"""Columns of the official table; its total weighs them by their number of joints."""

N_FRAMES = 2929
_INDOOR = ("TS1", "TS2", "TS3", "TS4")
_FRAMES = Choice(
    "frames", "every frame of TS1-TS6 with valid_frame = 1, images count from 1", cite.TDHP_TOOL
)
_METRIC = Choice("truth", "annot3, the metric skeleton", cite.POSEPILE)
_UNIVERSAL = Choice("truth", "univ_annot3, the universal skeleton", cite.TDHP_TOOL)
_CROP = Choice(
    "perspective of crops",
    "predictions made from a crop are turned by the angle of its centre before they are "
    "evaluated; that is part of the method",
    cite.POSEPILE,
)
_JOINTS = Choice(
    "joints", "PCK and AUC: 14, head top to left ankle; MPJPE: 17 with the root", cite.TDHP_TOOL
)
_THRESHOLDS = Choice(
    "thresholds",
    "PCK: d < 150 mm; AUC: mean of the strict PCK at 0, 5, ..., 150 mm, 31 thresholds",
    cite.TDHP_TOOL,
)
_POOLED = Choice(
    "averaging", "pooled over the frames of all six sequences and joints", cite.TDHP_TOOL
)


def _scores(*, aligned: bool) -> tuple[MetricSpec, ...]:
    align = "similarity" if aligned else "none"
    prefix = "PA-" if aligned else ""
    return (
        specs.pck(f"{prefix}PCK@150", 150, strict=True, joints=SCORED, align=align),
        specs.auc_31(f"{prefix}AUC-31", joints=SCORED, align=align),
        specs.pa_mpjpe() if aligned else specs.mpjpe(),
    )


def _table(
    variant: str,
    title: str,
    target: Target,
    *,
    aligned: bool = False,
    comparable: tuple[Published, ...] = (),
) -> Protocol:
    universal = target == "joints3d_univ"
    return Protocol(
        name=f"3dhp/{variant}",
        version=1,
        title=f"MPI-INF-3DHP, {title}",
        benchmark="3dhp",
        skeleton="3dhp_17",
        root="pelv",
        target=target,
        metrics=_scores(aligned=aligned),
        frames=Frames(valid="valid_frame = 1", expected=N_FRAMES),
        breakdowns=("activity", "scene", "sequence", "joint"),
        groups=GROUPS,
        choices=(
            _UNIVERSAL if universal else _METRIC,
            _FRAMES,
            _JOINTS,
            _THRESHOLDS,
            _POOLED,
            _CROP,
            Choice("root", "the pelvis (joint 14 of the test order)", cite.TDHP_TOOL),
        )
        + (
            (Choice("alignment", "similarity fitted to all 17 joints", cite.POSEPILE),)
            if aligned
            else ()
        ),
        comparable=comparable,
        not_comparable=(
            f"numbers against the {'metric' if universal else 'universal'} skeleton",
            "numbers with and without alignment",
            "PCK over 17 joints (WACV'23 tables)",
        ),
        raw_truth="posepile_torch.benchmarks.threedhp_raw:truth_from_raw",
    )


OFFICIAL_UNIV = _table(
    "official-univ", "official scores on the universal skeleton", "joints3d_univ"
)
METRIC = _table(
    "metric",
    "official scores on the metric skeleton",
    "joints3d",
    comparable=(
        Published("MeTRAbs eff2l_y4", {"PCK@150": 95.7}, cite.METRABS_MODELS),
        Published("MeTRAbs rn18_y4", {"PCK@150": 90.1}, cite.METRABS_MODELS),
        Published("MeTRAbs mob3s_y4", {"PCK@150": 82.4}, cite.METRABS_MODELS),
    ),
)
OFFICIAL_UNIV_PA = _table(
    "official-univ-pa",
    "scores after Procrustes alignment, universal skeleton",
    "joints3d_univ",
    aligned=True,
)
METRIC_PA = _table(
    "metric-pa",
    "scores after Procrustes alignment, metric skeleton",
    "joints3d",
    aligned=True,
)


def _wacv23(outdoor: bool) -> Protocol:
    return Protocol(
        name="3dhp/wacv23-outdoor" if outdoor else "3dhp/wacv23",
        version=1,
        title="MPI-INF-3DHP, WACV'23 tables, 17 joints" + (", TS5 and TS6" if outdoor else ""),
        benchmark="3dhp",
        skeleton="3dhp_17",
        root="pelv",
        metrics=specs.wacv23(),
        frames=Frames(
            valid="valid_frame = 1",
            exclude_sequences=_INDOOR if outdoor else (),
            expected=None if outdoor else N_FRAMES,
        ),
        breakdowns=("activity", "scene", "sequence", "joint"),
        choices=(
            _METRIC,
            _FRAMES,
            _CROP,
            Choice("joints", "all 17, the root with its zero error included", cite.POSEPILE),
            Choice("thresholds", "strict, d < t", cite.POSEPILE),
            Choice("sequences", "TS5, TS6" if outdoor else "TS1-TS6", cite.POSEPILE),
        ),
        not_comparable=("official scores: those look at 14 joints",),
        raw_truth="posepile_torch.benchmarks.threedhp_raw:truth_from_raw",
    )


WACV23 = _wacv23(outdoor=False)
WACV23_OUTDOOR = _wacv23(outdoor=True)
