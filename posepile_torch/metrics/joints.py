"""Distances between predicted and true joints, and the MPJPE family.

Everything starts from :func:`joint_distances`: one number per sample and joint after a named
alignment. The averages, and every PCK-like score, are functions of these numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import ArrayT, joint_indices, real, returned
from posepile_torch.metrics._measure import Options, measure
from posepile_torch.metrics._procrustes import Fit
from posepile_torch.metrics.aggregation import reduced
from posepile_torch.metrics.choices import Align, OnMissing, Reduce, Root, Scale


@dataclass(frozen=True)
class Coverage:
    """How much of the ground truth entered a result.

    Args:
        n_samples: Samples given.
        n_excluded: Samples not evaluated for want of ground truth: too few valid joints, or an
            unknown root.
        n_degenerate: Evaluated samples whose predicted joints all coincide.
        n_joints: Valid joints of all samples, excluded ones too.
        n_evaluated: Joints with a finite distance.
        n_missing: Valid joints of evaluated samples without a usable prediction.
    """

    n_samples: int
    n_excluded: int
    n_degenerate: int
    n_joints: int
    n_evaluated: int
    n_missing: int

    @property
    def fraction(self) -> float:
        """Evaluated share of the valid joints; 0 if there are none."""
        return self.n_evaluated / self.n_joints if self.n_joints else 0.0


def joint_distances(
    pred: ArrayT,
    gt: ArrayT,
    *,
    align: Align,
    root: Root = None,
    mask: object = None,
    joints: Sequence[int] | None = None,
    min_valid_joints: int | None = None,
    scale: Scale = "least_squares",
    allow_reflection: bool = False,
    align_masked_joints: bool = False,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Return the distance of every predicted joint from the true one after an alignment.

    A finite value is a distance in the unit of the input. NaN means not evaluated: the joint is
    masked or unknown, or its sample has an unknown root or too few valid joints. Infinity means
    missing under ``on_missing="count_as_wrong"``. All averages of the package know these marks.

    Differentiable in ``pred`` and ``gt``; a distance of zero has gradient zero.

    Args:
        pred: ``[..., J, 3]``; mm unless stated otherwise.
        gt: ``[..., J, 3]`` in the same unit and frame; non-finite joints are not valid.
        align: See :data:`Align`.
        root: Point subtracted from both poses beforehand, see :data:`Root`. Rigid and similarity
            alignment are indifferent to it.
        mask: Bool ``[..., J]`` or broadcastable; None for all joints. Masked joints influence
            neither roots nor alignment.
        joints: Joints to return, in this order; None for all. Roots and alignment use all valid
            joints, whether returned or not.
        min_valid_joints: Samples with fewer valid joints are excluded; by default 3 for rigid and
            similarity alignment, else 1.
        scale: Kind of scale of a similarity, see :func:`similarity_alignment`.
        allow_reflection: Let rigid and similarity alignment mirror the prediction. Off for every
            standard metric.
        align_masked_joints: Parity switch: align on masked joints too and mask the error only, as
            mmpose's ``keypoint_mpjpe`` does. All joints must then be finite.
        on_missing: See :data:`OnMissing`. A missing root, or too few predicted joints to align,
            makes all joints of the sample missing.
    """
    where = "joint_distances"
    fit = Fit(scale, allow_reflection)
    options = Options(align, root, min_valid_joints, fit, align_masked_joints)
    measured = measure(pred, gt, mask=mask, on_missing=on_missing, options=options, where=where)
    return returned(_selected(measured.distances, joints, where), pred)


def coverage(
    pred: ArrayT,
    gt: ArrayT,
    *,
    align: Align,
    root: Root = None,
    mask: object = None,
    joints: Sequence[int] | None = None,
    min_valid_joints: int | None = None,
    on_missing: OnMissing = "skip",
) -> Coverage:
    """Count what :func:`joint_distances` with the same arguments evaluates and what it leaves out.

    Args:
        pred: ``[..., J, 3]``.
        gt: ``[..., J, 3]``.
        align: As there.
        root: As there.
        mask: As there.
        joints: As there.
        min_valid_joints: As there.
        on_missing: As there; missing predictions are counted under every policy.
    """
    where = "coverage"
    options = Options(align, root, min_valid_joints)
    measured = measure(pred, gt, mask=mask, on_missing=on_missing, options=options, where=where)
    distances = _selected(measured.distances, joints, where)
    valid = _selected(measured.compared.all_valid(), joints, where)
    excluded = measured.excluded
    if excluded is None:
        excluded = torch.zeros_like(measured.degenerate)
    expected = valid & ~excluded[..., None]
    evaluated = int(torch.isfinite(distances).sum())
    return Coverage(
        n_samples=excluded.numel(),
        n_excluded=int(excluded.sum()),
        n_degenerate=int(measured.degenerate.sum()),
        n_joints=int(valid.sum()),
        n_evaluated=evaluated,
        n_missing=int(expected.sum()) - evaluated,
    )


def mpjpe(
    pred: ArrayT,
    gt: ArrayT,
    *,
    root: Root,
    mask: object = None,
    joints: Sequence[int] | None = None,
    reduce: Reduce = "pooled",
    groups: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Mean per-joint position error after translating both roots to the origin.

    The zero error of an evaluated root joint counts, as in the references; leave it out with
    ``joints`` where a benchmark does.

    Args:
        pred: ``[..., J, 3]`` in mm.
        gt: ``[..., J, 3]`` in mm.
        root: See :data:`Root`; has no default because papers differ.
        mask: Bool ``[..., J]`` or broadcastable; None for all joints.
        joints: Evaluated joints; None for all.
        reduce: Order of averaging, see :data:`Reduce`.
        groups: Labels for the group orders.
        on_missing: See :data:`OnMissing`.
    """
    distances = joint_distances(
        pred, gt, align="none", root=root, mask=mask, joints=joints, on_missing=on_missing
    )
    return _averaged(distances, reduce, groups, "mpjpe")


def ampjpe(
    pred: ArrayT,
    gt: ArrayT,
    *,
    mask: object = None,
    joints: Sequence[int] | None = None,
    reduce: Reduce = "pooled",
    groups: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Absolute mean per-joint position error: no alignment, both poses in the same frame.

    Arguments as for :func:`mpjpe`.
    """
    distances = joint_distances(
        pred, gt, align="none", mask=mask, joints=joints, on_missing=on_missing
    )
    return _averaged(distances, reduce, groups, "ampjpe")


def pa_mpjpe(
    pred: ArrayT,
    gt: ArrayT,
    *,
    mask: object = None,
    joints: Sequence[int] | None = None,
    min_valid_joints: int = 3,
    align_masked_joints: bool = False,
    reduce: Reduce = "pooled",
    groups: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Mean per-joint position error after similarity (Procrustes) alignment; P-MPJPE.

    Rotation, translation and scale, no reflection. Further arguments as for :func:`mpjpe` and
    :func:`joint_distances`.
    """
    distances = joint_distances(
        pred,
        gt,
        align="similarity",
        mask=mask,
        joints=joints,
        min_valid_joints=min_valid_joints,
        align_masked_joints=align_masked_joints,
        on_missing=on_missing,
    )
    return _averaged(distances, reduce, groups, "pa_mpjpe")


def rigid_mpjpe(
    pred: ArrayT,
    gt: ArrayT,
    *,
    mask: object = None,
    joints: Sequence[int] | None = None,
    min_valid_joints: int = 3,
    reduce: Reduce = "pooled",
    groups: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Mean per-joint position error after rigid alignment: rotation and translation, no scale.

    Further arguments as for :func:`pa_mpjpe`. Never report it as PA-MPJPE.
    """
    distances = joint_distances(
        pred,
        gt,
        align="rigid",
        mask=mask,
        joints=joints,
        min_valid_joints=min_valid_joints,
        on_missing=on_missing,
    )
    return _averaged(distances, reduce, groups, "rigid_mpjpe")


def n_mpjpe(
    pred: ArrayT,
    gt: ArrayT,
    *,
    root: Root,
    mask: object = None,
    joints: Sequence[int] | None = None,
    reduce: Reduce = "pooled",
    groups: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Mean per-joint position error after root translation and the least-squares scale.

    The scale is <p, g> / <p, p> per pose about the root. Arguments as for :func:`mpjpe`.
    """
    distances = joint_distances(
        pred, gt, align="scale", root=root, mask=mask, joints=joints, on_missing=on_missing
    )
    return _averaged(distances, reduce, groups, "n_mpjpe")


def weighted_mpjpe(
    pred: ArrayT,
    gt: ArrayT,
    weights: object,
    *,
    root: Root,
    mask: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Mean over samples and joints of w e, with weights that are not normalised.

    The training loss of VideoPose3D. The divisor is the number of evaluated joints, not the sum
    of weights.

    Args:
        pred: ``[..., J, 3]`` in mm.
        gt: ``[..., J, 3]`` in mm.
        weights: ``[...]`` one weight per sample, or ``[..., J]``.
        root: See :data:`Root`.
        mask: Bool ``[..., J]`` or broadcastable; None for all joints.
        on_missing: See :data:`OnMissing`.
    """
    where = "weighted_mpjpe"
    distances = joint_distances(
        pred, gt, align="none", root=root, mask=mask, on_missing=on_missing
    )
    errors = real(distances, name="distances", where=where)
    w = real(weights, name="weights", where=where, device=errors.device)
    if w.shape == errors.shape[:-1]:
        w = w[..., None]
    elif w.shape != errors.shape:
        raise MetricError(
            f"weights of shape {list(w.shape)} for errors of shape {list(errors.shape)}",
            where=where,
            rule="there is one weight per sample or one per joint",
        )
    return returned(reduced(w * errors, "pooled", where=where), pred)


def _selected(values: Tensor, joints: Sequence[int] | None, where: str) -> Tensor:
    if joints is None:
        return values
    return values[..., joint_indices(joints, values.shape[-1], where=where)]


def _averaged(distances: ArrayT, reduce: Reduce, groups: object, where: str) -> ArrayT:
    tensor = real(distances, name="distances", where=where)
    return returned(reduced(tensor, reduce, groups=groups, where=where), distances)
