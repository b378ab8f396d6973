"""Overlap of rendered and true silhouettes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import ArrayT, check_same_kind, real, returned, truths
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
    check_same_kind(pred, gt, where=where)
    shapes = [list(x.shape) if isinstance(x, Tensor) else list(np.shape(x)) for x in (pred, gt)]
    if shapes[0] != shapes[1] or len(shapes[0]) < 2:
        raise MetricError(
            f"silhouettes of shape {shapes[0]} and {shapes[1]}",
            where=where,
            rule="both are [..., height, width] and of equal shape",
        )
    device = pred.device if isinstance(pred, Tensor) else torch.device("cpu")
    a, b = (truths(x, shapes[0], device, where=where) for x in (pred, gt))
    overlap, union = (a & b).sum((-1, -2)), (a | b).sum((-1, -2))
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
