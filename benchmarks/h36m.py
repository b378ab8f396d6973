"""Human3.6M: three families of protocols that papers call "1" and "2", each under its own name.

Joints are 17 of the 32 raw ones; distances in mm. Root-relative and aligned errors are the same
with and without the S9 correction; absolute ones are not, and name it.
"""

from __future__ import annotations

from typing import Any

from posepile_torch.evaluate.protocol import (
    Choice,
    Frames,
    MetricSpec,
    Protocol,
    Published,
    Switch,
)

from . import _citations as cite
from . import _specs as specs

ACTIVITIES = (
    "Directions",
    "Discussion",
    "Eating",
    "Greeting",
    "Phoning",
    "Posing",
    "Purchases",
    "Sitting",
    "SittingDown",
    "Smoking",
    "Photo",
    "Waiting",
    "Walking",
    "WalkDog",
    "WalkTogether",
)
"""Activities in the order of published tables."""

MMPOSE_SKIPPED = ("S9/Greeting", "S9/SittingDown", "S9/Waiting 1")
"""Sequences of S9 that mmpose leaves out, as archives name them: subject and recording."""

_ALL17 = Choice(
    "joints",
    "17 of the 32 raw joints (0 1 2 3 6 7 8 12 13 14 15 17 18 19 25 26 27); the zero error of the "
    "pelvis counts",
    f"{cite.VIDEOPOSE3D}; {cite.POSEPILE}",
)
_ACTIVITY = Choice(
    "activities",
    "name before the first blank; 15 activities; recordings with an underscore (_ALL) are none; "
    "TakingPhoto and WalkingDog of S1 are Photo and WalkDog",
    f"{cite.POSEPILE}; {cite.VIDEOPOSE3D}",
)
_S9 = "S9 Greeting, SittingDown 1 and Waiting 1 are displaced by 200 mm along world X"
_CORRUPT = Choice(
    "S11 Directions, camera 54138969",
    "is evaluated, although the video is corrupt in some releases",
    cite.POSEPILE,
)
_KEEP = Switch(
    "s11_directions",
    "keep",
    "the reference evaluates S11 Directions from camera 54138969, which has damaged video",
    required=False,
)
_EVERY = Switch("test_step", 1, "an archive of fewer frames gives another number")
_EVERY5 = Switch("test_step", 5, "other steps lack some of the frames", also=(1,))
_EVERY64 = Switch(
    "test_step", 64, "other steps lack some of the frames", also=(1, 2, 4, 8, 16, 32)
)
_CROSS = (
    "protocols of Human3.6M with other frames, joints or averaging; the difference between the "
    "mean over activities and the pooled mean alone is some tenths of a millimetre",
)
_TEST = ("S9", "S11")


def _lifting(
    variant: str,
    title: str,
    metric: MetricSpec,
    comparable: tuple[Published, ...],
    *,
    exclude: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Protocol:
    frames = "every frame at 50 Hz, all 4 cameras, S9 and S11"
    source = f"{cite.VIDEOPOSE3D}; {cite.MMPOSE}"
    if exclude:
        frames += f"; without {', '.join(exclude)}"
        source = f"{cite.MMPOSE}, skip list of its Human3.6M data"
    return Protocol(
        name=f"h36m/{variant}",
        version=1,
        title=title,
        benchmark="h36m",
        skeleton="h36m_17",
        root="pelv",
        metrics=(metric,),
        frames=Frames(subjects=_TEST, exclude_sequences=exclude, valid="every frame"),
        breakdowns=("activity", "subject", "camera", "joint"),
        fps=50.0,
        switches=(_EVERY, _KEEP),
        choices=(
            _ALL17,
            _ACTIVITY,
            _CORRUPT,
            Choice("frames", frames, source),
            Choice(
                "root",
                "both pelvises at the origin. The reference does not re-centre the prediction, "
                "which is trained to have its pelvis there",
                cite.VIDEOPOSE3D,
            ),
            Choice(
                "averaging",
                "mean over the frames of each of 15 activities, then over activities",
                cite.VIDEOPOSE3D,
            ),
        ),
        comparable=comparable,
        not_comparable=(*_CROSS, "numbers of image-based methods: they use every 64th frame"),
        notes=notes,
    )


_BY_ACTIVITY: dict[str, Any] = {"order": "group_mean", "over": "activity", "also": ("pooled",)}

LIFTING_P1 = _lifting(
    "lifting-p1",
    "Human3.6M, 2D-to-3D lifting, root-relative (their protocol 1)",
    specs.mpjpe(**_BY_ACTIVITY),
    (
        Published("VideoPose3D, 243 frames, CPN detections", {"MPJPE": 46.8}, "its README"),
        Published("VideoPose3D, 243 frames, true 2D", {"MPJPE": 37.2}, "its README"),
        Published("PoseFormerV2, 243 frames (27/27)", {"MPJPE": 45.2}, "its README"),
        Published("SimpleBaseline3D, true 2D", {"MPJPE": 43.4}, "mmpose, model zoo"),
    ),
    notes=("MotionBERT differs by 5 mm between two preparations of the 2D input (mmpose)",),
)
LIFTING_P2 = _lifting(
    "lifting-p2",
    "Human3.6M, 2D-to-3D lifting, Procrustes-aligned (their protocol 2)",
    specs.pa_mpjpe(**_BY_ACTIVITY),
    (
        Published("VideoPose3D, 243 frames, CPN detections", {"PA-MPJPE": 36.5}, "its README"),
        Published("VideoPose3D, 243 frames, true 2D", {"PA-MPJPE": 27.2}, "its README"),
        Published("SimpleBaseline3D, true 2D", {"PA-MPJPE": 34.3}, "mmpose, model zoo"),
    ),
)
LIFTING_P3 = _lifting(
    "lifting-p3",
    "Human3.6M, 2D-to-3D lifting, scale-aligned (their protocol 3)",
    MetricSpec(
        "N-MPJPE",
        "n_mpjpe",
        unit="mm",
        about="mean distance after root translation and the least-squares scale <p, g> / <p, p>",
        **_BY_ACTIVITY,
    ),
    (),
)
LIFTING_VELOCITY = _lifting(
    "lifting-velocity",
    "Human3.6M, 2D-to-3D lifting, velocity error at 50 Hz",
    MetricSpec(
        "MPJVE",
        "mpjve",
        unit="mm/frame",
        about="norm of the difference of first differences; per recording and camera, "
        "differences pooled inside an activity",
        **_BY_ACTIVITY,
    ),
    (),
    notes=(
        "VideoPose3D weighs a sequence by its T frames, not its T - 1 differences: the switch "
        "frame_weighted of posepile_torch.metrics.mpjve",
    ),
)
LIFTING_P1_MMPOSE = _lifting(
    "lifting-p1-mmpose",
    "Human3.6M lifting, root-relative, without the displaced sequences of S9",
    specs.mpjpe(**_BY_ACTIVITY),
    (),
    exclude=MMPOSE_SKIPPED,
)

_STEP64 = Choice(
    "frames",
    "every 64th frame of each video, counted from frame 0; all 4 cameras",
    f"{cite.POSEPILE}; {cite.MOON}",
)
_POOLED = Choice("averaging", "pooled over all poses and joints", f"{cite.POSEPILE}; {cite.MOON}")

IMAGE_P2 = Protocol(
    name="h36m/image-p2-step64",
    version=1,
    title="Human3.6M, image-based, S9 and S11, every 64th frame, root-relative",
    benchmark="h36m",
    skeleton="h36m_17",
    root="pelv",
    metrics=(specs.mpjpe(also=("group_mean",)), specs.pa_mpjpe(also=("group_mean",))),
    frames=Frames(subjects=_TEST, step=64, valid="every 64th frame"),
    switches=(_EVERY64, _KEEP),
    breakdowns=("activity", "subject", "camera", "joint"),
    choices=(
        _ALL17,
        _ACTIVITY,
        _CORRUPT,
        _STEP64,
        _POOLED,
        Choice("root", "the pelvis of prediction and truth", cite.POSEPILE),
    ),
    comparable=(
        Published("MeTRAbs, mean of seeds", {"MPJPE": 49.3}, "Sarandi et al. 2020"),
        Published("MeTRAbs eff2l_y4", {"MPJPE": 41.1}, cite.METRABS_MODELS),
        Published("MeTRAbs rn18_y4", {"MPJPE": 52.5}, cite.METRABS_MODELS),
        Published("MeTRAbs mob3s_y4", {"MPJPE": 68.3}, cite.METRABS_MODELS),
    ),
    not_comparable=(
        *_CROSS,
        "pytorch-pose-hg-3d (64.55 mm): its output is scaled to a constant sum of limb lengths",
    ),
)
IMAGE_P1 = Protocol(
    name="h36m/image-p1-step64",
    version=1,
    title="Human3.6M, image-based, S11 only, every 64th frame, Procrustes-aligned",
    benchmark="h36m",
    skeleton="h36m_17",
    root="pelv",
    metrics=(specs.pa_mpjpe(also=("group_mean",)),),
    frames=Frames(subjects=("S11",), step=64, valid="every 64th frame"),
    switches=(_EVERY64, _KEEP),
    breakdowns=("activity", "camera", "joint"),
    choices=(
        Choice("joints", "17; the thorax that is trained with them is left out", cite.MOON),
        Choice("subjects", "S11; S9 is training data here", cite.MOON),
        _ACTIVITY,
        _STEP64,
        _POOLED,
    ),
    not_comparable=(*_CROSS, "methods that were not trained on S9 are at a disadvantage"),
)


def _mesh(number: int, cameras: tuple[str, ...]) -> Protocol:
    metrics = (specs.mpjpe(), specs.pa_mpjpe())
    return Protocol(
        name=f"h36m/mesh-p{number}",
        version=1,
        title=f"Human3.6M, body-mesh methods, 14 LSP joints, "
        f"{'camera 60457274' if cameras else 'all cameras'}",
        benchmark="h36m",
        skeleton="h36m_17",
        joints=specs.LSP14,
        root="pelv",
        metrics=metrics[::-1] if cameras else metrics,
        frames=Frames(subjects=_TEST, step=5, cameras=cameras, valid="every 5th frame"),
        switches=(_EVERY5, _KEEP),
        breakdowns=("activity", "subject", "joint"),
        choices=(
            Choice("joints", "the 14 joints of LSP; the pelvis is not evaluated", cite.SPIN),
            Choice("root", "the pelvis; regressed from the mesh for predictions", cite.SPIN),
            Choice("frames", "every 5th frame", cite.SPIN),
            Choice("cameras", ", ".join(cameras) or "all 4", cite.SPIN),
            Choice("averaging", "pooled", cite.SPIN),
        ),
        not_comparable=(*_CROSS, "numbers on 17 joints"),
    )


MESH_P1 = _mesh(1, ())
MESH_P2 = _mesh(2, ("60457274",))


def _wacv23(corrected: bool) -> Protocol:
    return Protocol(
        name="h36m/wacv23-s9-corrected" if corrected else "h36m/wacv23",
        version=1,
        title="Human3.6M, the 19 numbers of WACV'23 tables"
        + (", S9 corrected" if corrected else ""),
        benchmark="h36m",
        skeleton="h36m_17",
        root="pelv",
        space="world",
        metrics=specs.wacv23(),
        frames=Frames(subjects=_TEST, step=64, valid="every 64th frame"),
        breakdowns=("activity", "joint"),
        switches=(
            Switch("correct_s9", corrected, f"{_S9}; absolute errors see it"),
            _EVERY64,
            _KEEP,
        ),
        choices=(
            _ALL17,
            _STEP64,
            _POOLED,
            Choice("thresholds", "strict, d < t; all 17 joints", cite.POSEPILE),
            Choice(
                "S9 correction",
                "applied to truth and images alike"
                if corrected
                else "not applied to the truth, as in the published evaluation",
                cite.OURS if corrected else cite.POSEPILE,
            ),
        ),
        not_comparable=(
            *_CROSS,
            "absolute numbers with the other value of correct_s9",
        ),
    )


WACV23 = _wacv23(corrected=False)
WACV23_CORRECTED = _wacv23(corrected=True)

_CPS_FRAMES = Frames(subjects=_TEST, valid="every frame")
CPS_WEHRBEIN = Protocol(
    name="h36m/cps-wehrbein",
    version=1,
    title="Human3.6M, correct-pose score of Wehrbein et al. (area in mm, at most 299)",
    benchmark="h36m",
    skeleton="h36m_17",
    joints="pelv rhip rkne rank lhip lkne lank neck head htop lsho lelb lwri rsho relb rwri",
    root="pelv",
    metrics=(
        MetricSpec(
            "CPS",
            "cps_area",
            {"rule": "trapezoid_1_300"},
            unit="mm",
            higher_is_better=True,
            align="similarity",
            about="area under the share of poses with max d < t, t = 1..300 mm, trapezoid",
        ),
    ),
    frames=_CPS_FRAMES,
    switches=(_EVERY, _KEEP),
    choices=(
        Choice("joints", "16: all 17 but the spine", cite.WEHRBEIN),
        Choice("alignment", "similarity with least-squares scale, no reflection", cite.WEHRBEIN),
        Choice("thresholds", "1, 2, ..., 300 mm, strict, trapezoid", cite.WEHRBEIN),
    ),
    not_comparable=("h36m/cps-canonpose: joints, scale, reflection and quadrature differ",),
)
CPS_CANONPOSE = Protocol(
    name="h36m/cps-canonpose",
    version=1,
    title="Human3.6M, correct-pose score of CanonPose-type code (sum, at most 300)",
    benchmark="h36m",
    skeleton="h36m_17",
    root="pelv",
    metrics=(
        MetricSpec(
            "CPS",
            "cps_area",
            {"rule": "sum_0_300", "scale": "norm_ratio", "allow_reflection": True},
            unit="mm",
            higher_is_better=True,
            align="similarity",
            about="sum over t = 0..300 mm of the share of poses with max d < t",
        ),
    ),
    frames=_CPS_FRAMES,
    switches=(_EVERY, _KEEP),
    choices=(
        Choice("joints", "all 17", cite.CANONPOSE),
        Choice(
            "alignment", "reflections are allowed, the scale is a ratio of norms", cite.CANONPOSE
        ),
        Choice("thresholds", "0, 1, ..., 300 mm, strict, sum", cite.CANONPOSE),
    ),
    not_comparable=("h36m/cps-wehrbein: joints, scale, reflection and quadrature differ",),
)

METRABS_TRAINING = Protocol(
    name="h36m/metrabs-training",
    version=1,
    title="Human3.6M, the scores that MeTRAbs watches while training",
    benchmark="h36m",
    skeleton="h36m_17",
    root="pelv",
    metrics=(
        specs.mpjpe("mean_error"),
        specs.ampjpe("mean_error_abs"),
        specs.pa_mpjpe("mean_error_procrustes"),
        specs.auc_real("auc", 150),
        specs.pck("pck", 150, strict=False),
        specs.auc_real("auc_wrists", 150, joints="lwri rwri"),
        specs.pck("pck_wrists", 150, strict=False, joints="lwri rwri"),
        specs.cps("ncps", 150, strict=False, align="similarity"),
        MetricSpec(
            "ncps_auc",
            "cps_ramp",
            {"full": 50.0, "zero": 150.0},
            unit="%",
            higher_is_better=True,
            align="similarity",
            about="mean over poses of a ramp from 1 at 50 mm to 0 at 150 mm of max PA distance",
        ),
    ),
    frames=Frames(subjects=_TEST, step=64, valid="every 64th frame"),
    switches=(_EVERY64, _KEEP),
    breakdowns=("activity", "joint"),
    choices=(
        Choice("root", "the last joint of its skeletons, which is the pelvis", cite.METRABS),
        Choice("averaging", "pooled over valid joints", cite.METRABS),
        Choice("thresholds", "inclusive, d <= 150 mm", cite.METRABS),
        Choice("unit", "percent here, fractions there", cite.METRABS),
        Choice(
            "poses without a valid joint",
            "left out; the reference counts them as correct in ncps",
            cite.OURS,
        ),
    ),
    not_comparable=("published tables: these numbers guide training",),
    notes=("the 2D error in pixels is posepile_torch.metrics.epe of the projected joints",),
)
