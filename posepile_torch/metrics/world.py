"""World-grounded metrics of one sequence: W-MPJPE, WA-MPJPE, RTE, foot sliding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import ArrayT, check_shape, joint_indices, length, returned
from posepile_torch.metrics._validity import Comparison, compare
from posepile_torch.metrics.aggregation import reduced
from posepile_torch.metrics.alignment import rigid_alignment, similarity_alignment
from posepile_torch.metrics.choices import OnMissing, Reduce

SMPL_FOOT_VERTICES: tuple[int, ...] = (3216, 3387, 6617, 6787)
"""SMPL mesh vertices under the toes and heels, used for foot sliding."""


def w_mpjpe(
    pred: ArrayT,
    gt: ArrayT,
    *,
    chunk_frames: int = 100,
    mask: object = None,
    reduce: Reduce = "sample_mean",
    on_missing: OnMissing = "error",
) -> ArrayT:
    """World MPJPE: each chunk aligned by a similarity fitted to its first two frames, mm.

    Args:
        pred: ``[T, J, 3]`` joints of one sequence in world coordinates, mm.
        gt: ``[T, J, 3]`` in mm.
        chunk_frames: Length of a chunk; the last one may be shorter.
        mask: Bool ``[T, J]`` or broadcastable; None for all joints.
        reduce: Order of averaging; a sample is a frame. Benchmarks pool frames of all sequences:
            concatenate ``reduce="sample"`` of each.
        on_missing: What a non-finite prediction means, see :data:`OnMissing`. Too few predicted
            joints to align make all joints of the chunk missing; too few valid ones exclude it.
    """
    return _chunked(pred, gt, chunk_frames, 2, mask, reduce, on_missing, "w_mpjpe")


def wa_mpjpe(
    pred: ArrayT,
    gt: ArrayT,
    *,
    chunk_frames: int = 100,
    mask: object = None,
    reduce: Reduce = "sample_mean",
    on_missing: OnMissing = "error",
) -> ArrayT:
    """World MPJPE with each chunk aligned as a whole by one similarity, mm.

    Arguments as for :func:`w_mpjpe`.
    """
    return _chunked(pred, gt, chunk_frames, chunk_frames, mask, reduce, on_missing, "wa_mpjpe")


def rte(
    pred: ArrayT,
    gt: ArrayT,
    *,
    mask: object = None,
    reduce: Literal["mean", "none"] = "mean",
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Root trajectory error: percent of the path length, after one rigid fit without scale.

    Args:
        pred: ``[T, 3]`` root positions of one whole sequence.
        gt: ``[T, 3]`` in the same unit.
        mask: Bool ``[T]``; None for all frames. The path connects the valid frames.
        reduce: ``"mean"`` over frames, or ``"none"`` for ``[T]``.
        on_missing: What a non-finite prediction means, see :data:`OnMissing`.

    Raises:
        MetricError: If the true root does not move: a percentage of nothing is not defined.
    """
    where = "rte"
    compared = compare(pred, gt, mask=mask, on_missing=on_missing, where=where)
    if compared.gt.ndim != 2:
        raise _one_sequence(compared.gt, "[T, 3]", where)
    alignment = rigid_alignment(compared.pred, compared.gt, mask=compared.usable)
    valid = compared.all_valid()
    path = length(compared.gt[valid].diff(dim=0)).sum()
    if not bool(path > 0):
        raise MetricError(
            "the true root does not move",
            where=where,
            rule="the error is a percentage of the length of the true path",
            fix="leave out static sequences, and say so",
        )
    errors = 100 * length(alignment.apply(compared.pred) - compared.gt) / path
    if alignment.n_excluded:
        raise MetricError(
            f"{int(valid.sum())} valid frames",
            where=where,
            rule="a rigid fit needs at least three frames",
        )
    marked = compared.marked(errors)
    return returned(marked if reduce == "none" else reduced(marked, "pooled", where=where), pred)


def foot_sliding(
    pred: ArrayT,
    gt: ArrayT,
    *,
    vertices: Sequence[int] | None = SMPL_FOOT_VERTICES,
    still_below_mm: float = 10.0,
    reduce: Reduce = "pooled",
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Movement of predicted foot vertices per frame while the true foot stands, mm.

    Args:
        pred: ``[..., T, V, 3]`` predicted vertices in world coordinates, mm.
        gt: ``[..., T, V, 3]`` true vertices, mm.
        vertices: Numbers of the foot vertices; None if only these were passed.
        still_below_mm: The true vertex stands if it moves less than this between two frames.
        reduce: Order of averaging over pairs of frames (samples) and vertices (joints); pairs
            in which the true foot moves are left out.
        on_missing: What a non-finite prediction means, see :data:`OnMissing`.
    """
    where = "foot_sliding"
    compared = compare(pred, gt, on_missing=on_missing, where=where)
    check_shape(compared.gt, where=where, axes=3)
    p, g = compared.pred, compared.gt
    marks = compared.marked(torch.zeros_like(g[..., 0]))
    if vertices is not None:
        chosen = joint_indices(vertices, g.shape[-2], where=where)
        p, g, marks = p[..., chosen, :], g[..., chosen, :], marks[..., chosen]
    moved = length(p.diff(dim=-3)) + marks[..., 1:, :] + marks[..., :-1, :]
    stands = length(g.diff(dim=-3)) < still_below_mm
    return returned(reduced(moved.masked_fill(~stands, torch.nan), reduce, where=where), pred)


def _chunked(
    pred: ArrayT,
    gt: ArrayT,
    chunk_frames: int,
    fit_frames: int,
    mask: object,
    reduce: Reduce,
    on_missing: OnMissing,
    where: str,
) -> ArrayT:
    compared = compare(pred, gt, mask=mask, on_missing=on_missing, where=where)
    if compared.gt.ndim != 3:
        raise _one_sequence(compared.gt, "[T, J, 3]", where)
    if chunk_frames < 1:
        raise MetricError(
            f"chunk_frames={chunk_frames}", where=where, rule="a chunk has at least one frame"
        )
    errors = []
    for start in range(0, len(compared.gt), chunk_frames):
        rows = slice(start, start + chunk_frames)
        errors.append(_chunk_errors(compared, rows, fit_frames))
    if not errors:
        raise MetricError("no frames", where=where, rule="a sequence has at least one frame")
    return returned(reduced(torch.cat(errors), reduce, where=where), pred)


def _chunk_errors(compared: Comparison, rows: slice, fit_frames: int) -> Tensor:
    p, g = compared.pred[rows], compared.gt[rows]
    valid = None if compared.valid is None else compared.valid[rows]
    missing = None if compared.missing is None else compared.missing[rows]
    chunk = Comparison(p, g, valid, missing, compared.on_missing)
    first = (chunk.all_valid() if chunk.usable is None else chunk.usable)[:fit_frames]
    alignment = similarity_alignment(
        p[:fit_frames].reshape(-1, 3), g[:fit_frames].reshape(-1, 3), mask=first.reshape(-1)
    )
    errors = length(alignment.apply(p.reshape(-1, 3)).reshape(p.shape) - g)
    if not alignment.n_excluded:
        return chunk.marked(errors)
    # Not enough to align: for want of ground truth, or of predictions?
    known = bool(chunk.all_valid()[:fit_frames].sum() >= 3)
    whole = torch.ones(len(p), dtype=torch.bool, device=p.device)
    return chunk.marked(torch.zeros_like(errors), ~whole | (not known), whole if known else None)


def _one_sequence(points: Tensor, wanted: str, where: str) -> MetricError:
    return MetricError(
        f"the array has shape {list(points.shape)}",
        where=where,
        rule=f"this metric is defined on one sequence {wanted}",
        fix="call it per sequence and pool the frames",
    )
