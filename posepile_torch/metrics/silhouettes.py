"""Overlap of rendered and true silhouettes."""

from __future__ import annotations

import torch

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import ArrayT, real, returned, truths
from posepile_torch.metrics.aggregation import reduced
from posepile_torch.metrics.choices import IouReduce, check_choice


def silhouette_iou(pred: ArrayT, gt: ArrayT, *, reduce: IouReduce) -> ArrayT:
    """Intersection over union of binary silhouettes, 0..1.

    Args:
        pred: ``[..., H, W]`` bool or integer, non-zero inside.
        gt: ``[..., H, W]``.
        reduce: See :data:`IouReduce`; large people weigh more when pooled.
    """
    where = "silhouette_iou"
    first = pred if isinstance(pred, torch.Tensor) else torch.as_tensor(pred)
    device = first.device
    a = truths(pred, first.shape, device, where=where)
    second = gt if isinstance(gt, torch.Tensor) else torch.as_tensor(gt)
    if first.shape != second.shape or first.ndim < 2:
        raise MetricError(
            f"silhouettes of shape {list(first.shape)} and {list(second.shape)}",
            where=where,
            rule="both are [..., height, width] and of equal shape",
        )
    b = truths(gt, first.shape, device, where=where)
    overlap, union = ((a & b).sum((-1, -2)), (a | b).sum((-1, -2)))
    return silhouette_iou_from_counts(
        returned(overlap, pred), returned(union, pred), reduce=reduce
    )


def silhouette_iou_from_counts(
    intersection: ArrayT, union: ArrayT, *, reduce: IouReduce
) -> ArrayT:
    """Intersection over union from pixel counts per image, for run-length encoded masks.

    Args:
        intersection: ``[...]`` pixels in both silhouettes.
        union: ``[...]`` pixels in either.
        reduce: See :data:`IouReduce`.
    """
    where = "silhouette_iou"
    check_choice(reduce, IouReduce, name="reduce", where=where)
    both = real(intersection, name="intersection", where=where)
    either = real(union, name="union", where=where, device=both.device)
    if both.shape != either.shape or bool((both > either).any()) or bool((both < 0).any()):
        raise MetricError(
            "intersections and unions do not fit each other",
            where=where,
            rule="there is one of each per image, and 0 <= intersection <= union",
        )
    if reduce == "pooled":
        both, either = both.sum(), either.sum()
        if not bool(either):
            raise MetricError(
                "all silhouettes are empty", where=where, rule="an overlap needs a silhouette"
            )
    ratio = (both / either.clamp_min(1)).masked_fill(either == 0, torch.nan)
    if reduce == "image_mean":
        ratio = reduced(ratio.reshape(-1), "pooled", where=where)
    return returned(ratio, intersection)
