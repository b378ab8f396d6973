"""Which joints count: masks, unknown ground truth and missing predictions, decided once.

Distances carry these decisions in their values: a finite number is an error, NaN is a joint that
is not evaluated, and infinity is a missing prediction under ``on_missing="count_as_wrong"``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import pair, surely_finite, truths
from posepile_torch.metrics.choices import OnMissing, check_choice


@dataclass(frozen=True)
class Comparison:
    """A prediction and its ground truth with everything unusable replaced by zero.

    Args:
        pred: ``[..., J, D]``, finite.
        gt: ``[..., J, D]``, finite.
        valid: ``[..., J]``: mask is true and the ground truth finite; None if all are.
        missing: ``[..., J]``: valid, but the prediction is not finite; None if none are.
        on_missing: What a missing prediction means.
    """

    pred: Tensor
    gt: Tensor
    valid: Tensor | None
    missing: Tensor | None
    on_missing: OnMissing

    @property
    def usable(self) -> Tensor | None:
        """``[..., J]`` joints with a distance: valid and predicted; None if all are."""
        if self.missing is None:
            return self.valid
        return self.all_valid() & ~self.missing

    def n_usable(self) -> Tensor:
        """Return how many joints of each sample are valid and predicted, ``[...]`` int64."""
        *lead, joints, _ = self.gt.shape
        if self.usable is None:
            return torch.full(lead, joints, dtype=torch.int64, device=self.gt.device)
        return self.usable.sum(-1)

    def lacking(self, least: int, *, predicted: bool) -> Tensor | None:
        """Return which samples have fewer than ``least`` valid joints, ``[...]``; None if none.

        Args:
            least: Smallest sufficient number.
            predicted: Count only joints that are predicted, too.
        """
        which = self.usable if predicted else self.valid
        if which is None:
            which = None if self.gt.shape[-2] >= least else self.all_valid()
        if which is None:
            return None
        lacking = which.sum(-1) < least
        return lacking if bool(lacking.any()) else None

    def all_valid(self) -> Tensor:
        """Return ``valid`` as a tensor, all true where it was None."""
        if self.valid is not None:
            return self.valid
        return torch.ones(self.gt.shape[:-1], dtype=torch.bool, device=self.gt.device)

    def marked(
        self, distances: Tensor, excluded: Tensor | None = None, lost: Tensor | None = None
    ) -> Tensor:
        """Return distances ``[..., J]`` with NaN and infinity where they stand for a decision.

        Args:
            distances: One number per joint.
            excluded: ``[...]`` samples that cannot be evaluated (NaN throughout), or None.
            lost: ``[...]`` samples in which a missing prediction makes the alignment impossible,
                so that all their joints count as missing, or None.
        """
        marked = distances
        missing = self.missing
        if lost is not None:
            missing = lost[..., None] if missing is None else missing | lost[..., None]
        if missing is not None:
            mark = torch.inf if self.on_missing == "count_as_wrong" else torch.nan
            marked = marked.masked_fill(missing, mark)
        if self.valid is not None:
            marked = marked.masked_fill(~self.valid, torch.nan)
        if excluded is not None:
            marked = marked.masked_fill(excluded[..., None], torch.nan)
        return marked


def compare(
    pred: object,
    gt: object,
    *,
    mask: object = None,
    on_missing: OnMissing = "error",
    where: str,
    dims: int | None = 3,
) -> Comparison:
    """Check a prediction against its ground truth and decide which joints count.

    Args:
        pred: Prediction ``[..., J, D]``.
        gt: Ground truth of the same shape; non-finite joints are unknown.
        mask: Bool, ``[..., J]`` or broadcastable to it; None for all true.
        on_missing: See :data:`OnMissing`.
        where: Name of the calling function, for messages.
        dims: Required length of the last axis.

    Raises:
        MetricError: If shapes, devices or element types do not fit, or if a prediction is missing
            under ``on_missing="error"``.
    """
    check_choice(on_missing, OnMissing, name="on_missing", where=where)
    p, g = pair(pred, gt, where=where, dims=dims)
    valid = None if mask is None else truths(mask, g.shape[:-1], g.device, where=where)
    missing = None
    if not surely_finite(g):
        known = torch.isfinite(g).all(-1)
        valid = known if valid is None else valid & known
    if not surely_finite(p):
        absent = ~torch.isfinite(p).all(-1)
        missing = absent if valid is None else absent & valid
        if not bool(missing.any()):
            missing = None
    if missing is not None and on_missing == "error":
        raise _missing_error(missing, valid, where)
    unusable = None
    if valid is not None:
        unusable = ~valid if missing is None else ~valid | missing
    elif missing is not None:
        unusable = missing
    if unusable is not None:
        p = p.masked_fill(unusable[..., None], 0.0)
        g = g.masked_fill(unusable[..., None], 0.0)
    return Comparison(p, g, valid, missing, on_missing)


def _missing_error(missing: Tensor, valid: Tensor | None, where: str) -> MetricError:
    count = int(missing.sum())
    total = missing.numel() if valid is None else int(valid.sum())
    first = [int(i) for i in missing.nonzero()[0]]
    return MetricError(
        f"{count} of {total} valid joints have no finite prediction; the first is at index"
        f" {first}",
        where=where,
        rule="a non-finite prediction of a valid joint is a missing prediction",
        fix='pass on_missing="count_as_wrong" or "skip", or mask these joints knowingly',
    )


def out_of_range(where: str) -> MetricError:
    """Return the error for finite coordinates whose squares overflow."""
    return MetricError(
        "coordinates are too large to square",
        where=where,
        rule="squared coordinates, summed over joints, are finite in float64",
        fix="check the units, and for uninitialised memory",
    )
