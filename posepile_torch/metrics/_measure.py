"""The one path from a pair of poses to marked distances, shared by every 3D joint metric."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import length, pair, surely_finite
from posepile_torch.metrics._procrustes import Fit, residuals
from posepile_torch.metrics._validity import Comparison, compare, out_of_range
from posepile_torch.metrics.alignment import best_scale, roots
from posepile_torch.metrics.choices import Align, OnMissing, Root, Scale, check_choice


@dataclass(frozen=True)
class Options:
    """How poses are aligned and which samples are left out; see :func:`joint_distances`."""

    align: Align
    root: Root = None
    min_valid_joints: int | None = None
    fit: Fit = field(default_factory=Fit)
    align_masked_joints: bool = False

    @property
    def fits(self) -> bool:
        """Whether a rotation is fitted."""
        return self.align in ("rigid", "similarity")

    @property
    def least(self) -> int:
        """Number of valid joints that a sample needs."""
        if self.min_valid_joints is None:
            return 3 if self.fits else 1
        return max(1, self.min_valid_joints)


class Measured(NamedTuple):
    """Distances with their marks, and what they were made from."""

    distances: Tensor  # [..., J], marked
    compared: Comparison
    excluded: Tensor | None  # [...]; None if none are
    degenerate: Tensor  # [...]


def measure(
    pred: object,
    gt: object,
    *,
    mask: object,
    on_missing: OnMissing,
    options: Options,
    where: str,
) -> Measured:
    """Align predictions with the ground truth and return their marked distances."""
    check_choice(options.align, Align, name="align", where=where)
    check_choice(options.fit.scale, Scale, name="scale", where=where)
    if mask is None and on_missing == "error":
        # Nearly always all joints are known and predicted, and then their distances are finite.
        # Trying that first saves a pass over the data.
        whole = Comparison(*pair(pred, gt, where=where), None, None, on_missing)
        measured = _aligned(whole, whole, options, where)
        if surely_finite(measured.distances):
            return measured
    compared = compare(pred, gt, mask=mask, on_missing=on_missing, where=where)
    to_fit = compared
    if options.fits and options.align_masked_joints:
        to_fit = compare(pred, gt, on_missing="error", where=where)
        if to_fit.valid is not None:
            raise MetricError(
                "masked joints of the ground truth are not finite",
                where=where,
                rule="align_masked_joints lets masked joints influence the alignment",
                fix="leave the switch off, as the metric is defined",
            )
    measured = _aligned(compared, to_fit, options, where)
    _check_range(measured, where)
    return measured


def _aligned(compared: Comparison, to_fit: Comparison, options: Options, where: str) -> Measured:
    excluded = compared.lacking(options.least, predicted=False)
    lost = None
    if compared.missing is not None:
        lost = compared.lacking(options.least, predicted=True)
    if options.fits:
        distances, degenerate = _after_fit(to_fit, options)
    else:
        pred_root, gt_root, valid, known = roots(compared, options.root, where=where)
        distances, degenerate = _after_root(compared, pred_root, gt_root, options.align)
        if compared.usable is not None:
            excluded = ~valid if excluded is None else excluded | ~valid
            lost = ~known if lost is None else lost | ~known
    if excluded is not None:
        degenerate = degenerate & ~excluded
    return Measured(compared.marked(distances, excluded, lost), compared, excluded, degenerate)


def _after_root(
    compared: Comparison, pred_root: Tensor, gt_root: Tensor, align: Align
) -> tuple[Tensor, Tensor]:
    p, g = compared.pred - pred_root[..., None, :], compared.gt - gt_root[..., None, :]
    if align == "none":
        return length(p - g), torch.zeros(p.shape[:-2], dtype=torch.bool, device=p.device)
    if compared.usable is not None:
        unusable = ~compared.usable[..., None]
        p, g = p.masked_fill(unusable, 0.0), g.masked_fill(unusable, 0.0)
    scale, degenerate = best_scale(p, g)
    return length(scale[..., None, None] * p - g), degenerate


def _after_fit(to_fit: Comparison, options: Options) -> tuple[Tensor, Tensor]:
    fit = options.fit
    if options.align == "rigid":
        fit = Fit("none", fit.allow_reflection)
    lead, joints = to_fit.pred.shape[:-2], to_fit.pred.shape[-2]
    size = lead.numel()
    usable = None if to_fit.usable is None else to_fit.usable.reshape(size, joints)
    p, g = (x.reshape(size, joints, 3) for x in (to_fit.pred, to_fit.gt))
    distances, degenerate = residuals(p, g, usable, fit)
    return distances.reshape(lead + (joints,)), degenerate.reshape(lead)


def _check_range(measured: Measured, where: str) -> None:
    wrong = ~torch.isfinite(measured.distances)
    usable = measured.compared.usable
    if usable is not None:
        wrong = wrong & usable
    if measured.excluded is not None:
        wrong = wrong & ~measured.excluded[..., None]
    if bool((wrong & ~_lost(measured)).any()):
        raise out_of_range(where)


def _lost(measured: Measured) -> Tensor:
    # A missing root, or too few predictions to align, marks joints that are predicted themselves.
    if measured.compared.missing is None:
        return torch.zeros_like(measured.distances, dtype=torch.bool)
    return measured.compared.missing.any(-1, keepdim=True)
