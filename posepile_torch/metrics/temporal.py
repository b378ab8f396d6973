"""Velocity, acceleration and jitter of pose sequences.

Time runs along the third axis from the end, ``[..., T, J, 3]``. Finite differences never cross the
border of a sequence: either pass one sequence at a time, or concatenate them and say with
``sequence`` which frame belongs to which. Frames that were left out of a sequence are said with
``frame``. A difference is evaluated only if all its frames are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import (
    ArrayT,
    check_shape,
    joint_indices,
    length,
    real,
    returned,
    truths,
)
from posepile_torch.metrics._validity import compare
from posepile_torch.metrics.aggregation import reduced
from posepile_torch.metrics.alignment import roots
from posepile_torch.metrics.choices import OnMissing, Reduce, Root

COEFFICIENTS = {1: (-1.0, 1.0), 2: (1.0, -2.0, 1.0), 3: (-1.0, 3.0, -3.0, 1.0)}

EMDB_STILL_JOINTS: tuple[int, ...] = (0, 7, 8, 10, 11, 20, 21, 22, 23)
"""SMPL joints whose jitter EMDB sets to zero: pelvis, ankles, feet, wrists, hands."""


@dataclass(frozen=True)
class Timeline:
    """Which frames follow each other.

    Args:
        sequence: ``[T]`` label of the sequence of each frame; None if there is but one.
        frame: ``[T]`` frame number; None if no frame was left out. Frames are neighbours if their
            numbers differ by one.
    """

    sequence: object = None
    frame: object = None


def mpjve(
    pred: ArrayT,
    gt: ArrayT,
    *,
    timeline: Timeline | None = None,
    mask: object = None,
    reduce: Reduce = "pooled",
    groups: object = None,
    frame_weighted: bool = False,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Mean per-joint velocity error: norm of the difference of first differences, mm/frame.

    Args:
        pred: ``[..., T, J, 3]`` in mm, aligned as the protocol says.
        gt: ``[..., T, J, 3]`` in mm.
        timeline: Borders of sequences and gaps; None for one gapless sequence.
        mask: Bool ``[..., T, J]`` or broadcastable; None for all.
        reduce: Order of averaging; a sample is a difference, of which there are T - 1.
        groups: Labels per difference for the group orders; by default the sequence.
        frame_weighted: Parity switch: weigh the mean of each sequence by its T frames instead of
            its T - 1 differences, as VideoPose3D does. Only with ``reduce="pooled"`` and inputs
            ``[T, J, 3]``.
        on_missing: What a non-finite prediction means, see :data:`OnMissing`.
    """
    where = "mpjve"
    steps = _Steps(1, timeline or Timeline(), 0, where)
    errors = _difference_errors(pred, gt, steps, mask, None, on_missing)
    if frame_weighted:
        return returned(_frame_weighted(errors, steps, reduce), pred)
    return returned(_averaged(errors, steps, reduce, groups), pred)


def acceleration_error(
    pred: ArrayT,
    gt: ArrayT,
    *,
    timeline: Timeline | None = None,
    root: Root = None,
    trim: int = 0,
    mask: object = None,
    reduce: Reduce = "pooled",
    groups: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Error of the second difference x(t) - 2 x(t+1) + x(t+2), in mm/frame².

    Args:
        pred: ``[..., T, J, 3]`` in mm.
        gt: ``[..., T, J, 3]`` in mm.
        timeline: Borders of sequences and gaps; None for one gapless sequence.
        root: Point subtracted from every frame first, see :data:`Root`.
        trim: Leave out this many values at both ends of every sequence; WHAM leaves out one.
        mask: Bool ``[..., T, J]`` or broadcastable. A value is left out if any of its three
            frames is masked.
        reduce: Order of averaging; a sample is one of the T - 2 second differences.
        groups: Labels per second difference for the group orders; by default the sequence.
        on_missing: What a non-finite prediction means, see :data:`OnMissing`.
    """
    where = "acceleration_error"
    steps = _Steps(2, timeline or Timeline(), trim, where)
    errors = _difference_errors(pred, gt, steps, mask, root, on_missing)
    return returned(_averaged(errors, steps, reduce, groups), pred)


def acceleration_error_mps2(
    pred: ArrayT,
    gt: ArrayT,
    *,
    fps: float,
    timeline: Timeline | None = None,
    root: Root = None,
    trim: int = 0,
    mask: object = None,
    reduce: Reduce = "pooled",
    groups: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Acceleration error in m/s²: the one in mm/frame² times fps² / 1000.

    At 30 frames per second and with metres that is the factor 900 of WHAM, which also subtracts a
    root and sets ``trim=1``. Arguments as for :func:`acceleration_error`.
    """
    where = "acceleration_error_mps2"
    steps = _Steps(2, timeline or Timeline(), trim, where)
    errors = _difference_errors(pred, gt, steps, mask, root, on_missing)
    errors = errors * (_checked_fps(fps, where) ** 2 / 1000)
    return returned(_averaged(errors, steps, reduce, groups), pred)


def jitter(
    poses: ArrayT,
    *,
    fps: float,
    timeline: Timeline | None = None,
    mask: object = None,
    reduce: Reduce = "sample_mean",
    groups: object = None,
) -> ArrayT:
    """Size of the third difference of one set of poses, in 10 m/s³ (mm/frame³ fps³ / 10⁴).

    Args:
        poses: ``[..., T, J, 3]`` in mm, absolute.
        fps: Frames per second.
        timeline: Borders of sequences and gaps; None for one gapless sequence.
        mask: Bool ``[..., T, J]`` or broadcastable; non-finite joints are left out as well.
        reduce: Order of averaging; a sample is one of the T - 3 third differences.
        groups: Labels per third difference for the group orders; by default the sequence.
    """
    where = "jitter"
    steps = _Steps(3, timeline or Timeline(), 0, where)
    size = _jerk(poses, fps, steps, mask)
    return returned(_averaged(size, steps, reduce, groups), poses)


def emdb_jitter(
    poses: ArrayT,
    *,
    fps: float = 30.0,
    timeline: Timeline | None = None,
    only_moving: bool = False,
    reduce: Reduce = "sample_mean",
    groups: object = None,
) -> ArrayT:
    """Jitter as EMDB computes it: nine joints set to zero, the sum still divided by 24.

    Args:
        poses: ``[..., T, 24, 3]`` SMPL joints in mm.
        fps: Frames per second.
        timeline: Borders of sequences and gaps; None for one gapless sequence.
        only_moving: Divide by the 15 joints that are not set to zero. Gives 24/15 of the published
            numbers.
        reduce: Order of averaging, see :func:`jitter`.
        groups: Labels per third difference for the group orders.
    """
    where = "emdb_jitter"
    steps = _Steps(3, timeline or Timeline(), 0, where)
    size = _jerk(poses, fps, steps, None)
    if size.shape[-1] != 24:
        raise MetricError(
            f"{size.shape[-1]} joints",
            where=where,
            rule="EMDB's jitter is defined on the 24 SMPL joints",
            fix="use jitter() for other skeletons",
        )
    still = joint_indices(EMDB_STILL_JOINTS, 24, where=where)
    if only_moving:
        size = size[..., [joint for joint in range(24) if joint not in still]]
    else:
        weight = torch.ones(24, dtype=size.dtype, device=size.device)
        weight[still] = 0.0
        size = size * weight
    return returned(_averaged(size, steps, reduce, groups), poses)


@dataclass(frozen=True)
class _Steps:
    """The finite differences of one call: their order, and which of them are evaluated."""

    order: int
    timeline: Timeline
    trim: int
    where: str

    def labels(self, frames: int) -> NDArray[Any]:
        """Return the label of the sequence of each frame, ``[T]``."""
        if self.timeline.sequence is None:
            return np.zeros(frames, dtype=np.int64)
        return _per_frame(self.timeline.sequence, frames, "sequence", self.where)

    def evaluated(self, frames: int) -> NDArray[np.bool_]:
        """Return ``[T - order]``: whether the frames of each difference follow each other."""
        labels = self.labels(frames)
        follows = labels[1:] == labels[:-1]
        if self.timeline.frame is not None:
            number = _per_frame(self.timeline.frame, frames, "frame", self.where)
            follows = follows & (number[1:] - number[:-1] == 1)
        size = max(0, frames - self.order)
        linked = np.ones(size, dtype=bool)
        for k in range(self.order):
            linked &= follows[k : size + k]
        borders = (np.flatnonzero(labels[1:] != labels[:-1]) + 1).tolist()
        for start, stop in zip([0, *borders], [*borders, frames], strict=True):
            linked[start : start + self.trim] = False
            last = max(start, stop - self.order)
            linked[max(start, last - self.trim) : last] = False
        return linked


def _averaged(errors: Tensor, steps: _Steps, reduce: Reduce, groups: object) -> Tensor:
    if groups is None and reduce.startswith("group") and steps.timeline.sequence is not None:
        # a difference belongs to the sequence of its first frame
        groups = steps.labels(errors.shape[-2] + steps.order)[: errors.shape[-2]]
    return reduced(errors, reduce, groups=groups, where=steps.where)


def _difference_errors(
    pred: object,
    gt: object,
    steps: _Steps,
    mask: object,
    root: Root,
    on_missing: OnMissing,
) -> Tensor:
    where, order = steps.where, steps.order
    compared = compare(pred, gt, mask=mask, on_missing=on_missing, where=where)
    check_shape(compared.gt, where=where, axes=3)
    p, g = compared.pred, compared.gt
    excluded = lost = None
    if root is not None:
        pred_root, gt_root, valid, known = roots(compared, root, where=where)
        p, g = p - pred_root[..., None, :], g - gt_root[..., None, :]
        excluded, lost = ~valid, ~known if compared.missing is not None else None
    # The marks of single frames, added up over the frames of a difference, mark the difference:
    # NaN if one of them is not evaluated, else infinity if one of them is missing.
    marks = compared.marked(torch.zeros_like(p[..., 0]), excluded, lost)
    errors = length(_difference(p, order) - _difference(g, order))
    for k in range(order + 1):
        errors = errors + _shifted(marks, order, k)
    return _only_evaluated(errors, steps, marks.shape[-2])


def _jerk(poses: object, fps: float, steps: _Steps, mask: object) -> Tensor:
    where = steps.where
    x = real(poses, name="poses", where=where)
    check_shape(x, where=where, axes=3)
    known = torch.isfinite(x).all(-1)
    if mask is not None:
        known = known & truths(mask, known.shape, x.device, where=where)
    size = length(_difference(x.masked_fill(~known[..., None], 0.0), 3))
    for k in range(4):
        size = size.masked_fill(~_shifted(known, 3, k), torch.nan)
    return _only_evaluated(size, steps, x.shape[-3]) * (_checked_fps(fps, where) ** 3 / 1e4)


def _difference(points: Tensor, order: int) -> Tensor:
    coefficients = COEFFICIENTS[order]
    size = max(0, points.shape[-3] - order)
    total = coefficients[0] * points[..., :size, :, :]
    for k in range(1, order + 1):
        total = total + coefficients[k] * points[..., k : size + k, :, :]
    return total


def _shifted(values: Tensor, order: int, k: int) -> Tensor:
    """Return ``[..., T - order, J]`` of ``[..., T, J]``, beginning ``k`` frames later."""
    size = max(0, values.shape[-2] - order)
    return values[..., k : size + k, :]


def _only_evaluated(errors: Tensor, steps: _Steps, frames: int) -> Tensor:
    left_out = torch.from_numpy(~steps.evaluated(frames)).to(errors.device)
    return errors.masked_fill(left_out[:, None], torch.nan)


def _per_frame(values: object, frames: int, name: str, where: str) -> NDArray[Any]:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.shape != (frames,):
        raise MetricError(
            f"{name} has shape {list(array.shape)} for {frames} frames",
            where=where,
            rule=f"{name} has one entry per frame",
        )
    return array


def _frame_weighted(errors: Tensor, steps: _Steps, reduce: Reduce) -> Tensor:
    if reduce != "pooled" or errors.ndim != 2:
        raise MetricError(
            f"frame_weighted with reduce={reduce!r} and {errors.ndim + 1} axes",
            where=steps.where,
            rule="the frame-weighted mean is a pooled mean of sequences [T, J, 3]",
        )
    labels = steps.labels(len(errors) + 1)
    total, weight = errors.new_zeros(()), 0
    for label in dict.fromkeys(labels.tolist()):
        rows = np.flatnonzero(labels == label)
        mean = reduced(errors[rows[:-1]], "pooled", where=steps.where)
        total, weight = total + len(rows) * mean, weight + len(rows)
    return total / weight


def _checked_fps(fps: float, where: str) -> float:
    if not 0 < fps < float("inf"):
        raise MetricError(f"fps={fps}", where=where, rule="a frame rate is positive and finite")
    return float(fps)
