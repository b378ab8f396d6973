"""3DPW: the same prediction has two documented numbers, for 24 joints and for 14.

Every person and frame with a valid camera pose counts, pooled. Roots are named: a midpoint of the
hips is the midpoint of the joints called hips, whatever their position in a list.
"""

from __future__ import annotations

from typing import Any

from posepile_torch.evaluate.protocol import (
    Choice,
    Frames,
    MetricSpec,
    Protocol,
    Published,
    RootSpec,
)

from . import _citations as cite
from . import _specs as specs

SEQUENCE_FPS = 30.0
_VALID = Choice(
    "people and frames", "campose_valid, and a 2D pose that is not all zero", cite.POSEPILE
)
_POOLED = Choice("averaging", "pooled over people and frames of all sequences", cite.POSEPILE)
_TRUTH24 = Choice(
    "truth",
    "24 joints of the gendered SMPL body (jointPositions of the files) in camera space; betas "
    "are the first 10",
    cite.POSEPILE,
)
_TRUTH14 = Choice(
    "truth",
    "joints regressed from the gendered SMPL mesh; predictions from the neutral mesh, by the same "
    "17-row regressor",
    f"{cite.SPIN}; {cite.VIBE}; {cite.MMHUMAN3D}",
)
_ROWS14 = Choice(
    "joints",
    "14 of LSP by name. In this regressor rows 1-3 are the left leg and 4-6 the right one, the "
    "reverse of Human3.6M",
    f"{cite.SPIN}; {cite.POSEPILE}",
)
_FIVE = (50, 75, 100, 125, 150)
_ALL_SPLITS = ("train", "val", "test")


def _valid(splits: tuple[str, ...]) -> Frames:
    return Frames(splits=splits, valid="campose_valid, 2D pose not all zero")


def _joints24(variant: str, splits: tuple[str, ...]) -> Protocol:
    major = specs.SMPL24_MAJOR
    standard = specs.wacv23()
    return Protocol(
        name=f"3dpw/{variant}",
        version=1,
        title="3DPW, 24 SMPL joints, " + ("all splits" if len(splits) > 1 else "test split"),
        benchmark="3dpw",
        skeleton="smpl_24",
        root="pelv",
        metrics=(
            *standard[:2],
            specs.ampjpe(),
            specs.pck("PCK@50 (major)", 50, strict=False, joints=major),
            specs.pck("PCK@50 (minor)", 50, strict=False, joints=specs.SMPL24_MINOR),
            MetricSpec(
                "AUC-199 coarse (major)",
                "auc_199_coarse",
                unit="%",
                higher_is_better=True,
                joints=major,
                about="50 bins up to 199 mm; the challenge has 200 thresholds",
            ),
            *(
                specs.cps(f"NCPS@{t}", t, strict=False, joints=major, align="similarity")
                for t in _FIVE
            ),
            specs.cps_auc("NCPS-AUC", 300, joints=major, align="similarity"),
            specs.pck("APCK@150 (major)", 150, strict=False, joints=major, root=None),
            *(metric for metric in standard[2:] if metric.name != "AMPJPE"),
        ),
        frames=_valid(splits),
        breakdowns=("sequence", "joint"),
        groups={"major": tuple(major.split())},
        choices=(
            _TRUTH24,
            _VALID,
            _POOLED,
            Choice("splits", " and ".join(splits), cite.POSEPILE),
            Choice("root", "the pelvis", cite.POSEPILE),
            Choice(
                "thresholds",
                "PCK@50, APCK@150 (major) and NCPS inclusive; numbers of WACV'23 tables strict",
                cite.POSEPILE,
            ),
            Choice(
                "major joints", "hips, knees, ankles, shoulders, elbows, wrists", cite.POSEPILE
            ),
            Choice("NCPS", "aligned on all 24 joints, worst of the 12 major ones", cite.POSEPILE),
        ),
        comparable=(
            Published(
                "MeTRAbs eff2l_y4",
                {"MPJPE": 61.9, "PCK@50 (major)": 53.3},
                f"{cite.METRABS_MODELS}; presumably all splits",
            ),
            Published(
                "MeTRAbs rn18_y4",
                {"MPJPE": 70.8, "PCK@50 (major)": 46.3},
                f"{cite.METRABS_MODELS}; presumably all splits",
            ),
            Published(
                "MeTRAbs mob3s_y4",
                {"MPJPE": 86.4, "PCK@50 (major)": 36.5},
                f"{cite.METRABS_MODELS}; presumably all splits",
            ),
        )
        if len(splits) > 1
        else (),
        not_comparable=(
            "numbers on 14 joints, which leave out pelvis, spine, feet and hands",
            "numbers on other splits",
        ),
    )


JOINTS24_ALL = _joints24("24j-all", _ALL_SPLITS)
JOINTS24_TEST = _joints24("24j-test", ("test",))


def _regressed14(
    variant: str,
    title: str,
    root: RootSpec,
    metrics: tuple[MetricSpec, ...],
    choice: Choice,
    comparable: tuple[Published, ...],
) -> Protocol:
    return Protocol(
        name=f"3dpw/{variant}",
        version=1,
        title=f"3DPW test, 14 LSP joints regressed from meshes, {title}",
        benchmark="3dpw",
        skeleton="h36m_regressor_17",
        joints=specs.LSP14,
        root=root,
        metrics=metrics,
        frames=_valid(("test",)),
        breakdowns=("sequence", "joint"),
        fps=SEQUENCE_FPS,
        choices=(
            _TRUTH14,
            _ROWS14,
            choice,
            _VALID,
            _POOLED,
            Choice(
                "gender",
                "truth with its gender, prediction as the method has it (usually neutral)",
                cite.SPIN,
            ),
        ),
        comparable=comparable,
        not_comparable=(
            "numbers on 24 joints (3dpw/24j-all, 3dpw/smpl24)",
            "PVE and acceleration errors of VIBE: its meshes are not aligned and have a neutral "
            "truth, its differences cross the borders of sequences",
        ),
    )


LSP14_PELVIS = _regressed14(
    "14lsp-pelvis",
    "relative to the regressed pelvis",
    "pelv",
    (specs.mpjpe(), specs.pa_mpjpe()),
    Choice("root", "the regressed pelvis (row 0), on both sides", cite.SPIN),
    (
        Published("HMR", {"MPJPE": 112.3, "PA-MPJPE": 67.5}, "mmhuman3d, model zoo"),
        Published("SPIN", {"MPJPE": 94.1, "PA-MPJPE": 57.5}, "mmhuman3d, model zoo"),
    ),
)
LSP14_MIDHIP = _regressed14(
    "14lsp-midhip",
    "relative to the midpoint of the hips",
    specs.MID_HIP,
    (
        specs.mpjpe(),
        specs.pa_mpjpe(),
    ),
    Choice(
        "root",
        "midpoint of the regressed hips; PosePile's 14-joint mode without a regressor averages "
        "the knees instead, which is not reproduced",
        f"{cite.VIBE}; {cite.MMHUMAN3D}; {cite.WHAM}",
    ),
    (
        Published("HybrIK", {"MPJPE": 81.1, "PA-MPJPE": 49.0}, "mmhuman3d, model zoo"),
        Published("PARE", {"MPJPE": 81.8, "PA-MPJPE": 49.4}, "mmhuman3d, model zoo"),
        Published("VIBE, not trained on 3DPW", {"MPJPE": 93.6, "PA-MPJPE": 56.6}, "its doc/eval"),
    ),
)
LSP14_MIDHIP_MESH = _regressed14(
    "14lsp-midhip-mesh",
    "with vertices and acceleration",
    specs.MID_HIP,
    (
        specs.mpjpe(),
        specs.pa_mpjpe(),
        specs.mve("PVE"),
        MetricSpec(
            "Accel",
            "acceleration_error",
            unit="mm/frame²",
            root=None,
            about="norm of the difference of second differences, per sequence and person",
        ),
    ),
    Choice("root", "midpoint of the regressed hips, for joints and vertices", cite.WHAM),
    (),
)


def smpl24_metrics(*, root: RootSpec, minimal: bool = False) -> tuple[MetricSpec, ...]:
    """Return joint, vertex and orientation errors of 24 SMPL joints.

    Args:
        root: Root of joints and vertices.
        minimal: Leave out the vertices.
    """
    pa_vertices = MetricSpec(
        "MVE-PA",
        "pa_mpvpe",
        {"fit_to": "joints"},
        unit="mm",
        about="vertices after the similarity that was fitted to the joints",
    )
    angle: dict[str, Any] = {"joints": specs.SMPL24_ORIENTATION, "unit": "deg"}
    return (
        specs.mpjpe(root=root),
        specs.pa_mpjpe("MPJPE-PA"),
        *(() if minimal else (specs.mve(root=root), pa_vertices)),
        MetricSpec("MPJAE", "mpjae", about="angle of global rotations, 9 joints", **angle),
        MetricSpec(
            "MPJAE-PA",
            "mpjae",
            align="similarity",
            about="the same after turning by the rotation that was fitted to the joints",
            **angle,
        ),
    )


_ANGLES = Choice(
    "orientation",
    "global rotations of pelvis, hips, knees, shoulders and elbows; 9 joints, degrees",
    f"{cite.CHALLENGE_3DPW}; {cite.POSEPILE}",
)


def _parametric(
    variant: str, title: str, splits: tuple[str, ...], root: RootSpec = "pelv"
) -> Protocol:
    return Protocol(
        name=f"3dpw/{variant}",
        version=1,
        title=f"3DPW, SMPL joints, vertices and orientations, {title}",
        benchmark="3dpw",
        skeleton="smpl_24",
        root=root,
        metrics=smpl24_metrics(root=root),
        frames=_valid(splits),
        breakdowns=("sequence", "joint"),
        choices=(
            _TRUTH24,
            _VALID,
            _POOLED,
            _ANGLES,
            Choice("splits", " and ".join(splits), cite.POSEPILE),
            Choice(
                "root", " and ".join(root) if isinstance(root, tuple) else "pelvis", cite.POSEPILE
            ),
            Choice("MVE-PA", "the transform is fitted to the 24 joints", cite.POSEPILE),
        ),
        not_comparable=(
            "numbers on 14 joints",
            "PA errors of vertices whose transform was fitted to the vertices",
        ),
    )


SMPL24 = _parametric("smpl24", "test split", ("test",))
SMPL24_ALL = _parametric("smpl24-all", "all splits", _ALL_SPLITS)
SMPL24_MIDHIP = _parametric(
    "smpl24-midhip", "test split, relative to the midpoint of the hips", ("test",), specs.MID_HIP
)

CHALLENGE = Protocol(
    name="3dpw/challenge",
    version=1,
    title="3DPW challenge: 24 SMPL joints, all three splits, 87 tracks",
    benchmark="3dpw",
    skeleton="smpl_24",
    root="pelv",
    metrics=(
        specs.mpjpe(),
        specs.pa_mpjpe("MPJPE-PA"),
        specs.pck("PCK@50", 50, strict=False, joints=specs.SMPL24_MAJOR),
        MetricSpec(
            "AUC",
            "auc_199",
            unit="%",
            higher_is_better=True,
            joints=specs.SMPL24_MAJOR,
            about="area under inclusive PCK at 0, 1, ..., 199 mm, divided by 199",
        ),
        *smpl24_metrics(root="pelv", minimal=True)[2:],
    ),
    frames=_valid(_ALL_SPLITS),
    breakdowns=("sequence", "joint"),
    choices=(
        _VALID,
        _POOLED,
        _ANGLES,
        Choice("splits", "train, validation and test", cite.CHALLENGE_3DPW),
        Choice(
            "missing predictions", "an error: all 87 tracks are asked for", cite.CHALLENGE_3DPW
        ),
        Choice("PCK and AUC", "12 major joints, inclusive", cite.CHALLENGE_3DPW),
        Choice(
            "quadrature",
            "exact area of the piecewise-linear curve; the script integrates adaptively, which "
            "adds noise of 1e-6 to 1e-4",
            cite.OURS,
        ),
    ),
    not_comparable=("numbers on the test split alone", "numbers on 14 joints"),
)
