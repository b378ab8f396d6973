"""Numbers that several benchmarks share, so that each is written down once.

A function returns a :class:`~posepile_torch.evaluate.protocol.MetricSpec`; what a benchmark does
differently it passes as keywords.
"""

from __future__ import annotations

from typing import Any

from posepile_torch.evaluate.protocol import MetricSpec

LSP14 = "rank rkne rhip lhip lkne lank rwri relb rsho lsho lelb lwri neck htop"
"""The 14 joints of LSP, by name."""

SMPL24_MAJOR = "lhip rhip lkne rkne lank rank lsho rsho lelb relb lwri rwri"
"""The 12 limb joints of SMPL (1, 2, 4, 5, 7, 8, 16-21) that the 3DPW challenge scores by PCK."""

SMPL24_MINOR = "pelv bell spin thor ltoe rtoe neck lcla rcla head lhan rhan"
"""The 12 other joints of SMPL."""

SMPL24_ORIENTATION = "pelv lhip rhip lkne rkne lsho rsho lelb relb"
"""The 9 joints of SMPL (0, 1, 2, 4, 5, 16-19) whose orientation is scored."""

MID_HIP = ("lhip", "rhip")

NORMED = "posepile_torch.benchmarks._norms:evaluate_normed"
"""Evaluator of protocols whose norms are computed from the truth."""


def mpjpe(name: str = "MPJPE", **changes: Any) -> MetricSpec:
    """Mean distance of the joints after moving both roots to the origin, mm."""
    return MetricSpec(
        name,
        "mpjpe",
        unit="mm",
        about="mean distance of the joints after moving both roots to the origin",
        **changes,
    )


def pa_mpjpe(name: str = "PA-MPJPE", **changes: Any) -> MetricSpec:
    """Mean distance after the best rotation, translation and scale, mm."""
    return MetricSpec(
        name,
        "pa_mpjpe",
        unit="mm",
        about="mean distance of the joints after the best rotation, translation and scale, "
        "without reflection",
        **changes,
    )


def ampjpe(name: str = "AMPJPE", **changes: Any) -> MetricSpec:
    """Mean distance without any alignment, mm."""
    return MetricSpec(
        name,
        "ampjpe",
        unit="mm",
        root=None,
        about="mean distance of the joints as they are, without any alignment",
        **changes,
    )


def pck(name: str, threshold_mm: float, *, strict: bool, **changes: Any) -> MetricSpec:
    """Share of the joints within a distance, percent."""
    sign = "<" if strict else "<="
    return MetricSpec(
        name,
        "pck",
        {"threshold": threshold_mm, "strict": strict},
        unit="%",
        higher_is_better=True,
        about=f"share of the joints with d {sign} {threshold_mm:g} mm",
        **changes,
    )


def auc_31(name: str = "AUC-31", **changes: Any) -> MetricSpec:
    """Mean of strict PCK at 0, 5, ..., 150 mm, percent."""
    return MetricSpec(
        name,
        "auc_31",
        unit="%",
        higher_is_better=True,
        about="mean of the strict PCK at 0, 5, ..., 150 mm (31 thresholds); at best 96.774",
        **changes,
    )


def auc_real(name: str, limit_mm: float, **changes: Any) -> MetricSpec:
    """Mean of max(0, 1 - d / limit), percent."""
    return MetricSpec(
        name,
        "auc_real",
        {"limit": limit_mm},
        unit="%",
        higher_is_better=True,
        about=f"mean of max(0, 1 - d / {limit_mm:g} mm)",
        **changes,
    )


def cps(name: str, threshold_mm: float, *, strict: bool, **changes: Any) -> MetricSpec:
    """Share of the poses whose worst joint is within a distance, percent."""
    sign = "<" if strict else "<="
    return MetricSpec(
        name,
        "cps",
        {"threshold": threshold_mm, "strict": strict},
        unit="%",
        higher_is_better=True,
        about=f"share of the poses with max d {sign} {threshold_mm:g} mm",
        **changes,
    )


def cps_auc(name: str, limit_mm: float, **changes: Any) -> MetricSpec:
    """Mean over poses of max(0, 1 - max d / limit), percent."""
    return MetricSpec(
        name,
        "cps_auc",
        {"limit": limit_mm},
        unit="%",
        higher_is_better=True,
        about=f"mean over poses of max(0, 1 - max d / {limit_mm:g} mm)",
        **changes,
    )


def mve(name: str = "MVE", **changes: Any) -> MetricSpec:
    """Mean distance of the vertices after moving both roots to the origin, mm."""
    return MetricSpec(
        name,
        "mpvpe",
        unit="mm",
        about="mean distance of the vertices after moving both roots to the origin",
        **changes,
    )


def wacv23(*, absolute: bool = True) -> tuple[MetricSpec, ...]:
    """Return the list of metrics of the WACV'23 skeleton paper's tables, all joints each.

    Args:
        absolute: Whether the five absolute numbers are among them.
    """
    relative = (
        mpjpe(),
        pa_mpjpe(),
        *(pck(f"PCK@{t}", t, strict=True) for t in (50, 100, 150)),
        *(auc_real(f"AUC-real({t})", t) for t in (50, 100, 150)),
        *(cps(f"CPS@{t}", t, strict=True) for t in (100, 150, 200)),
        *(cps_auc(f"CPS-AUC({t})", t) for t in (100, 150, 200)),
    )
    if not absolute:
        return relative
    return (
        *relative,
        ampjpe(),
        *(pck(f"APCK@{t}", t, strict=True, root=None) for t in (150, 300)),
        *(auc_real(f"AAUC-real({t})", t, root=None) for t in (150, 300)),
    )
