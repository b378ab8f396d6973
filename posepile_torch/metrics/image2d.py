"""Metrics of 2D keypoints: PCK under any norm, PCKh, AUC, EPE, NME.

Distances come from :func:`keypoint_distances`, in pixels or divided by a norm per person, with the
same marks as 3D distances (NaN: not evaluated, infinity: missing). Scores are in percent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import (
    ArrayT,
    check_same_kind,
    check_shape,
    joint_indices,
    length,
    real,
    returned,
)
from posepile_torch.metrics._validity import compare
from posepile_torch.metrics.aggregation import joint_group_means, reduced
from posepile_torch.metrics.choices import OnMissing, Reduce
from posepile_torch.metrics.thresholds import auc, pck

MPII_GROUPS: Mapping[str, tuple[int, ...]] = {
    "head_top": (9,),
    "head": (8, 9),
    "shoulder": (12, 13),
    "elbow": (11, 14),
    "wrist": (10, 15),
    "hip": (2, 3),
    "knee": (1, 4),
    "ankle": (0, 5),
}
"""Columns of MPII tables. The official "Head" is the mean of upper neck and head top (``head``);
HRNet and mmpose print head top alone (``head_top``) under the same title."""

MPII_SCORED_JOINTS: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15)
"""The 14 MPII joints in the mean: all but pelvis (6) and thorax (7)."""


def keypoint_distances(
    pred: ArrayT,
    gt: ArrayT,
    *,
    norm: object = None,
    mask: object = None,
    joints: Sequence[int] | None = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Return distances of 2D keypoints, ``[..., J]``, in pixels or divided by a norm.

    Args:
        pred: ``[..., J, 2]`` pixels, of the same image and pixel convention as ``gt`` (MPII's
            ground truth counts pixels from one).
        gt: ``[..., J, 2]``; non-finite keypoints are not valid.
        norm: ``[...]`` length per person; None for pixels. A person whose norm is zero or not
            finite is not evaluated (NaN). Nothing is modified.
        mask: Bool ``[..., J]`` or broadcastable: visible keypoints; None for all.
        joints: Keypoints to return, in this order; None for all.
        on_missing: What a non-finite prediction means, see :data:`OnMissing`.
    """
    where = "keypoint_distances"
    compared = compare(pred, gt, mask=mask, on_missing=on_missing, where=where, dims=2)
    distances = length(compared.pred - compared.gt)
    excluded = None
    if norm is not None:
        size = real(norm, name="norm", where=where, device=distances.device)
        if size.shape != distances.shape[:-1] or bool((size < 0).any()):
            raise MetricError(
                f"norms of shape {list(size.shape)} for keypoints of {list(distances.shape)}",
                where=where,
                rule="there is one norm per person, and none is negative",
            )
        excluded = ~(torch.isfinite(size) & (size > 0))
        distances = distances / size.masked_fill(excluded, 1.0)[..., None]
    marked = compared.marked(distances, excluded)
    if joints is not None:
        marked = marked[..., joint_indices(joints, marked.shape[-1], where=where)]
    return returned(marked, pred)


def box_norm(boxes: ArrayT) -> ArrayT:
    """Longer side of boxes ``[..., 4]`` (x, y, width, height), the "bbox" norm of PCK."""
    box = _boxes(boxes, "box_norm")
    return returned(torch.maximum(box[..., 2], box[..., 3]), boxes)


def head_norm(head_boxes: ArrayT) -> ArrayT:
    """0.6 times the diagonal of head boxes ``[..., 4]`` (x, y, width, height): PCKh's norm."""
    box = _boxes(head_boxes, "head_norm")
    return returned(0.6 * length(box[..., 2:]), head_boxes)


def torso_norm(
    gt: ArrayT,
    *,
    ends: tuple[int, int],
    fallback: ArrayT | None = None,
    minimum_px: float = 0.0,
) -> ArrayT:
    """Distance between two keypoints, such as left shoulder and right hip, ``[...]``.

    Args:
        gt: ``[..., J, 2]`` pixels.
        ends: The two keypoints.
        fallback: ``[..., J, 2]`` keypoints measured instead where the true distance is below
            ``minimum_px``; mmpose does so on JHMDB with the prediction and 1 px.
        minimum_px: See ``fallback``. Without a fallback, shorter norms become 0, so that the
            person is not evaluated.
    """
    where = "torso_norm"
    size = _span(gt, ends, where)
    other = torch.zeros_like(size)
    if fallback is not None:
        check_same_kind(gt, fallback, where=where)
        other = _span(fallback, ends, where).to(size.device)
    return returned(torch.where(size < minimum_px, other, size), gt)


def pck_2d(
    pred: ArrayT,
    gt: ArrayT,
    *,
    norm: object,
    threshold: float,
    strict: bool,
    reduce: Reduce,
    mask: object = None,
    joints: Sequence[int] | None = None,
    groups: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Percentage of keypoints closer than a share of the norm.

    mmpose: ``strict=True, reduce="joint_mean"`` (accuracy per joint over visible instances, then
    mean over joints seen at all). LSP, FLIC and MPII tools are inclusive and pooled. A joint never
    seen is NaN in ``reduce="joint"``, not -1.

    Args:
        pred: ``[..., J, 2]`` pixels.
        gt: ``[..., J, 2]`` pixels.
        norm: ``[...]`` length per person, from :func:`box_norm` or its relatives.
        threshold: Share of the norm, for example 0.2.
        strict: Whether d < t (True) or d <= t (False) is correct.
        reduce: Order of averaging, see :data:`Reduce`; has no default because tools differ.
        mask: Bool ``[..., J]`` or broadcastable: visible keypoints; None for all.
        joints: Evaluated keypoints; None for all.
        groups: Labels for the group orders.
        on_missing: What a non-finite prediction means, see :data:`OnMissing`.
    """
    distances = keypoint_distances(
        pred, gt, norm=norm, mask=mask, joints=joints, on_missing=on_missing
    )
    return pck(distances, threshold, strict=strict, reduce=reduce, groups=groups)


def pckh(
    pred: ArrayT,
    gt: ArrayT,
    head_boxes: ArrayT,
    *,
    threshold: float = 0.5,
    strict: bool = False,
    reduce: Reduce = "pooled",
    mask: object = None,
    joints: Sequence[int] | None = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """PCKh: percentage of keypoints within a share of the head size (MPII).

    The official tool and HRNet are inclusive, mmpose is strict. The mean of MPII is pooled over
    :data:`MPII_SCORED_JOINTS`.

    Args:
        pred: ``[..., J, 2]`` pixels in the convention of ``gt`` (add 1 to 0-based predictions).
        gt: ``[..., J, 2]`` pixels.
        head_boxes: ``[..., 4]`` x, y, width, height.
        threshold: Share of the head size. 0.1 here is 0.1; HRNet prints the value at 0.11.
        strict: Whether d < t (True) or d <= t (False) is correct.
        reduce: Order of averaging, see :data:`Reduce`.
        mask: Bool ``[..., J]`` or broadcastable: visible keypoints; None for all.
        joints: Evaluated keypoints; None for all.
        on_missing: What a non-finite prediction means, see :data:`OnMissing`.
    """
    return pck_2d(
        pred,
        gt,
        norm=head_norm(head_boxes),
        threshold=threshold,
        strict=strict,
        reduce=reduce,
        mask=mask,
        joints=joints,
        on_missing=on_missing,
    )


def mpii_table(
    distances: ArrayT, *, threshold: float = 0.5, strict: bool = False
) -> dict[str, float]:
    """PCKh columns of MPII's 16 joints, with both meanings of "Head".

    Args:
        distances: ``[..., 16]`` from :func:`keypoint_distances` with :func:`head_norm`.
        threshold: Share of the head size.
        strict: Whether d < t (True) or d <= t (False) is correct.

    Returns:
        Percent per column of :data:`MPII_GROUPS` (mean of its joints), and ``"mean"``: pooled
        over :data:`MPII_SCORED_JOINTS`, that is weighted by visible counts.
    """
    where = "mpii_table"
    d = real(distances, name="distances", where=where)
    if d.shape[-1] != 16:
        raise MetricError(f"{d.shape[-1]} joints", where=where, rule="MPII has 16 joints")
    table = joint_group_means(pck(d, threshold, strict=strict, reduce="joint"), MPII_GROUPS)
    table["mean"] = float(pck(d[..., list(MPII_SCORED_JOINTS)], threshold, strict=strict))
    return table


def pck_curve_area(
    distances: ArrayT, *, limit: float, step: float, reduce: Reduce = "pooled"
) -> ArrayT:
    """Trapezoid area under inclusive PCK at 0, step, ..., limit, in percent of the full area.

    MPII's AUC has ``limit=0.5, step=0.01`` on head-normalised distances, LSP's ``limit=0.2``.
    """
    count = round(limit / step)
    grid = np.arange(count + 1) / count * limit
    return auc(distances, grid, strict=False, rule="trapezoid", reduce=reduce)


def auc_2d(
    distances: ArrayT,
    *,
    norm_factor_px: float = 30.0,
    thresholds: int = 20,
    reduce: Reduce = "joint_mean",
) -> ArrayT:
    """AUC of hand and face data sets: mean of strict PCK at i/n of a factor, i = 0..n-1.

    A left Riemann sum: it includes threshold 0 and leaves out 1, so that a perfect prediction
    scores (n - 1) / n.

    Args:
        distances: ``[..., J]`` pixels, from :func:`keypoint_distances`.
        norm_factor_px: Pixels that correspond to 1; 30 in mmpose.
        thresholds: Number n of thresholds.
        reduce: Order of averaging, see :data:`Reduce`.
    """
    where = "auc_2d"
    d = real(distances, name="distances", where=where) / norm_factor_px
    grid = np.arange(thresholds) / thresholds
    return returned(auc(d, grid, strict=True, rule="mean", reduce=reduce), distances)


def epe(
    pred: ArrayT,
    gt: ArrayT,
    *,
    mask: object = None,
    joints: Sequence[int] | None = None,
    reduce: Reduce = "pooled",
    groups: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """End-point error: mean distance of 2D keypoints in pixels.

    Arguments as for :func:`keypoint_distances`, then the order of averaging.
    """
    distances = keypoint_distances(pred, gt, mask=mask, joints=joints, on_missing=on_missing)
    tensor = real(distances, name="distances", where="epe")
    return returned(reduced(tensor, reduce, groups=groups, where="epe"), pred)


def nme(
    pred: ArrayT,
    gt: ArrayT,
    *,
    norm: object,
    mask: object = None,
    joints: Sequence[int] | None = None,
    reduce: Reduce = "pooled",
    groups: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Normalised mean error: mean of distance over norm, a fraction (0.05 = 5 percent).

    Arguments as for :func:`keypoint_distances`, then the order of averaging.
    """
    distances = keypoint_distances(
        pred, gt, norm=norm, mask=mask, joints=joints, on_missing=on_missing
    )
    tensor = real(distances, name="distances", where="nme")
    return returned(reduced(tensor, reduce, groups=groups, where="nme"), pred)


def heatmap_peaks(heatmaps: ArrayT) -> ArrayT:
    """Position (x, y) of the largest value of each heatmap ``[..., J, H, W]``, ``[..., J, 2]``.

    The first of equal values in row order counts; a heatmap without a positive value is NaN.
    """
    maps = real(heatmaps, name="heatmaps", where="heatmap_peaks")
    check_shape(maps, where="heatmap_peaks", dims=None, axes=3)
    values, index = maps.flatten(-2).max(-1)
    width = maps.shape[-1]
    peaks = torch.stack((index % width, index // width), dim=-1).to(maps.dtype)
    return returned(peaks.masked_fill(~(values > 0)[..., None], torch.nan), heatmaps)


def heatmap_pck(
    pred: ArrayT,
    gt: ArrayT,
    *,
    threshold: float = 0.5,
    reduce: Reduce = "joint_mean",
    on_missing: OnMissing = "count_as_wrong",
) -> ArrayT:
    """Training accuracy of heatmap networks: peaks within a share of a tenth of the map, strict.

    The distance in x is divided by W / 10, that in y by H / 10. Keypoints whose target has no
    positive value are not evaluated.

    Args:
        pred: ``[..., J, H, W]`` predicted heatmaps.
        gt: ``[..., J, H, W]`` target heatmaps.
        threshold: In tenths of the map.
        reduce: Order of averaging, see :data:`Reduce`.
        on_missing: What a prediction without a positive value means, see :data:`OnMissing`.
    """
    where = "heatmap_pck"
    check_same_kind(pred, gt, where=where)
    first, second = (real(x, name="heatmaps", where=where) for x in (pred, gt))
    if first.shape != second.shape or first.ndim < 3:
        raise MetricError(
            f"heatmaps of shape {list(first.shape)} and {list(second.shape)}",
            where=where,
            rule="both are [..., joints, height, width] and of equal shape",
        )
    tenth = torch.tensor(
        (first.shape[-1] / 10, first.shape[-2] / 10), dtype=first.dtype, device=first.device
    )
    distances = keypoint_distances(
        heatmap_peaks(first) / tenth, heatmap_peaks(second) / tenth, on_missing=on_missing
    )
    return returned(pck(distances, threshold, strict=True, reduce=reduce), pred)


def _boxes(boxes: object, where: str) -> Tensor:
    box = real(boxes, name="boxes", where=where)
    check_shape(box, where=where, dims=4, axes=1)
    return box


def _span(points: object, ends: tuple[int, int], where: str) -> Tensor:
    x = real(points, name="keypoints", where=where)
    check_shape(x, where=where, dims=2)
    first, second = joint_indices(ends, x.shape[-2], where=where)
    return length(x[..., first, :] - x[..., second, :])
