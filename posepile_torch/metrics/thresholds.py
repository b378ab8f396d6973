"""PCK, AUC and CPS in every variant the field uses, as functions of joint distances.

Pass what :func:`joint_distances` returns; a NaN distance is not evaluated, an infinite one (a
missing prediction) is wrong at every threshold. Thresholds are in the unit of the distances, mm
for 3D. Results are in percent unless a name says otherwise. Whether a distance equal to the
threshold is correct differs between benchmarks, so ``strict`` has no default: strict means d < t,
otherwise d <= t.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import ArrayT, check_shape, real, returned
from posepile_torch.metrics.aggregation import over_hypotheses, reduced
from posepile_torch.metrics.choices import Hypotheses, Reduce, ReduceSamples, check_choice


def pck(
    distances: ArrayT,
    threshold: float,
    *,
    strict: bool,
    reduce: Reduce = "pooled",
    groups: object = None,
) -> ArrayT:
    """Percentage of correct keypoints: joints closer to the truth than a threshold.

    Args:
        distances: ``[..., J]`` from :func:`joint_distances`, or normalised 2D distances.
        threshold: In the unit of the distances.
        strict: Whether d < t (True) or d <= t (False) is correct.
        reduce: Order of averaging, see :data:`Reduce`. With ``"none"`` each joint is 0, 100 or
            NaN.
        groups: Labels for the group orders.
    """
    d = _distances(distances, "pck")
    hits = (d < threshold if strict else d <= threshold).to(d.dtype)
    return _percent(hits, d, reduce, groups, distances, "pck")


def pck_curve(
    distances: ArrayT,
    thresholds: object,
    *,
    strict: bool,
    reduce: Literal["pooled", "joint"] = "pooled",
) -> ArrayT:
    """PCK at many thresholds, in percent.

    Args:
        distances: ``[..., J]``.
        thresholds: ``[T]``, increasing.
        strict: Whether d < t (True) or d <= t (False) is correct.
        reduce: ``"pooled"`` gives ``[T]``, ``"joint"`` gives ``[J, T]`` (NaN for joints that are
            never evaluated).
    """
    where = "pck_curve"
    d = _distances(distances, where)
    grid = _grid(thresholds, d, where)
    check_choice(reduce, Literal["pooled", "joint"], name="reduce", where=where)
    columns = d.reshape(-1, 1) if reduce == "pooled" else d.reshape(-1, d.shape[-1])
    counted = ~torch.isnan(columns)
    # Joints by the first threshold that they pass; their running sum is the curve.
    first = _first_passed(columns, grid, strict)
    width = len(grid) + 1
    column = torch.arange(columns.shape[1], device=d.device)
    counts = torch.bincount(
        (column * width + first)[counted], minlength=columns.shape[1] * width
    ).reshape(-1, width)
    total = counts.sum(-1, keepdim=True).to(d.dtype)
    curve = 100.0 * counts[:, :-1].cumsum(-1) / total
    if reduce == "joint":
        return returned(curve, distances)
    if not int(total):
        raise _nothing(d, where)
    return returned(curve[0], distances)


def auc(
    distances: ArrayT,
    thresholds: object,
    *,
    strict: bool,
    rule: Literal["mean", "trapezoid"],
    reduce: Reduce = "pooled",
    groups: object = None,
) -> ArrayT:
    """Area under the PCK curve on a grid of thresholds, in percent of the full area.

    Each joint contributes its own area in closed form, so that any order of averaging works.

    Args:
        distances: ``[..., J]``.
        thresholds: ``[T]``, increasing.
        strict: Whether d < t (True) or d <= t (False) is correct.
        rule: ``"mean"``: mean of the PCK over the grid; ``"trapezoid"``: area under the
            piecewise-linear curve divided by the length of the axis.
        reduce: Order of averaging, see :data:`Reduce`.
        groups: Labels for the group orders.
    """
    where = "auc"
    d = _distances(distances, where)
    grid = _grid(thresholds, d, where)
    check_choice(rule, Literal["mean", "trapezoid"], name="rule", where=where)
    area = _areas(grid, rule)
    score = area[_first_passed(d, grid, strict)] / area[0]
    return _percent(score, d, reduce, groups, distances, where)


def auc_31(distances: ArrayT, *, reduce: Reduce = "pooled", groups: object = None) -> ArrayT:
    """AUC of MPI-INF-3DHP and MuPoTS-3D: mean of strict PCK at 0, 5, ..., 150 mm (31 values).

    The threshold 0 counts, so that a perfect prediction scores 30/31. Equal to
    ``max(0, 1 - floor(d / 150 * 30 + 1) / 31)`` per joint.
    """
    return auc(
        distances, 5 * np.arange(31), strict=True, rule="mean", reduce=reduce, groups=groups
    )


def auc_real(
    distances: ArrayT, limit: float, *, reduce: Reduce = "pooled", groups: object = None
) -> ArrayT:
    """AUC over all real thresholds 0..limit: mean of ``max(0, 1 - d / limit)``.

    Used by WACV'23 tables (50, 100, 150 mm) and METRABS training metrics (150 mm).
    """
    d = _distances(distances, "auc_real")
    return _percent(_ramp(d, 0.0, limit, "auc_real"), d, reduce, groups, distances, "auc_real")


def auc_199_coarse(
    distances: ArrayT, *, reduce: Reduce = "pooled", groups: object = None
) -> ArrayT:
    """AUC of PosePile's 3DPW script: 50 bins up to 199 mm.

    Mean of ``max(0, 1 - (floor(d * 50 / 199) + 0.5) / 50)``. The challenge's own definition has
    200 thresholds: :func:`auc_199`.
    """
    d = _distances(distances, "auc_199_coarse")
    score = (1 - (torch.floor(d * 50 / 199) + 0.5) / 50).clamp_min(0)
    return _percent(score, d, reduce, groups, distances, "auc_199_coarse")


def auc_199(distances: ArrayT, *, reduce: Reduce = "pooled", groups: object = None) -> ArrayT:
    """AUC of the 3DPW challenge: trapezoid of inclusive PCK at 0, 1, ..., 199 mm.

    The challenge integrates the piecewise-linear curve by adaptive quadrature, which adds noise
    of up to 1e-4; this is the exact area, divided by 199.
    """
    return auc(
        distances, np.arange(200), strict=False, rule="trapezoid", reduce=reduce, groups=groups
    )


def worst_joint(distances: ArrayT) -> ArrayT:
    """Largest distance of each pose, ``[...]``; NaN for a pose without an evaluated joint."""
    return returned(_worst(_distances(distances, "worst_joint")), distances)


def cps(
    distances: ArrayT,
    threshold: float,
    *,
    strict: bool,
    reduce: ReduceSamples = "mean",
    groups: object = None,
) -> ArrayT:
    """Percentage of correct poses: those whose worst joint is within the threshold.

    Root-relative distances and ``strict=True`` give the CPS of WACV'23 tables. Similarity-aligned
    distances and ``strict=False`` give the NCPS of PosePile (12 major joints) and METRABS (all
    valid joints). A pose without an evaluated joint is left out; METRABS counts it as correct.
    """
    worst = _worst(_distances(distances, "cps"))
    hits = (worst < threshold if strict else worst <= threshold).to(worst.dtype)
    return _per_sample(hits, worst, reduce, groups, distances, "cps")


def cps_auc(
    distances: ArrayT,
    limit: float,
    *,
    reduce: ReduceSamples = "mean",
    groups: object = None,
) -> ArrayT:
    """Mean over poses of ``max(0, 1 - worst / limit)``.

    CPS-AUC of WACV'23 tables; with similarity-aligned distances and 300 mm PosePile's NCPS-AUC.
    """
    return cps_ramp(distances, full=0.0, zero=limit, reduce=reduce, groups=groups)


def cps_ramp(
    distances: ArrayT,
    *,
    full: float,
    zero: float,
    reduce: ReduceSamples = "mean",
    groups: object = None,
) -> ArrayT:
    """Mean over poses of a score that falls from 1 to 0 between two worst-joint distances.

    METRABS's NCPS ramp has ``full=50, zero=150`` on similarity-aligned distances.
    """
    worst = _worst(_distances(distances, "cps_ramp"))
    score = _ramp(worst, full, zero, "cps_ramp")
    return _per_sample(score, worst, reduce, groups, distances, "cps_ramp")


def cps_area(
    distances: ArrayT,
    *,
    rule: Literal["trapezoid_1_300", "sum_0_300"],
    hypotheses: Hypotheses | None = None,
) -> ArrayT:
    """Published CPS: area under the share of correct poses up to 300 mm, in mm.

    A pose is correct at t if every joint is strictly closer than t after Procrustes alignment.
    The two rules in use are not interchangeable:

    - ``"trapezoid_1_300"`` (Wehrbein et al.): t = 1..300, trapezoid, at most 299; 16 H36M joints
      without the spine, no reflection, least-squares scale.
    - ``"sum_0_300"`` (CanonPose-derived code): sum over t = 0..300, at most 300; all 17 joints,
      reflection allowed, scale by the ratio of norms.

    Joints, scale and reflection are chosen in :func:`joint_distances`.

    Args:
        distances: ``[..., J]``, or ``[..., H, J]`` with several hypotheses.
        rule: Grid and quadrature.
        hypotheses: Which hypothesis counts per pose and threshold; None if there is but one.
    """
    where = "cps_area"
    check_choice(rule, Literal["trapezoid_1_300", "sum_0_300"], name="rule", where=where)
    worst = _worst(_distances(distances, where))
    start = 1 if rule == "trapezoid_1_300" else 0
    grid = torch.arange(start, 301, dtype=worst.dtype, device=worst.device)
    table = _areas(grid, "trapezoid" if rule == "trapezoid_1_300" else "mean")
    area = table[_first_passed(worst, grid, strict=True)]
    area = area.masked_fill(torch.isnan(worst), torch.nan)
    if hypotheses is not None:
        # A pose that is correct at t is so at every larger threshold. The choice per threshold is
        # therefore the choice among the areas.
        area = over_hypotheses(area, hypotheses, dim=-1, larger_is_better=True)
    return returned(reduced(area.reshape(-1), "pooled", where=where), distances)


def _distances(distances: object, where: str) -> Tensor:
    d = real(distances, name="distances", where=where)
    check_shape(d, where=where, dims=None, axes=1)
    return d


def _grid(thresholds: object, like: Tensor, where: str) -> Tensor:
    grid = real(thresholds, name="thresholds", where=where, device=like.device)
    if grid.ndim != 1 or len(grid) < 2 or not bool((grid.diff() > 0).all()):
        raise MetricError(
            f"thresholds of shape {list(grid.shape)} are not an increasing grid",
            where=where,
            rule="thresholds are a vector of at least two increasing numbers",
        )
    return grid


def _areas(grid: Tensor, rule: str) -> Tensor:
    """Return the area that a joint contributes if it is correct from each threshold on.

    Args:
        grid: ``[T]`` thresholds.
        rule: ``"mean"``: thresholds are counted; ``"trapezoid"``: area under a polygon.

    Returns:
        ``[T + 1]``; the last entry, for a joint that never is correct, is zero.
    """
    weights = torch.ones_like(grid)
    if rule == "trapezoid":
        steps = grid.diff()
        weights = torch.zeros_like(grid)
        weights[:-1] += steps / 2
        weights[1:] += steps / 2
    return torch.cat((weights.flip(0).cumsum(0).flip(0), grid.new_zeros(1)))


def _first_passed(distances: Tensor, grid: Tensor, strict: bool) -> Tensor:
    """Return the position of the first threshold at which each joint is correct."""
    return torch.searchsorted(grid, distances.detach().contiguous(), right=strict)


def _worst(distances: Tensor) -> Tensor:
    if not distances.shape[-1]:
        return distances.new_full(distances.shape[:-1], torch.nan)
    unknown = torch.isnan(distances)
    worst = distances.masked_fill(unknown, -torch.inf).amax(-1)
    return worst.masked_fill(unknown.all(-1), torch.nan)


def _percent(
    score: Tensor, distances: Tensor, reduce: Reduce, groups: object, like: ArrayT, where: str
) -> ArrayT:
    # Comparisons with NaN are false and would count as wrong.
    score = (100.0 * score).masked_fill(torch.isnan(distances), torch.nan)
    return returned(reduced(score, reduce, groups=groups, where=where), like)


def _per_sample(
    score: Tensor,
    worst: Tensor,
    reduce: ReduceSamples,
    groups: object,
    like: ArrayT,
    where: str,
) -> ArrayT:
    check_choice(reduce, ReduceSamples, name="reduce", where=where)
    score = (100.0 * score).masked_fill(torch.isnan(worst), torch.nan)
    if reduce == "none":
        return returned(score, like)
    order: Reduce = "pooled" if reduce == "mean" else reduce
    return returned(reduced(score[..., None], order, groups=groups, where=where), like)


def _ramp(values: Tensor, full: float, zero: float, where: str) -> Tensor:
    """Return a score that is 1 up to ``full`` and falls to 0 at ``zero``."""
    if not full < zero:
        raise MetricError(
            f"a score that falls from 1 at {full} to 0 at {zero}",
            where=where,
            rule="the score reaches zero at a larger distance than that of the full score",
        )
    return ((zero - values) / (zero - full)).clamp(0, 1)


def _nothing(values: Tensor, where: str) -> MetricError:
    return MetricError(
        f"nothing to evaluate: an array of shape {list(values.shape)} without a distance",
        where=where,
        rule="a percentage needs at least one evaluated joint",
        fix="check the mask",
    )
