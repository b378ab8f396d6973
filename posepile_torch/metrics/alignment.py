"""Alignments of predicted onto true poses that return their transforms.

Every alignment of N poses is one :class:`Alignment`: scale, rotation and translation per pose with
``aligned = scale * rotation @ point + translation``. Fitting uses valid joints only; the transform
is applied to whatever it is given: the same joints, mesh vertices, or joint rotations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal

import torch
from torch import Tensor

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import (
    ArrayT,
    check_same_kind,
    check_shape,
    joint_indices,
    real,
    returned,
)
from posepile_torch.metrics._procrustes import Fit, fitted
from posepile_torch.metrics._validity import Comparison, compare, out_of_range
from posepile_torch.metrics.choices import OnMissing, Root, check_choice


@dataclass(frozen=True, eq=False)
class Alignment(Generic[ArrayT]):
    """Transforms that carry predictions onto the ground truth, one per pose.

    Column vectors: ``aligned = scale * rotation @ point + translation``. Where a pose could not
    be aligned, all its numbers are NaN, so that it cannot enter a mean unnoticed.

    Args:
        scale: ``[...]``.
        rotation: ``[..., 3, 3]``; determinant +1 unless reflections were allowed.
        translation: ``[..., 3]`` in the unit of the poses.
        n_joints: ``[...]`` joints that took part.
        degenerate: ``[...]`` whether all predicted joints that took part coincide. Such a pose
            is moved onto the centroid of its ground truth.
        excluded: ``[...]`` whether the pose had too few valid joints, or an unknown root.
    """

    scale: ArrayT
    rotation: ArrayT
    translation: ArrayT
    n_joints: ArrayT
    degenerate: ArrayT
    excluded: ArrayT

    @property
    def n_excluded(self) -> int:
        """Number of poses that could not be aligned."""
        return int(self.excluded.sum())

    @property
    def n_degenerate(self) -> int:
        """Number of poses whose predicted joints all coincide."""
        return int(self.degenerate.sum())

    def apply(self, points: ArrayT) -> ArrayT:
        """Transform points ``[..., K, 3]`` with the leading axes of the alignment."""
        where = "Alignment.apply"
        scale, rotation, translation = self._tensors(points, where)
        x = real(points, name="points", where=where, device=scale.device)
        check_shape(x, where=where)
        _check_leading(x.shape[:-2], scale, where)
        moved = x @ (scale[..., None, None] * rotation).transpose(-1, -2)
        return returned(moved + translation[..., None, :], points)

    def rotate(self, rotations: ArrayT) -> ArrayT:
        """Left-multiply rotation matrices ``[..., K, 3, 3]`` by the rotation of their pose."""
        where = "Alignment.rotate"
        scale, rotation, _ = self._tensors(rotations, where)
        matrices = real(rotations, name="rotations", where=where, device=scale.device)
        check_shape(matrices, where=where, axes=3)
        _check_leading(matrices.shape[:-3], scale, where)
        return returned(rotation[..., None, :, :] @ matrices, rotations)

    def _tensors(self, like: object, where: str) -> tuple[Tensor, Tensor, Tensor]:
        check_same_kind(self.scale, like, where=where)
        parts = (self.scale, self.rotation, self.translation)
        scale, rotation, translation = (real(x, name="alignment", where=where) for x in parts)
        return scale, rotation, translation


def similarity_alignment(
    pred: ArrayT,
    gt: ArrayT,
    *,
    mask: object = None,
    scale: Literal["least_squares", "norm_ratio"] = "least_squares",
    allow_reflection: bool = False,
    min_valid_joints: int = 3,
    on_missing: OnMissing = "error",
) -> Alignment[ArrayT]:
    """Fit scale, rotation and translation (Procrustes analysis, "PA").

    Minimises the sum over valid joints of ``|s R p + t - g|²`` with det R = +1, in closed form and
    in float64 for all poses at once. Sets of rank below three (coplanar, collinear, coincident)
    are allowed: the error is still unique where the rotation is not.

    Args:
        pred: ``[..., J, 3]``, any length unit.
        gt: ``[..., J, 3]`` in the same unit; non-finite joints are not valid.
        mask: Bool ``[..., J]`` or broadcastable; None for all joints.
        scale: ``"least_squares"`` is the optimum and what PA means. ``"norm_ratio"`` is the ratio
            of the root sums of squares, as in CanonPose-type code; never call its error PA.
        allow_reflection: Let the prediction be mirrored. Off for every standard metric.
        min_valid_joints: Poses with fewer valid joints are excluded and counted. One or two
            joints can be aligned perfectly whatever was predicted.
        on_missing: What a non-finite prediction at a valid joint means. Unless it is an error,
            such joints take no part.
    """
    where = "similarity_alignment"
    check_choice(scale, Literal["least_squares", "norm_ratio"], name="scale", where=where)
    compared = compare(pred, gt, mask=mask, on_missing=on_missing, where=where)
    return _fit(compared, Fit(scale, allow_reflection), min_valid_joints, pred)


def rigid_alignment(
    pred: ArrayT,
    gt: ArrayT,
    *,
    mask: object = None,
    allow_reflection: bool = False,
    min_valid_joints: int = 3,
    on_missing: OnMissing = "error",
) -> Alignment[ArrayT]:
    """Fit rotation and translation without scale.

    Arguments and conventions as for :func:`similarity_alignment`. Some evaluation code calls the
    error after this fit "PA"; it is larger than the PA error and has its own name here.
    """
    compared = compare(pred, gt, mask=mask, on_missing=on_missing, where="rigid_alignment")
    return _fit(compared, Fit("none", allow_reflection), min_valid_joints, pred)


def scale_alignment(
    pred: ArrayT,
    gt: ArrayT,
    *,
    mask: object = None,
    min_valid_joints: int = 1,
    on_missing: OnMissing = "error",
) -> Alignment[ArrayT]:
    """Fit one scale about the origin: s = <p, g> / <p, p> over all coordinates of a pose.

    This is the alignment of N-MPJPE. Nothing is centred here: pass root-relative poses. The sign
    of the scale is not constrained. A prediction that is zero everywhere is degenerate and stays
    at the origin.

    Args:
        pred: ``[..., J, 3]`` root-relative.
        gt: ``[..., J, 3]`` root-relative, in the same unit.
        mask: Bool ``[..., J]`` or broadcastable; None for all joints.
        min_valid_joints: Poses with fewer valid joints are excluded and counted.
        on_missing: As for :func:`similarity_alignment`.
    """
    compared = compare(pred, gt, mask=mask, on_missing=on_missing, where="scale_alignment")
    scale, degenerate = best_scale(compared.pred, compared.gt)
    if not bool(torch.isfinite(scale).all()):
        raise out_of_range("scale_alignment")
    lead = scale.shape
    identity = torch.eye(3, dtype=torch.float64, device=scale.device).expand(lead + (3, 3))
    transforms = (scale, identity, scale.new_zeros(lead + (3,)))
    count = compared.n_usable()
    return _alignment(transforms, count, degenerate, count < min_valid_joints, pred)


def root_alignment(
    pred: ArrayT,
    gt: ArrayT,
    *,
    root: Root,
    mask: object = None,
    on_missing: OnMissing = "error",
) -> Alignment[ArrayT]:
    """Translate each prediction so that its root falls on the root of the ground truth.

    A pose whose root is not valid (masked, unknown, not predicted) is excluded and counted: a
    midpoint of hips is never replaced by the one hip that is known.

    Args:
        pred: ``[..., J, 3]``.
        gt: ``[..., J, 3]`` in the same unit.
        root: See :data:`Root`.
        mask: Bool ``[..., J]`` or broadcastable; None for all joints.
        on_missing: As for :func:`similarity_alignment`.
    """
    compared = compare(pred, gt, mask=mask, on_missing=on_missing, where="root_alignment")
    pred_root, gt_root, _, known = roots(compared, root, where="root_alignment")
    ones = known.to(torch.float64)
    identity = torch.eye(3, dtype=ones.dtype, device=ones.device).expand(*ones.shape, 3, 3)
    transforms = (torch.ones_like(ones), identity, gt_root - pred_root)
    return _alignment(transforms, compared.n_usable(), torch.zeros_like(known), ~known, pred)


def root_relative(points: ArrayT, *, root: Root, mask: object = None) -> ArrayT:
    """Subtract its root from each pose.

    Poses whose root is unknown (masked or not finite) become NaN throughout.

    Args:
        points: ``[..., J, D]``.
        root: See :data:`Root`.
        mask: Bool ``[..., J]`` or broadcastable; None for all joints.
    """
    where = "root_relative"
    x = real(points, name="points", where=where)
    compared = compare(x, x, mask=mask, where=where, dims=None)
    centre, _, _, known = roots(compared, root, where=where)
    centre = centre.masked_fill(~known[..., None], torch.nan)
    return returned(x - centre[..., None, :], points)


def roots(
    compared: Comparison, root: Root, *, where: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the roots of prediction and truth ``[..., D]``, and which of them are known.

    Returns:
        Root of the prediction, root of the truth, whether the truth's root is valid ``[...]``, and
        whether it is also predicted ``[...]``. Both roots are zero where they are not known.
    """
    pred, gt, usable = compared.pred, compared.gt, compared.usable
    everywhere = torch.ones(gt.shape[:-2], dtype=torch.bool, device=gt.device)
    if root is None:
        origin = gt.new_zeros((*gt.shape[:-2], gt.shape[-1]))
        return origin, origin, everywhere, everywhere
    if isinstance(root, str):
        if root != "centroid":
            raise MetricError(
                f"root={root!r} is not a root",
                where=where,
                rule='a root is a joint number, several of them, "centroid", or None',
                fix="take the number from skeleton.index(name)",
            )
        count = compared.n_usable()
        divisor = count.clamp_min(1).to(gt.dtype)[..., None]
        return (
            pred.sum(-2) / divisor,
            gt.sum(-2) / divisor,
            compared.all_valid().any(-1),
            count > 0,
        )
    wanted = tuple(root) if isinstance(root, Iterable) else (root,)
    joints = joint_indices(wanted, gt.shape[-2], where=where)
    pred_root, gt_root = (x[..., joints, :].sum(-2) / len(joints) for x in (pred, gt))
    if usable is None:
        return pred_root, gt_root, everywhere, everywhere
    known = usable[..., joints].all(-1)
    hidden = ~known[..., None]
    valid = compared.all_valid()[..., joints].all(-1)
    return pred_root.masked_fill(hidden, 0.0), gt_root.masked_fill(hidden, 0.0), valid, known


def best_scale(pred: Tensor, gt: Tensor) -> tuple[Tensor, Tensor]:
    """Return <p, g> / <p, p> of poses ``[..., J, 3]``, and where the prediction is all zero.

    Unusable joints are zero on both sides and do not count.
    """
    square, product = (pred * pred).sum((-1, -2)), (pred * gt).sum((-1, -2))
    square = square + (square - square)  # an overflow becomes NaN instead of a scale of zero
    degenerate = square.detach() == 0
    safe = torch.where(degenerate, torch.ones_like(square), square)
    return (product / safe).masked_fill(degenerate, 0.0), degenerate


def _fit(compared: Comparison, fit: Fit, min_valid_joints: int, like: ArrayT) -> Alignment[ArrayT]:
    pred, gt, usable = compared.pred, compared.gt, compared.usable
    lead = pred.shape[:-2]
    size, joints = lead.numel(), pred.shape[-2]
    flat = None if usable is None else usable.reshape(size, joints)
    p, g = (x.reshape(size, joints, 3) for x in (pred, gt))
    found = fitted(p, g, flat, fit)
    transforms = tuple(part.reshape(lead + part.shape[1:]) for part in found[:3])
    count = compared.n_usable()
    excluded = count < max(1, min_valid_joints)
    if not bool((torch.isfinite(transforms[2]).all(-1) | excluded).all()):
        raise out_of_range("alignment")
    return _alignment(transforms, count, found.degenerate.reshape(lead), excluded, like)


def _alignment(
    transforms: Sequence[Tensor],
    count: Tensor,
    degenerate: Tensor,
    excluded: Tensor,
    like: ArrayT,
) -> Alignment[ArrayT]:
    scale, rotation, translation = transforms
    parts: list[Any] = [
        scale.masked_fill(excluded, torch.nan),
        rotation.masked_fill(excluded[..., None, None], torch.nan),
        translation.masked_fill(excluded[..., None], torch.nan),
        count,
        degenerate & ~excluded,
        excluded,
    ]
    return Alignment(*(returned(part, like) for part in parts))


def _check_leading(lead: Sequence[int], scale: Tensor, where: str) -> None:
    if tuple(lead) != tuple(scale.shape):
        raise MetricError(
            f"points of {list(lead)} poses do not fit an alignment of {list(scale.shape)}",
            where=where,
            rule="there is one transform per pose",
            fix="keep the leading axes with which the alignment was made",
        )
