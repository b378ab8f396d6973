"""Angles between predicted and true joint rotations (MPJAE)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import (
    ArrayT,
    check_same_kind,
    check_shape,
    joint_indices,
    length,
    pair,
    real,
    returned,
)
from posepile_torch.metrics._validity import compare
from posepile_torch.metrics.aggregation import reduced
from posepile_torch.metrics.alignment import Alignment
from posepile_torch.metrics.choices import OnMissing, Reduce

SMPL24_ORIENTATION_JOINTS: tuple[int, ...] = (0, 1, 2, 4, 5, 16, 17, 18, 19)
"""The nine SMPL joints of MPJAE: pelvis, hips, knees, shoulders, elbows."""

ROTATION_TOLERANCE = 1e-3
"""Largest accepted entry of RᵀR - I; float32 networks stay below 1e-5."""


def global_rotations(local: ArrayT, parents: Sequence[int]) -> ArrayT:
    """Chain joint rotations along the kinematic tree: global = parent's global @ local.

    Args:
        local: ``[..., J, 3, 3]`` rotations relative to the parent, column-vector convention.
        parents: Parent of each joint, -1 for the root; parents come before their children.
    """
    where = "global_rotations"
    matrices = real(local, name="rotations", where=where)
    check_shape(matrices, where=where, axes=3)
    if len(parents) != matrices.shape[-3] or any(p >= j for j, p in enumerate(parents)):
        raise MetricError(
            f"parents {list(parents)} do not order {matrices.shape[-3]} joints",
            where=where,
            rule="there is one parent per joint, -1 for the root, before its children",
        )
    chained: list[Tensor] = []
    for joint, parent in enumerate(parents):
        own = matrices[..., joint, :, :]
        chained.append(own if parent < 0 else chained[parent] @ own)
    return returned(torch.stack(chained, dim=-3), local)


def rotation_angles_rad(pred: ArrayT, gt: ArrayT) -> ArrayT:
    """Return geodesic angles between rotations ``[..., 3, 3]``, in radians, ``[...]``.

    ``2 asin(min(1, |Rp - Rg|_F / √8))`` keeps all digits at small angles, where the usual arccos
    of the trace loses half of them. The gradient is unbounded at half a turn.
    """
    p, g = pair(pred, gt, where="rotation_angles_rad")
    return returned(_angles(p, g), pred)


def mpjae(
    pred: ArrayT,
    gt: ArrayT,
    *,
    alignment: Alignment[ArrayT] | None = None,
    joints: Sequence[int] | None = None,
    mask: object = None,
    reduce: Reduce = "pooled",
    groups: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Mean per-joint angular error of *global* joint rotations, in degrees.

    With ``alignment`` this is MPJAE-PA: predicted rotations are first left-multiplied by the
    rotation that carries the predicted joint positions onto the true ones.

    Args:
        pred: ``[..., J, 3, 3]`` global rotations, see :func:`global_rotations`.
        gt: ``[..., J, 3, 3]`` global rotations.
        alignment: Similarity or rigid alignment of the joint positions of the same poses; poses
            that it excludes are left out.
        joints: Evaluated joints, usually :data:`SMPL24_ORIENTATION_JOINTS`; None for all.
        mask: Bool ``[..., J]`` or broadcastable; None for all joints.
        reduce: Order of averaging, see :data:`Reduce`.
        groups: Labels for the group orders.
        on_missing: What a non-finite prediction means, see :data:`OnMissing`.
    """
    where = "mpjae"
    check_same_kind(pred, gt, where=where)
    p, g = (real(x, name="rotations", where=where) for x in (pred, gt))
    check_shape(p, where=where, axes=3)
    check_shape(g, where=where, axes=3)
    compared = compare(
        p.flatten(-2), g.flatten(-2), mask=mask, on_missing=on_missing, where=where, dims=9
    )
    usable = compared.usable
    lead = p.shape[:-3]
    p, g = compared.pred.reshape(p.shape), compared.gt.reshape(g.shape)
    for name, matrices in (("predicted", p), ("true", g)):
        _check_rotations(matrices, usable, name, where)
    excluded = None
    if alignment is not None:
        check_same_kind(alignment.rotation, pred, where=where)
        turn = real(alignment.rotation, name="alignment", where=where, device=p.device)
        if turn.shape != lead + (3, 3):
            raise MetricError(
                f"an alignment of {list(turn.shape[:-2])} poses for {list(lead)} poses",
                where=where,
                rule="there is one transform per pose",
            )
        excluded = torch.isnan(turn).any(-1).any(-1)
        p = turn.masked_fill(excluded[..., None, None], 0.0)[..., None, :, :] @ p
    errors = compared.marked(torch.rad2deg(_angles(p, g)), excluded)
    if joints is not None:
        errors = errors[..., joint_indices(joints, errors.shape[-1], where=where)]
    return returned(reduced(errors, reduce, groups=groups, where=where), pred)


def _angles(pred: Tensor, gt: Tensor) -> Tensor:
    half_chord = length((pred - gt).flatten(-2)) / math.sqrt(8)
    return 2 * torch.asin(half_chord.clamp_max(1))


def _check_rotations(matrices: Tensor, usable: Tensor | None, name: str, where: str) -> None:
    detached = matrices.detach()
    identity = torch.eye(3, dtype=matrices.dtype, device=matrices.device)
    error = (detached.transpose(-1, -2) @ detached - identity).abs().amax((-1, -2))
    wrong = (error > ROTATION_TOLERANCE) | (torch.linalg.det(detached) < 0)
    if usable is not None:
        wrong = wrong & usable
    if bool(wrong.any()):
        raise MetricError(
            f"{int(wrong.sum())} {name} matrices are not rotations; the first is at index"
            f" {wrong.nonzero()[0].tolist()}",
            where=where,
            rule=f"RᵀR is the identity within {ROTATION_TOLERANCE} and det R is +1",
            fix="pass 3×3 rotation matrices, not axis-angle or 6D vectors",
        )
